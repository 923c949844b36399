"""Names and shapes of the arrays of residual networks in published files.

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
        name: Name in the file.
        shape: Shape in the file.
        layout: Difference of its axes from ours.
        stage: Stage of the array, from 0; None for the first convolution, its norm, and the last
            affine map.
        unit: Residual unit within the stage, from 0; None if `stage` is None.
        part: Module of the array, by the same name for all files: `conv1`, `bn1`, ...,
            `downsample.0` (the convolution of a projecting shortcut), `downsample.1` (its norm),
            `last_bn` (the norm after the last unit), `fc`.
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
        """Whether the array is trained; the running statistics of batch norms are not."""
        return self.tensor in ("weight", "bias")


def torchvision_arrays(
    depth: int, num_classes: int = 1000, in_channels: int = 3, projects: bool = True
) -> tuple[ForeignArray, ...]:
    """The arrays of torchvision's `resnet18` to `resnet152`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: Outputs of the last affine map.
        in_channels: Channels of the images.
        projects: Whether shortcuts project where shapes change (option B, as published); if not,
            a network of basic units has shortcuts of option A.

    Raises:
        ConfigError: if there is no such depth, or for a bottleneck network without projections.
    """
    if depth not in IMAGENET_UNITS:
        raise ConfigError(
            f"depth must be one of {', '.join(map(str, IMAGENET_UNITS))}; got {depth}"
        )
    if depth >= BOTTLENECK_FROM and not projects:
        raise ConfigError(
            f"the bottleneck units of depth {depth} change the width in the first stage too, and "
            f"need projections; use projects=True"
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

    There is no published file in PyTorch's format. The names follow torchvision's: in a unit, `bn1`
    to `bn3` are before the convolutions of the same number; `bn` is after the last unit. The first
    unit has no `bn1`; the norm after the first convolution takes its part.

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

    Projecting shortcuts have the names of the published code: `downsample` in torchvision,
    `shortcut` in `pytorch_resnet_cifar10`.

    Args:
        model: Configuration of the network.
        last: Name of the last affine map in the family, `fc` or `linear`.
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
                f"published names exist for model.{option}={' or '.join(named)}; got {given}; name "
                f"the arrays by --experiment and a map with entries"
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
    """Units in each of three stages, from the depth in layers with weights."""
    units, rest = divmod(depth - 2, weights)
    if rest or units < 1:
        raise ConfigError(f"depth must be {weights} n + 2, such as {examples}; got {depth}")
    return units, units, units


def num_parameters(arrays: Sequence[ForeignArray]) -> int:
    """Number of trained parameters (numbers, not arrays)."""
    return sum(math.prod(array.shape) for array in arrays if array.is_parameter)


def place(
    arrays: Sequence[ForeignArray], where: Callable[[ForeignArray], tuple[str, int | None]]
) -> WeightMap:
    """The map from the names of a file to the arrays of our model.

    Args:
        arrays: The arrays of the file.
        where: For each array, the dotted path of our array, and the layer in it or None.
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
    """Naming of a family of networks: last map, units, shortcuts, and order of norms."""

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
