import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import make_circles, make_moons

from odenet.data.peaks import PeaksConfig, height_bins, peaks
from odenet.data.reflection import ReflectionConfig
from odenet.data.swiss_roll import SwissRollConfig
from odenet.data.toys import AnnuliConfig, CirclesConfig, SpiralsConfig, TwoMoonsConfig

DRAWN = [
    TwoMoonsConfig(train=101, validation=50, test=40),
    CirclesConfig(train=101, validation=50, test=40),
    AnnuliConfig(train=101, validation=50, test=40),
    SpiralsConfig(train=101, validation=50, test=40, num_classes=3),
    PeaksConfig(train=101, validation=50, test=40),
    PeaksConfig(train=101, validation=50, test=40, target="height"),
]


def nearest_distances(points, curve):
    return np.sqrt(((points[:, None, :] - curve[None, :, :]) ** 2).sum(axis=-1)).min(axis=1)


@pytest.mark.parametrize("config", DRAWN, ids=lambda c: f"{c.kind}-{getattr(c, 'target', '')}")
def test_drawn_points_have_shape_balance_and_seed(config):
    data = config.build(None)
    assert data.name == config.kind
    assert data.input_shape == (2,)
    assert [len(data.train), len(data.validation), len(data.test)] == [101, 50, 40]
    assert data.train.inputs.dtype == np.float32
    if data.num_classes is None:
        assert data.train.targets.dtype == np.float32
        assert data.train.targets.shape == (101, data.num_outputs) == (101, 1)
    else:
        assert data.train.targets.dtype == np.int32
        counts = np.bincount(data.train.targets, minlength=data.num_classes)
        assert len(counts) == data.num_classes == data.num_outputs
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(data.train.inputs, config.build(None).train.inputs)
    other = config.model_copy(update={"split_seed": 1}).build(None)
    assert not np.array_equal(data.train.inputs, other.train.inputs)


@pytest.mark.parametrize("config", DRAWN, ids=lambda c: f"{c.kind}-{getattr(c, 'target', '')}")
def test_splits_are_drawn_independently(config):
    data = config.build(None)
    longer = config.model_copy(update={"train": 300}).build(None)
    np.testing.assert_array_equal(data.test.inputs, longer.test.inputs)
    together = np.concatenate([data.train.inputs, data.validation.inputs, data.test.inputs])
    assert len(np.unique(together, axis=0)) == 191


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (TwoMoonsConfig(noise=0.0), lambda: make_moons(4000, shuffle=False)),
        (CirclesConfig(noise=0.0, factor=0.3), lambda: make_circles(4000, factor=0.3)),
    ],
    ids=["two_moons", "circles"],
)
def test_moons_and_circles_lie_on_the_curves_of_scikit_learn(config, reference):
    train = config.build(None).train
    points, labels = reference()
    for label in (0, 1):
        mine, theirs = train.inputs[train.targets == label], points[labels == label]
        # Neighbours on their curve are 2 pi / 2000 apart; all of the curve is covered.
        assert nearest_distances(mine, theirs).max() < 0.004
        assert nearest_distances(theirs, mine).max() < 0.1


def test_noise_has_the_given_standard_deviation():
    points = CirclesConfig(train=20_000, noise=0.1).build(None).train
    outer = np.hypot(*points.inputs[points.targets == 0].T)
    assert abs(outer.std() - 0.1) < 0.005


def test_annuli_are_sphere2_of_ott():
    train = AnnuliConfig(train=2000).build(None).train
    radius = np.hypot(*train.inputs.T.astype(np.float64))
    edges = [0.1, 0.15, 0.25, 0.3, 0.4, 0.45]
    place = np.searchsorted(edges, radius)
    # Rounding to float32 may cross an edge by 1e-8; none does at this seed.
    assert set(place) == {1, 3, 5}
    assert [(place == k).sum() for k in (1, 3, 5)] == [500, 1000, 500]
    np.testing.assert_array_equal(train.targets, place == 3)


def test_annuli_take_other_radii():
    config = AnnuliConfig.model_validate({"radii": [[0.0, 0.5], [1.0, 1.5]], "train": 100})
    train = config.build(None).train
    radius = np.hypot(*train.inputs.T)
    assert radius[train.targets == 0].max() <= 0.5 < 1.0 <= radius[train.targets == 1].min() + 1e-6


@pytest.mark.parametrize(
    "radii", [[[0.1, 0.2]], [[0.1, 0.3], [0.2, 0.4]], [[0.2, 0.1], [0.3, 0.4]], [[-1, 1], [2, 3]]]
)
def test_annuli_that_overlap_or_turn_inside_out_raise(radii):
    with pytest.raises(ValidationError, match="from the centre outwards"):
        AnnuliConfig.model_validate({"radii": radii})


