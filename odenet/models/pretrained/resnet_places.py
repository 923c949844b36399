"""Published residual networks by name, and the paths of their arrays in our model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from odenet.models.pretrained.resnet_names import (
    ForeignArray,
    arrays_of,
    cifar_arrays,
    place,
    preactivation_arrays,
    torchvision_arrays,
)
from odenet.models.pretrained.weight_map import WeightMap
from odenet.models.published_depths import IMAGENET_UNITS
from odenet.models.resnet import ResNetConfig
from odenet.models.transition import TransitionConfig

_CIFAR = (20, 32, 44, 56, 110, 1202)
_CIFAR_PREACTIVATION = (164, 1001)

Arrays = Callable[[int, int], tuple[ForeignArray, ...]]


@dataclass(frozen=True)
class Architecture:
    """A published network.

    Args:
        model: Configuration of the network.
        arrays: `arrays(num_classes, in_channels)` returns the arrays of its files.
        image_size: Side of the square images of its training.
        last: Name of the last affine map in its files.
    """

    model: ResNetConfig
    arrays: Arrays
    image_size: int
    last: str

    def weight_map(
        self, num_classes: int, in_channels: int, model: ResNetConfig | None = None
    ) -> WeightMap:
        """The map from the names of its files to our network.

        Args:
            num_classes: Outputs of the last affine map.
            in_channels: Channels of the images.
            model: Configuration of a network that differs from the published one; None for that.

        Raises:
            ConfigError: if no published code has such a network.
        """
        model = model or self.model
        return place(self.arrays_in(model, num_classes, in_channels), _Places(model))

    def arrays_in(
        self, model: ResNetConfig, num_classes: int, in_channels: int
    ) -> tuple[ForeignArray, ...]:
        """The arrays in files of a network of this family, published or not."""
        return arrays_of(model, self.last, num_classes, in_channels)


def _architectures() -> dict[str, Architecture]:
    found = {}
    for depth in _CIFAR:
        found[f"resnet{depth}"] = Architecture(
            ResNetConfig(depth=depth, zeros="around"),
            lambda n, c, d=depth: cifar_arrays(d, n, c),
            32,
            "linear",
        )
    for depth in _CIFAR_PREACTIVATION:
        model = ResNetConfig(depth=depth, unit="bottleneck", arrangement="full_preactivation")
        found[f"resnet{depth}"] = Architecture(
            model, lambda n, c, d=depth: preactivation_arrays(d, n, c), 32, "fc"
        )
    for depth in IMAGENET_UNITS:
        strided = 2 if depth >= 50 else 1
        model = ResNetConfig(layout="imagenet", depth=depth, strided_weight=strided)
        found[f"resnet{depth}"] = Architecture(
            model, lambda n, c, d=depth: torchvision_arrays(d, n, c), 224, "fc"
        )
    return found


ARCHITECTURES: Mapping[str, Architecture] = _architectures()
"""Published networks by name: torchvision's for ImageNet, He's for CIFAR."""


_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}
_AFFINE = {"weight": "kernel", "bias": "bias"}


class _Places:
    """`places(array) -> (dotted path of our array, layer in it or None)`."""

    def __init__(self, model: ResNetConfig):
        self._is_preactivated = model.arrangement == "full_preactivation"
        self._transitions = [stage.projection.unit for stage in model.expanded().stages]

    def __call__(self, array: ForeignArray) -> tuple[str, int | None]:
        if array.part == "fc":
            return f"head.linear.{_AFFINE[array.tensor]}", None
        if array.part == "last_bn":
            return f"head.norm.{_NORM[array.tensor]}", None
        if array.stage is None or array.unit is None:
            stem = ".stem.operation" if self._transitions[0] else ""
            within = "affine.kernel" if array.part == "conv1" else f"norm.{_NORM[array.tensor]}"
            return f"projections.0.operation{stem}.{within}", None
        transition = self._transitions[array.stage]
        if transition is not None and array.unit == 0:
            operation = ".projection.operation" if array.stage == 0 else ""
            within = self._in_transition(array, transition)
            return f"projections.{array.stage}.operation{operation}.{within}", None
        unit = f"blocks.{array.stage}.weights.stacked"
        unit += "" if self._is_preactivated else ".branch"
        layer = array.unit - (transition is not None)
        return f"{unit}.{_in_branch(array, first_norm=1)}", layer

    def _in_transition(self, array: ForeignArray, transition: TransitionConfig) -> str:
        part = "unit.shortcut.projection.operation"
        if array.part == "downsample.0":
            return f"{part}.kernel" if self._is_preactivated else f"{part}.affine.kernel"
        if array.part == "downsample.1":
            return f"{part}.norm.{_NORM[array.tensor]}"
        if not self._is_preactivated:
            return f"unit.branch.{_in_branch(array, first_norm=1)}"
        if array.part == "bn1":
            assert not transition.activated
            return f"before.norms.0.{_NORM[array.tensor]}"
        return f"unit.branch.{_in_branch(array, first_norm=2)}"


def _in_branch(array: ForeignArray, first_norm: int) -> str:
    """Path of the array in the branch of its unit, whose first norm is `bn{first_norm}`."""
    number = int(array.part[-1])
    if array.part.startswith("conv"):
        return f"weights.{number - 1}.kernel"
    return f"norms.{number - first_norm}.{_NORM[array.tensor]}"
