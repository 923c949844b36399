"""Published networks as experiments: by name, with their names for arrays."""

from collections.abc import Sequence
from typing import Any

from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig, parse_config
from odenet.models import ModelConfig
from odenet.models.pretrained import ARCHITECTURES, Architecture, WeightMap
from odenet.models.resnet import ResNetConfig
from odenet.part.explain import nearest

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_network(arch: str) -> Architecture:
    """The published network of that name.

    Raises:
        ConfigError: naming the nearest, if there is none.
    """
    if arch not in ARCHITECTURES:
        raise ConfigError(
            f"--arch is the name of a published network, {', '.join(ARCHITECTURES)}; got {arch!r}; "
            f"{nearest(arch, ARCHITECTURES)}"
        )
    return ARCHITECTURES[arch]


def experiment_of(
    name: str, architecture: Architecture, overrides: Sequence[tuple[str, Any]]
) -> ExperimentConfig:
    """The experiment of a published network, on CIFAR-10 unless other data are given.

    Args:
        name: Of the network.
        architecture: The network.
        overrides: Pairs of dotted key and value.

    Raises:
        ConfigError: if a value is wrong, or there are no data of that size.
    """
    model = architecture.model.model_dump(mode="json", exclude_none=True)
    chosen = dict(overrides).get("model.shortcut")
    if chosen not in (None, "zero_pad"):
        model.pop("zeros")  # the published choice for option A, which the others lack
    values: dict[str, Any] = {
        "name": name,
        "description": "Weights from elsewhere.",
        "model": model,
    }
    given = [key for key, _ in overrides if key == "data" or key.startswith("data.")]
    if architecture.image_size == 32:
        normalize = {"mean": _IMAGENET_MEAN, "std": _IMAGENET_STD}
        values["data"] = {"kind": "cifar10", "normalize": normalize}
    elif not given:
        side = architecture.image_size
        raise ConfigError(
            f"{name} is a network for images of side {side}, of which no set comes with this "
            f"package; give your own, such as data.kind=npz data.path=FILE, or none: "
            f"'data={{kind: absent, shape: [{side}, {side}, 3], num_classes: 1000}}'"
        )
    else:
        values["data"] = {}
    return parse_config(values, overrides, name)


def names_of(
    architecture: Architecture, model: ModelConfig, num_outputs: int, in_channels: int
) -> WeightMap:
    """What the files of a published network call the arrays of one that may differ from it.

    Args:
        architecture: The published network.
        model: The network.
        num_outputs: Outputs of its last layer.
        in_channels: Channels of its images.

    Raises:
        ConfigError: if the network is of another family.
    """
    if not isinstance(model, ResNetConfig):
        raise ConfigError(
            f"the names of a published network are those of model.kind=resnet; got {model.kind}; "
            f"name its arrays by a map with entries"
        )
    return architecture.weight_map(num_outputs, in_channels, model)
