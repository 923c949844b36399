"""Published networks as experiments: by name, with their names for arrays."""

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
    # The padding is left to what the file needs: weights of Flax have another than these.
    model = architecture.model.model_dump(mode="json", exclude_none=True, exclude={"padding"})
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


def with_padding_of_flax(config: ExperimentConfig, is_own: bool) -> tuple[ExperimentConfig, str]:
    """The experiment with the padding that Flax has by default, where it does not say which.

    Args:
        config: The experiment.
        is_own: Whether it is a file of the user's, and not that of a published network.

    Returns:
        The experiment, and what was assumed.
    """
    model = config.model.resnet
    if model is None:
        return config, (
            "convolutions are padded as the experiment says for each (`padding`); Flax's own "
            "default is same, which differs from PyTorch's symmetric where they stride"
        )
    stated = model.padding
    if "padding" in model.model_fields_set:
        return config, f"the images are padded by model.padding={stated}, as was asked"
    changes = {"model.padding": "same"}
    # Flax's example pads its first convolution as PyTorch does, its maximum as Flax does.
    if model.layout == "imagenet" and not is_own and model.stem_padding is None:
        changes["model.stem_padding"] = "symmetric"
    said = " and ".join(f"{key}={value}" for key, value in changes.items())
    return variant(config, changes), (
        f"{said} is assumed, as in Flax and its examples; set it where the network was trained "
        f"otherwise: a wrong padding loses accuracy without a word"
    )


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
    return architecture.weight_map(num_outputs, in_channels, resnet_of(model))


def resnet_of(model: ModelConfig) -> ResNetConfig:
    """The model, if it is of the family that published names are of.

    Raises:
        ConfigError: if it is not.
    """
    if model.resnet is None:
        raise ConfigError(
            f"the names of a published network are those of model.kind=resnet; got {model.kind}; "
            f"name its arrays by a map with entries"
        )
    return model.resnet


def refuse_other_function(name: str, architecture: Architecture, model: ResNetConfig) -> None:
    """Refuse to give a network the names of one that computes something else from its arrays.

    Args:
        name: Of the published network.
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
                f"export by our names, without --arch"
            )
    if model.integrator.layer_remat is None:
        raise CheckpointError(
            f"the units of {name} add their branches, which is model.integrator.kind=euler; the "
            f"run has {model.integrator.kind}; export by our names, without --arch"
        )
