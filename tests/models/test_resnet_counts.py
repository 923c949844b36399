"""Numbers of parameters of the published networks, by their depth."""

import pytest
from flax import nnx

from odenet.errors import ConfigError
from odenet.models import ResNetConfig, count_parameters

OPTION_A = {
    20: 269_722,
    32: 464_154,
    44: 658_586,
    56: 853_018,
    110: 1_727_962,
    1202: 19_421_274,
}
"""He et al. 2015, sec. 4.2; the paper prints 0.27, 0.46, 0.66, 0.85, 1.7 and 19.4 million."""

BOTTLENECKS = {(164, 10): 1_703_258, (164, 100): 1_726_388} | {
    (1001, 10): 10_327_706,
    (1001, 100): 10_350_836,
}
"""He et al. 2016, table 3 and the paper's code, version 2."""

IMAGENET = {
    (18, "projection"): 11_689_512,
    (34, "projection"): 21_797_672,
    (50, "projection"): 25_557_032,
    (101, "projection"): 44_549_160,
    (152, "projection"): 60_192_808,
    (18, "zero_pad"): 11_515_688,
    (34, "zero_pad"): 21_623_848,
}


def count(shape, classes, **options):
    config = ResNetConfig(**options)
    return count_parameters(nnx.eval_shape(lambda: config.build(shape, classes, rngs=nnx.Rngs(0))))


def plain_count(units, width, inputs, classes):
    """A network of 3x3 convolutions with batch norm and an affine map: no shortcuts in it."""
    widths = [width * 2**stage for stage in range(3) for _ in range(2 * units)]
    convolutions = zip([inputs, width, *widths[:-1]], [width, *widths], strict=True)
    affine = widths[-1] * classes + classes
    return sum(9 * one * other + 2 * other for one, other in convolutions) + affine


@pytest.mark.parametrize("depth", OPTION_A)
def test_cifar_networks_have_the_published_number_and_that_of_the_plain_network(depth):
    found = count((32, 32, 3), 10, depth=depth)
    assert found == OPTION_A[depth] == plain_count((depth - 2) // 6, 16, 3, 10)


def test_classes_add_their_rows_and_version_2_nothing():
    assert count((32, 32, 3), 100, depth=20) == OPTION_A[20] + 90 * 65
    assert count((32, 32, 3), 10, depth=20, arrangement="full_preactivation") == OPTION_A[20]


@pytest.mark.parametrize(("depth", "classes"), BOTTLENECKS)
def test_cifar_bottlenecks_have_the_published_number(depth, classes):
    options = {"depth": depth, "arrangement": "full_preactivation"}
    assert count((32, 32, 3), classes, **options) == BOTTLENECKS[depth, classes]


@pytest.mark.parametrize(("depth", "shortcut"), IMAGENET)
def test_imagenet_networks_have_the_published_number(depth, shortcut):
    options = {"depth": depth, "layout": "imagenet", "shortcut": shortcut}
    assert count((224, 224, 3), 1000, **options) == IMAGENET[depth, shortcut]
    if shortcut == "projection":
        by_default = ResNetConfig(depth=depth, layout="imagenet")
        assert by_default.expanded() == ResNetConfig(**options).expanded()


def test_projections_everywhere_add_theirs_to_every_unit():
    free, growing, all_of_them = (
        count((32, 32, 3), 10, depth=20, shortcut=shortcut)
        for shortcut in ("zero_pad", "projection", "projection_everywhere")
    )
    grows = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    keeps = 3 * (16**2 + 2 * 16) + 2 * (32**2 + 2 * 32) + 2 * (64**2 + 2 * 64)
    assert growing - free == grows
    assert all_of_them - growing == keeps


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 21}, r"basic units is 6 n \+ 2.*got 21; nearest: \[14, 20, 26\]"),
        ({"depth": 1}, r"nearest: \[14, 20\]"),
        ({"depth": 30, "unit": "bottleneck"}, r"9 n \+ 2.*got 30; nearest: \[20, 29, 38\]"),
        ({"depth": 20, "layout": "imagenet"}, r"one of \[18, 34, 50, 101, 152\]; got 20"),
        ({"depth": 50, "layout": "imagenet", "unit": "basic"}, "unit would be ignored"),
        ({"depth": 20, "strided_weight": 2}, "strided_weight is an option of bottlenecks"),
    ],
)
def test_depths_that_do_not_exist_list_the_nearest(options, message):
    with pytest.raises(ConfigError, match=message):
        ResNetConfig(**options)