def test_spiral_arms_satisfy_their_equation():
    config = SpiralsConfig(num_classes=3, turns=2.0, noise=0.0)
    train = config.build(None).train
    radius = np.hypot(*train.inputs.T)
    angle = np.arctan2(train.inputs[:, 1], train.inputs[:, 0])
    arm = (angle / (2 * np.pi) - 2.0 * radius) % 1.0
    away = np.abs(np.exp(2j * np.pi * arm) - np.exp(2j * np.pi * train.targets / 3))
    assert away.max() < 1e-4
    assert radius.min() >= 0.0999
    assert radius.max() <= 1.0001


def test_swiss_roll_equals_the_published_recipe():
    # setupSwissRoll.m, line by line, with Python's indices.
    n = 256
    theta = np.arange(2 * n + 1) * (4 * np.pi / (2 * n))
    r = np.linspace(0, 1, len(theta))
    x, y = r * np.cos(theta), r * np.sin(theta)
    r = np.linspace(0.2, 1.2, len(theta))
    whole = np.concatenate(
        [np.stack([x, y], 1), np.stack([r * np.cos(theta), r * np.sin(theta)], 1)]
    )
    data = SwissRollConfig().build(None)
    np.testing.assert_allclose(data.train.inputs, whole[0::2], atol=1e-6)
    np.testing.assert_allclose(data.validation.inputs, whole[1::2], atol=1e-6)
    np.testing.assert_array_equal(np.bincount(data.train.targets), [257, 256])
    np.testing.assert_array_equal(np.bincount(data.validation.targets), [256, 257])


def test_swiss_roll_test_points_are_new():
    data = SwissRollConfig().build(None)
    known = np.concatenate([data.train.inputs, data.validation.inputs])
    assert len(data.test) == 1024
    # Half a step along the radius alone is 1 / 1024.
    assert nearest_distances(data.test.inputs, known).min() > 0.0009


def test_peaks_has_the_values_of_another_implementation():
    # As printed for `peaks(3)` in the manual of pracma, Matlab's functions in R.
    side = np.array([-3.0, 0.0, 3.0])
    x, y = np.meshgrid(side, side)
    printed = [
        [6.671280e-05, -0.2449540, -5.864188e-06],
        [-3.650620e-02, 0.9810118, 3.312495e-02],
        [3.223536e-05, 0.2998710, 4.102973e-05],
    ]
    ours = peaks(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(3, 3)
    np.testing.assert_allclose(ours, printed, rtol=1e-6)


def test_peaks_classes_are_bins_of_the_height():
    train = PeaksConfig(train=500).build(None).train
    # Lowest and highest point of the surface as MATLAB's manual draws it: -6.55 and 8.11.
    np.testing.assert_allclose(height_bins(), -6.55 + 14.66 / 5 * np.arange(1, 5), atol=0.02)
    np.testing.assert_array_equal(np.bincount(train.targets), [100] * 5)
    height = peaks(train.inputs.astype(np.float64))
    for k in range(4):
        assert height[train.targets <= k].max() <= height[train.targets > k].min() + 1e-4
    assert np.abs(train.inputs).max() <= 3.0


def test_peaks_heights_are_those_of_the_inputs():
    train = PeaksConfig(train=500, target="height").build(None).train
    heights = peaks(train.inputs.astype(np.float64))
    np.testing.assert_allclose(train.targets[:, 0], heights, atol=1e-4)


def test_normalize_measures_the_training_points():
    data = AnnuliConfig(train=500, normalize=True).build(None)
    np.testing.assert_allclose(data.normalization.std, data.train.inputs.std(axis=0), rtol=1e-5)
    plain = AnnuliConfig(train=500).build(None).normalization
    np.testing.assert_array_equal(plain.mean, [0.0, 0.0])
    np.testing.assert_array_equal(plain.std, [1.0, 1.0])


@pytest.mark.parametrize("points", ["ends", "interval"])
def test_reflection_turns_the_line_around(points):
    data = ReflectionConfig(points=points, train=401).build(None)
    x, y = data.train.inputs, data.train.targets
    assert (data.num_classes, data.num_outputs, data.input_shape) == (None, 1, (1,))
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(y, -x)
    if points == "ends":
        assert np.unique(x).tolist() == [-1.0, 1.0]
        assert abs(int(np.sum(x))) == 1
    else:
        assert len(np.unique(x)) == 401
        assert np.abs(x).max() <= 1
        assert np.histogram(x, 4, (-1, 1))[0].min() > 70
    other = ReflectionConfig(points=points, train=401, split_seed=1).build(None)
    assert not np.array_equal(other.train.inputs, x)
