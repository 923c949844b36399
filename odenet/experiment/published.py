"""Published networks as experiments, with their array names."""

from collections.abc import Sequence
from typing import Any

from odenet.errors import CheckpointError, ConfigError
from odenet.experiment.config import ExperimentConfig, parse_config, variant
from odenet.models import ModelConfig
from odenet.models.pretrained import ARCHITECTURES, Architecture, WeightMap
from odenet.models.resnet import ResNetConfig
from odenet.part.explain import nearest

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_network(arch: str) -> Architecture:
    """The published network `arch`.

    Raises:
        ConfigError: if there is none; the message names the nearest.
    """
    if arch not in ARCHITECTURES:
        raise ConfigError(
            f"--arch must be a published network, {', '.join(ARCHITECTURES)}; got {arch!r}; "
            f"{nearest(arch, ARCHITECTURES)}"
        )
    return ARCHITECTURES[arch]


def experiment_of(
    name: str, architecture: Architecture, overrides: Sequence[tuple[str, Any]]
) -> ExperimentConfig:
    """The experiment of a published network, on CIFAR-10 unless overrides set other data.

    Args:
        name: Name of the network.
        architecture: The network.
        overrides: Pairs of dotted key and value.

    Raises:
        ConfigError: if a value is wrong, or there are no data of that size.
    """
    # The padding follows from the file: weights of Flax need another one than weights of PyTorch.
    model = architecture.model.model_dump(mode="json", exclude_none=True, exclude={"padding"})
    chosen = dict(overrides).get("model.shortcut")
    if chosen not in (None, "zero_pad"):
        model.pop("zeros")  # an option of zero_pad alone
    values: dict[str, Any] = {
        "name": name,
        "description": "Imported weights.",
        "model": model,
    }
    given = [key for key, _ in overrides if key == "data" or key.startswith("data.")]
    if architecture.image_size == 32:
        normalize = {"mean": _IMAGENET_MEAN, "std": _IMAGENET_STD}
        values["data"] = {"kind": "cifar10", "normalize": normalize}
    elif not given:
        side = architecture.image_size
        raise ConfigError(
            f"{name} is a network for images of side {side}, and this package has no such data "
            f"set; give your own, such as data.kind=npz data.path=FILE, or none: "
            f"'data={{kind: absent, shape: [{side}, {side}, 3], num_classes: 1000}}'"
        )
    else:
        values["data"] = {}
    return parse_config(values, overrides, name)


def with_padding_of_flax(config: ExperimentConfig, is_own: bool) -> tuple[ExperimentConfig, str]:
    """The experiment with Flax's default padding, unless the experiment sets a padding.

    Args:
        config: The experiment.
        is_own: Whether the experiment is a user's file, not a published network.

    Returns:
        The experiment, and a note on the assumed padding.
    """
    model = config.model.resnet
    if model is None:
        return config, (
            "convolutions have the padding of the experiment (`padding`); Flax's default is same, "
            "which differs from PyTorch's symmetric for strided convolutions"
        )
    stated = model.padding
    if "padding" in model.model_fields_set:
        return config, f"the convolutions have the given model.padding={stated}"
    changes = {"model.padding": "same"}
    # Flax's example pads the first convolution as in PyTorch, the max pooling as in Flax.
    if model.layout == "imagenet" and not is_own and model.stem_padding is None:
        changes["model.stem_padding"] = "symmetric"
    said = " and ".join(f"{key}={value}" for key, value in changes.items())
    return variant(config, changes), (
        f"{said} is assumed, as in Flax and its examples; set it if the network was trained with "
        f"another padding: a wrong padding lowers the accuracy without an error"
    )


def names_of(
    architecture: Architecture, model: ModelConfig, num_outputs: int, in_channels: int
) -> WeightMap:
    """The published array names for a network that may differ from the published one.

    Args:
        architecture: The published network.
        model: The network.
        num_outputs: Number of outputs of the last layer.
        in_channels: Number of channels of the images.

    Raises:
        ConfigError: if the network is of another family.
    """
    return architecture.weight_map(num_outputs, in_channels, resnet_of(model))


def resnet_of(model: ModelConfig) -> ResNetConfig:
    """The model as a residual network, the only kind with published array names.

    Raises:
        ConfigError: if it is of another kind.
    """
    if model.resnet is None:
        raise ConfigError(
            f"published array names exist only for model.kind=resnet; got {model.kind}; "
            f"name its arrays by a map with entries"
        )
    return model.resnet


def refuse_other_function(name: str, architecture: Architecture, model: ResNetConfig) -> None:
    """Refuse to export a network by the names of one that computes another function.

    Args:
        name: Name of the published network.
        architecture: The published network.
        model: The network.

    Raises:
        CheckpointError: naming the option.
    """
    published = architecture.model
    options = ["layout", "depth", "width", "arrangement", "strided_weight", "padding"]
    options += ["zeros"] if model.option == published.option == "zero_pad" else []
    values = [(option, getattr(model, option), getattr(published, option)) for option in options]
    values.append(("unit", model.unit_kind, published.unit_kind))
    for option, own, other in values:
        if own != other:
            raise CheckpointError(
                f"a file with the names of {name} is read by the published code, which has "
                f"model.{option}={other}; the run has {own}, another function of the same arrays; "
                f"export by odenet's names, without --arch"
            )
    if model.integrator.layer_remat is None:
        raise CheckpointError(
            f"the units of {name} add their branches, as in model.integrator.kind=euler; the "
            f"run has {model.integrator.kind}; export by odenet's names, without --arch"
        )
