"""Names and shapes of published networks against published counts, PyTorch and a real file."""

import warnings

import numpy as np
import pytest

from odenet.errors import ConfigError
from odenet.models.pretrained import (
    cifar_arrays,
    convert,
    export,
    num_parameters,
    place,
    read_weights,
    torchvision_arrays,
)

# He et al. 2015 with the architecture's tables: the published roundings are 0.27M to 19.4M.
CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}
IMAGENET = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}
OPTION_A = {18: 11_515_688, 34: 21_623_848}


@pytest.mark.parametrize(("depth", "count"), CIFAR.items())
def test_cifar_networks_have_the_published_counts(depth, count):
    assert num_parameters(cifar_arrays(depth)) == count


@pytest.mark.parametrize(("depth", "count"), IMAGENET.items())
def test_imagenet_networks_have_the_published_counts(depth, count):
    assert num_parameters(torchvision_arrays(depth)) == count


@pytest.mark.parametrize(("depth", "count"), OPTION_A.items())
def test_imagenet_networks_of_option_a_have_the_published_counts(depth, count):
    arrays = torchvision_arrays(depth, projects=False)
    assert num_parameters(arrays) == count
    assert not [array for array in arrays if "downsample" in array.name]


@pytest.mark.parametrize("depth", [0, 2, 19, 21, -4])
def test_depth_that_is_not_published_is_refused(depth):
    with pytest.raises(ConfigError, match="depth must be"):
        cifar_arrays(depth)
    with pytest.raises(ConfigError, match="depth must be one of 18, 34, 50"):
        torchvision_arrays(depth)


def test_bottlenecks_without_projections_are_refused():
    with pytest.raises(ConfigError, match="need projections"):
        torchvision_arrays(50, projects=False)


def test_names_are_told_apart():
    for arrays in (cifar_arrays(32), torchvision_arrays(34), torchvision_arrays(101)):
        assert len({array.name for array in arrays}) == len(arrays)
        assert len({(a.stage, a.unit, a.part, a.tensor) for a in arrays}) == len(arrays)


def test_bottleneck_of_torchvision_projects_in_every_stage():
    arrays = {array.name: array for array in torchvision_arrays(50)}
    assert arrays["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert arrays["layer2.0.conv2.weight"].shape == (128, 128, 3, 3)
    assert arrays["layer2.0.downsample.0.weight"].shape == (512, 256, 1, 1)
    assert arrays["layer4.2.bn3.running_var"].shape == (2048,)
    assert arrays["fc.weight"].shape == (1000, 2048)
    assert "layer1.1.downsample.0.weight" not in arrays


def torch_network(torch, units):
    """A network of torchvision's naming, without its forward pass, from its modules alone."""
    nn = torch.nn

    def unit(before, after):
        modules = {
            "conv1": nn.Conv2d(before, after, 3, bias=False),
            "bn1": nn.BatchNorm2d(after),
            "conv2": nn.Conv2d(after, after, 3, bias=False),
            "bn2": nn.BatchNorm2d(after),
        }
        if before != after:
            shortcut = nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after)
            modules["downsample"] = nn.Sequential(*shortcut)
        return nn.ModuleDict(modules)

    stages, before = {}, 64
    for stage, count in enumerate(units):
        after = 64 * 2**stage
        widths = [before] + [after] * count
        stages[f"layer{stage + 1}"] = nn.Sequential(*map(unit, widths[:-1], widths[1:]))
        before = after
    stem = {"conv1": nn.Conv2d(3, 64, 7, bias=False), "bn1": nn.BatchNorm2d(64)}
    return nn.ModuleDict(stem | stages | {"fc": nn.Linear(512, 1000)})


@pytest.mark.torch
def test_state_dict_of_pytorch_has_these_names_and_loads_ours(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
    network = torch_network(torch, (2, 2, 2, 2))
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    read = read_weights(tmp_path / "resnet18.pth")
    arrays = torchvision_arrays(18)
    counted = [name for name in read if name.endswith("num_batches_tracked")]
    assert {a.name: a.shape for a in arrays} | dict.fromkeys(counted, ()) == {
        name: array.shape for name, array in read.items()
    }
    names = place(arrays, lambda array: (array.name.replace(".", "_"), None))
    shapes = {array.name.replace(".", "_"): OUR_AXES[array.layout](array.shape) for array in arrays}
    back = export(convert(read, names, shapes), names)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in back.items()}, False)
    assert back.keys() == read.keys() - set(counted)
    for name, array in back.items():
        np.testing.assert_array_equal(array, read[name])


OUR_AXES = {
    "same": lambda shape: shape,
    "linear": lambda shape: shape[::-1],
    "conv": lambda shape: (*shape[2:], shape[1], shape[0]),
}


def test_published_file_has_these_names_and_fills_stacked_arrays(resnet20_file):
    read = read_weights(resnet20_file)
    arrays = cifar_arrays(20)
    assert [(a.name, a.shape) for a in arrays] == [(n, w.shape) for n, w in read.items()]

    def where(array):
        if array.stage is None:
            return f"{array.part}.{array.tensor}", None
        if array.unit == 0:
            return f"stages.{array.stage}.first.{array.part}.{array.tensor}", None
        return f"stages.{array.stage}.rest.{array.part}.{array.tensor}", array.unit - 1

    names = place(arrays, where)
    shapes = {}
    for array, entry in zip(arrays, names.entries, strict=True):
        layers = () if entry.layer is None else (2,)
        shapes[entry.ours] = (*layers, *OUR_AXES[array.layout](array.shape))
    tree = convert(read, names, shapes)
    assert list(tree["stages"]) == [0, 1, 2]
    kernels = tree["stages"][2]["rest"]["conv2"]["weight"]
    assert kernels.shape == (2, 3, 3, 64, 64)
    np.testing.assert_array_equal(kernels[1].transpose(3, 2, 0, 1), read["layer3.2.conv2.weight"])
    for name, array in export(tree, names).items():
        np.testing.assert_array_equal(array, read[name])
