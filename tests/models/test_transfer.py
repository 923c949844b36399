"""Weights of one network in another, on arrays by path."""

import jax
import numpy as np
import pytest
from flax import nnx

from odenet.errors import ConfigError
from odenet.models import ClassifierConfig, ResNetConfig
from odenet.models.projections import ConvConfig
from odenet.models.transfer import adapt_channels, transfer
from odenet.training.checkpoint import named
from odenet.training.state import split_network


def arrays(seed, shape=(6,), classes=3, **changes):
    values = {"stages": [{"width": 4}], "block": {"num_steps": 2}} | changes
    return drawn_arrays(ClassifierConfig.model_validate(values), shape, classes, seed)


def drawn_arrays(config, shape, classes, seed):
    """Arrays of a network by path, of random numbers."""
    network = nnx.eval_shape(lambda: config.build(shape, classes, rngs=nnx.Rngs(0)))
    _, params, statistics = split_network(network)
    draw = np.random.default_rng(seed)
    return {
        path: draw.normal(size=leaf.shape).astype(leaf.dtype)
        for path, leaf in named({"params": params, "statistics": statistics}).items()
    }


IMAGES = {
    "stem": {"kind": "conv"},
    "block": {"num_steps": 2, "field": {"kind": "residual"}},
    "head": {"norm": "batch", "activation": "relu"},
}
STEM, HEAD = "params/projections/0/operation", "params/head/linear"


def differing(paths, one, other):
    return {path for path in paths if not np.array_equal(one[path], other[path])}


def test_all_comes_from_the_source_bit_for_bit():
    initialised, source = (arrays(seed, (8, 8, 1), **IMAGES) for seed in (0, 1))
    source["statistics/head/norm/mean"] = source["statistics/head/norm/mean"] + 3
    found = transfer(initialised, source, "keep", "keep")
    assert set(found.arrays) == set(found.transferred) == set(initialised)
    assert found.new == ()
    assert not differing(initialised, found.arrays, source)
    assert differing(initialised, initialised, source)  # else it would show nothing


@pytest.mark.parametrize(
    ("first", "last", "parts"),
    [
        ("reinitialise", "keep", [STEM]),
        ("keep", "reinitialise", [HEAD]),
        ("reinitialise", "reinitialise", [STEM, HEAD]),
    ],
)
def test_reinitialised_layers_are_new_and_all_else_is_kept(first, last, parts):
    shape, classes = (5,) if first == "reinitialise" else (6,), 2 if last == "reinitialise" else 3
    initialised, source = arrays(0, shape, classes), arrays(1)
    found = transfer(initialised, source, first, last)
    new = {path for path in initialised if path.startswith(tuple(parts))}
    assert set(found.new) == new
    assert set(found.transferred) == set(initialised) - new
    assert not differing(new, found.arrays, initialised)
    assert not differing(found.transferred, found.arrays, source)
    assert found.arrays.keys() == initialised.keys()


def test_norm_of_the_head_is_kept_where_its_affine_map_is_reinitialised():
    initialised, source = (arrays(seed, (8, 8, 1), **IMAGES) for seed in (0, 1))
    found = transfer(initialised, source, "keep", "reinitialise")
    scale = "params/head/norm/scale"
    assert not differing([scale], found.arrays, source)
    assert differing([scale], initialised, source)


def test_a_stem_with_weights_may_give_way_to_one_without():
    initialised = arrays(0, (4,), stem={"kind": "identity"})
    found = transfer(initialised, arrays(1), "reinitialise", "keep")
    assert not any(path.startswith(STEM) for path in found.arrays)


def test_everything_that_does_not_fit_is_listed_with_what_to_do():
    initialised = arrays(
        0, (5,), 2, block={"num_steps": 2, "field": {"hidden": [7], "form": "between"}}
    )
    with pytest.raises(ConfigError) as caught:
        transfer(initialised, arrays(1), "keep", "keep")
    message = str(caught.value)
    assert f"{STEM}/linear/kernel has shape (6, 4) there and (5, 4) here" in message
    assert f"{HEAD}/kernel has shape (4, 3) there and (4, 2) here" in message
    assert f"{HEAD}/bias has shape (3,) there and (2,) here" in message
    stacked = "params/blocks/0/weights/stacked/affine"
    assert f"{stacked}/0/kernel has shape (2, 4, 4) there and (2, 4, 7) here" in message
    assert f"{stacked}/1/kernel is missing there" in message
    for advice in ("start.first=reinitialise", "start.last=reinitialise", "config.yaml"):
        assert advice in message


