"""What published files call the arrays of residual networks, and which shapes these have.

References: [1] He et al. 2015, arXiv:1512.03385, table 1 and section 4.2. The names are those of
torchvision's `models/resnet.py` and, for CIFAR, of Y. Idelbayev's `pytorch_resnet_cifar10`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from odenet.errors import ConfigError
from odenet.models.pretrained.weight_map import Layout, Shape, WeightEntry, WeightMap
from odenet.models.published_depths import BOTTLENECK_FROM, IMAGENET_UNITS
from odenet.models.resnet import ResNetConfig

_EXPANSION = 4


@dataclass(frozen=True)
class ForeignArray:
    """One array of a file of weights.

    Args:
        name: In the file.
        shape: In the file.
        layout: How its axes differ from ours.
        stage: The stage it belongs to, from 0; None for the first convolution, its norm, and the
            last affine map.
        unit: The residual unit within the stage, from 0; None likewise.
        part: What it is part of: `conv1`, `bn1`, ..., `downsample.0` (the convolution of a
            projecting shortcut), `downsample.1` (its norm), `last_bn` (the norm after the last
            unit), `fc`, whatever the file calls it.
        tensor: `weight`, `bias`, `running_mean` or `running_var`.
    """

    name: str
    shape: Shape
    layout: Layout
    stage: int | None
    unit: int | None
    part: str
    tensor: str

    @property
    def is_parameter(self) -> bool:
        """Whether it is trained; the statistics of batch norms are not."""
        return self.tensor in ("weight", "bias")


def torchvision_arrays(
    depth: int, num_classes: int = 1000, in_channels: int = 3, projects: bool = True
) -> tuple[ForeignArray, ...]:
    """The arrays of torchvision's `resnet18` to `resnet152`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: Outputs of the last affine map.
        in_channels: Channels of the images.
        projects: Whether shortcuts project where shapes change (option B, as published); without,
            a network of basic units is one of option A.

    Raises:
        ConfigError: if there is no such depth, or a bottleneck is to do without projections.
    """
    if depth not in IMAGENET_UNITS:
        raise ConfigError(
            f"depth must be one of {', '.join(map(str, IMAGENET_UNITS))}; got {depth}"
        )
    if depth >= BOTTLENECK_FROM and not projects:
        raise ConfigError(
            f"the bottlenecks of depth {depth} change the width in the first stage too, and need "
            f"projections; use projects=True"
        )
    naming = _Naming("fc", depth >= BOTTLENECK_FROM, projects)
    units = IMAGENET_UNITS[depth]
    return tuple(naming.arrays(7, in_channels, (64, 128, 256, 512), units, num_classes))


def cifar_arrays(
    depth: int, num_classes: int = 10, in_channels: int = 3
) -> tuple[ForeignArray, ...]:
    """The arrays of He's CIFAR networks with shortcuts of option A, 20 to 1202 layers.

    Args:
        depth: `6 n + 2` for `n` units in each of the three stages.
        num_classes: Outputs of the last affine map.
        in_channels: Channels of the images.

    Raises:
        ConfigError: if the depth is not of that form.
    """
    units = _units_of(depth, 6, "20, 32, 44, 56 or 110")
    naming = _Naming("linear", False, False)
    return tuple(naming.arrays(3, in_channels, (16, 32, 64), units, num_classes))


def preactivation_arrays(
    depth: int, num_classes: int = 10, in_channels: int = 3
) -> tuple[ForeignArray, ...]:
    """The arrays of He's CIFAR networks with full pre-activation, 164 and 1001 layers.

    There is no published file in PyTorch's format; the names follow torchvision's, with `bn1` to
    `bn3` of a unit each before the convolution of its number, and `bn` after the last unit. The
    first unit has no `bn1`: the one after the first convolution stands for it.

    Args:
        depth: `9 n + 2` for `n` units in each of the three stages.
        num_classes: Outputs of the last affine map.
        in_channels: Channels of the images.

    Raises:
        ConfigError: if the depth is not of that form.
    """
    naming = _Naming("fc", True, True, acts_first=True)
    units = _units_of(depth, 9, "164 or 1001")
    return tuple(naming.arrays(3, in_channels, (16, 32, 64), units, num_classes))


def arrays_of(
    model: ResNetConfig, last: str, num_classes: int, in_channels: int
) -> tuple[ForeignArray, ...]:
    """The arrays of a residual network that differs from the published ones.

    Projecting shortcuts have the names that the published code gives them: `downsample` in
    torchvision, `shortcut` in `pytorch_resnet_cifar10`.

    Args:
        model: Its configuration.
        last: What the family calls the last affine map, `fc` or `linear`.
        num_classes: Outputs of the last affine map.
        in_channels: Channels of the images.

    Raises:
        ConfigError: if no published code has such a network.
    """
    for option, given, named in (
        ("layout", model.layout, ("cifar", "imagenet")),
        ("arrangement", model.arrangement, ("original", "full_preactivation")),
        ("shortcut", model.option, ("zero_pad", "projection")),
    ):
        if given not in named:
            raise ConfigError(
                f"published names are those of model.{option}={' or '.join(named)}; got {given}; "
                f"name the arrays by --experiment and a map with entries"
            )
    is_imagenet = model.layout == "imagenet"
    width = model.width or (64 if is_imagenet else 16)
    naming = _Naming(
        last,
        model.unit_kind == "bottleneck",
        model.option == "projection",
        acts_first=model.arrangement == "full_preactivation",
        projection="downsample" if last == "fc" else "shortcut",
    )
    widths = [width * 2**stage for stage in range(len(model.units))]
    size = 7 if is_imagenet else 3
    return tuple(naming.arrays(size, in_channels, widths, model.units, num_classes))


def _units_of(depth: int, weights: int, examples: str) -> tuple[int, int, int]:
    """Units in each of three stages, with so many weights for one unit in every stage."""
    units, rest = divmod(depth - 2, weights)
    if rest or units < 1:
        raise ConfigError(f"depth must be {weights} n + 2, such as {examples}; got {depth}")
    return units, units, units


def num_parameters(arrays: Sequence[ForeignArray]) -> int:
    """How many numbers are trained."""
    return sum(math.prod(array.shape) for array in arrays if array.is_parameter)


def place(
    arrays: Sequence[ForeignArray], where: Callable[[ForeignArray], tuple[str, int | None]]
) -> WeightMap:
    """The map from the names of a file to a model of ours.

    Args:
        arrays: What the file holds.
        where: Dotted path of our array, and the layer within it or None, of each.
    """
    return WeightMap(
        tuple(
            WeightEntry(array.name, path, array.layout, layer)
            for array in arrays
            for path, layer in [where(array)]
        )
    )


@dataclass(frozen=True)
class _Naming:
    """A family of networks: its last map's name, its units, its shortcuts, their order."""

    last: str
    is_bottleneck: bool
    projects: bool
    acts_first: bool = False
    projection: str = "downsample"

    def arrays(
        self,
        kernel_size: int,
        in_channels: int,
        widths: Sequence[int],
        units: Sequence[int],
        num_classes: int,
    ) -> Iterator[ForeignArray]:
        """All arrays, in the order of the layers."""
        width = widths[0]
        yield from _convolution("conv1", None, None, "conv1", kernel_size, in_channels, width)
        yield from _norm("bn1", None, None, "bn1", width)
        for stage, (inner, count) in enumerate(zip(widths, units, strict=True)):
            for unit in range(count):
                outer = inner * (_EXPANSION if self.is_bottleneck else 1)
                yield from self._unit(stage, unit, width, inner, outer)
                width = outer
        if self.acts_first:
            yield from _norm("bn", None, None, "last_bn", width)
        for tensor, shape in (("weight", (num_classes, width)), ("bias", (num_classes,))):
            layout = "linear" if tensor == "weight" else "same"
            yield ForeignArray(f"{self.last}.{tensor}", shape, layout, None, None, "fc", tensor)

    def _unit(
        self, stage: int, unit: int, width: int, inner: int, outer: int
    ) -> Iterator[ForeignArray]:
        prefix = f"layer{stage + 1}.{unit}."
        if self.is_bottleneck:
            convolutions = [(1, width, inner), (3, inner, inner), (1, inner, outer)]
        else:
            convolutions = [(3, width, inner), (3, inner, outer)]
        for i, (kernel_size, before, after) in enumerate(convolutions, start=1):
            conv, bn = f"conv{i}", f"bn{i}"
            yield from _convolution(
                f"{prefix}{conv}", stage, unit, conv, kernel_size, before, after
            )
            if not self.acts_first:
                yield from _norm(f"{prefix}{bn}", stage, unit, bn, after)
            elif (stage, unit, i) != (0, 0, 1):
                yield from _norm(f"{prefix}{bn}", stage, unit, bn, before)
        if self.projects and width != outer:
            within = f"{prefix}{self.projection}"
            part = "downsample.0"
            yield from _convolution(f"{within}.0", stage, unit, part, 1, width, outer)
            if not self.acts_first:
                yield from _norm(f"{within}.1", stage, unit, "downsample.1", outer)


def _convolution(
    name: str, stage: int | None, unit: int | None, part: str, size: int, before: int, after: int
) -> Iterator[ForeignArray]:
    shape = (after, before, size, size)
    yield ForeignArray(f"{name}.weight", shape, "conv", stage, unit, part, "weight")


def _norm(
    name: str, stage: int | None, unit: int | None, part: str, width: int
) -> Iterator[ForeignArray]:
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        yield ForeignArray(f"{name}.{tensor}", (width,), "same", stage, unit, part, tensor)