def test_what_has_no_place_is_listed():
    shallow = {"field": {"hidden": [4], "form": "between"}, "num_steps": 2}
    with pytest.raises(ConfigError, match=r"affine/1/kernel has no place here.*config.yaml"):
        transfer(arrays(0), arrays(1, block=shallow), "keep", "keep")


def test_only_what_is_wrong_gets_advice():
    with pytest.raises(ConfigError) as caught:
        transfer(arrays(0, classes=2), arrays(1), "keep", "keep")
    assert "start.last=reinitialise" in str(caught.value)
    assert "start.first" not in str(caught.value)
    assert "config.yaml" not in str(caught.value)


def test_step_sizes_that_the_source_does_not_have_start_as_configured():
    learned = {"num_steps": 2, "step_sizes": {"kind": "learned", "horizon": 0.5}}
    initialised = arrays(0, block=learned)
    found = transfer(initialised, arrays(1), "keep", "keep")
    assert found.new == ("params/blocks/0/step_sizes/raw",)
    assert not differing(found.new, found.arrays, initialised)
    with pytest.raises(ConfigError, match="raw has no place here; learned step sizes remain"):
        transfer(arrays(0), arrays(1, block=learned), "keep", "keep")


@pytest.mark.parametrize(("there", "here"), [(3, 1), (1, 3), (1, 4)])
def test_grey_image_gives_the_first_outputs_that_it_gave_before(there, here):
    stem = ConvConfig(kernel_size=3).build((5, 5, there), 4, rngs=nnx.Rngs(0)).operation
    new = ConvConfig(kernel_size=3).build((5, 5, here), 4, rngs=nnx.Rngs(1)).operation
    assert isinstance(stem, nnx.Conv)
    assert isinstance(new, nnx.Conv)
    grey = jax.random.normal(jax.random.key(2), (2, 5, 5, 1), np.float32)
    new.kernel[...] = adapt_channels(np.asarray(stem.kernel[...]), here)
    new.bias[...] = stem.bias[...]  # pyright: ignore[reportOptionalSubscript]
    before, after = stem(np.repeat(grey, there, -1)), new(np.repeat(grey, here, -1))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_kernel_summed_over_its_channels_comes_from_the_source():
    source = arrays(1, (8, 8, 3), **IMAGES)
    found = transfer(arrays(0, (8, 8, 1), **IMAGES), source, "sum_channels", "keep")
    kernel = source[f"{STEM}/kernel"]
    total = kernel[:, :, :1] + kernel[:, :, 1:2] + kernel[:, :, 2:]
    np.testing.assert_allclose(found.arrays[f"{STEM}/kernel"], total, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.arrays[f"{STEM}/bias"], source[f"{STEM}/bias"])
    assert found.new == ()


def test_channels_that_cannot_be_summed_are_refused():
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    with pytest.raises(ConfigError, match=r"got 3 and 4; .*=reinitialise"):
        adapt_channels(kernel, 4)
    with pytest.raises(ConfigError, match=r"got 3 and 3; .*=keep"):
        adapt_channels(kernel, 3)


def test_choices_without_effect_are_refused():
    bare = arrays(0, (4,), stem={"kind": "identity"})
    with pytest.raises(ConfigError, match="the stem has no weights"):
        transfer(bare, bare, "reinitialise", "keep")
    with pytest.raises(ConfigError, match="kernels of a convolution, and the stem has none"):
        transfer(arrays(0), arrays(1), "sum_channels", "keep")


def residual(seed, arrangement):
    config = ResNetConfig(layout="vector", depth=20, width=4, arrangement=arrangement)
    return drawn_arrays(config, (6,), 3, seed)


@pytest.mark.parametrize("way", [1, -1])
def test_original_units_and_euler_steps_of_the_same_parts_exchange_weights(way):
    there, here = ("original", "relu_before_addition")[::way]
    source = residual(1, there)
    found = transfer(residual(0, here), source, "keep", "keep")
    assert found.new == ()
    assert len(found.arrays) == len(source)

    def plain(path):
        return path.replace("stacked/branch/", "stacked/")

    kept = {plain(path): leaf for path, leaf in found.arrays.items()}
    for path, leaf in source.items():
        np.testing.assert_array_equal(kept[plain(path)], leaf)


def test_units_of_other_parts_do_not_exchange_weights():
    # Norms stand elsewhere, so that their widths and places differ between the stages.
    with pytest.raises(ConfigError, match="has no place here"):
        transfer(residual(0, "full_preactivation"), residual(1, "original"), "keep", "keep")
