"""Weights from elsewhere as a run directory, and those of a run as a file."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from odenet.errors import CheckpointError, ConfigError
from odenet.experiment.build import Experiment, build
from odenet.experiment.config import (
    ExperimentConfig,
    Overrides,
    override_pairs,
    parse_config,
    read_yaml,
    to_yaml,
)
from odenet.experiment.directory import CONFIG, RUN, STATUS, RunDirectory, full_disk_named
from odenet.experiment.evaluate import load_trained
from odenet.experiment.explain import nearest
from odenet.experiment.provenance import provenance
from odenet.experiment.weight_map_file import load_weight_map
from odenet.models.pretrained import (
    ARCHITECTURES,
    Architecture,
    WeightEntry,
    WeightMap,
    convert,
    export,
    flatten,
    read_weights,
    shapes_of,
    write_safetensors,
)
from odenet.training import Checkpointer
from odenet.training.checkpoint import Which
from odenet.training.loop import Progress

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PARALLEL = "module."


def import_weights(
    file: Path | str,
    directory: Path | str,
    arch: str | None = None,
    experiment_file: Path | str | None = None,
    map_file: Path | str | None = None,
    overrides: Overrides = (),
    data_dir: Path | None = None,
) -> Experiment:
    """Make a run directory of weights from elsewhere, as if they had been trained here.

    It can be evaluated, trained on from step 0, and started from. Nothing is written unless every
    array of the file has its place in the network, and every array of the network its own.

    Args:
        file: A file of PyTorch or of safetensors.
        directory: Run directory to make.
        arch: Name of a published network, a key of `ARCHITECTURES`; or else
        experiment_file: The experiment whose network the weights are for.
        map_file: What the file calls its arrays, if neither as the published files of `arch` nor,
            with `experiment_file`, by our own dotted paths.
        overrides: `dotted.key=value` or a mapping, for the data say.
        data_dir: Folder of the published data sets, or None for the usual places.

    Returns:
        What the directory holds, with the imported weights as its start.

    Raises:
        ConfigError: if not one of `arch` and `experiment_file` is given, or a value is wrong.
        CheckpointError: if the file cannot be read or does not fit; it lists every array that is
            missing, extra or misshapen.
        OdenetError: as its other children say.
    """
    file = Path(file)
    architecture = None if arch is None else _architecture(arch)
    if (architecture is None) == (experiment_file is None):
        raise ConfigError("weights belong to one network: give one of --arch and --experiment")
    content = _without_wrapper(read_weights(file))
    parsed = override_pairs(overrides)
    if architecture is None:
        config = parse_config(read_yaml(Path(str(experiment_file))), parsed, str(experiment_file))
    else:
        config = _experiment_of(str(arch), architecture, parsed)
    experiment = build(config, data_dir)
    state = experiment.start
    ours = {**shapes_of(state.params), **shapes_of(state.statistics)}
    known = _own_names(ours) if architecture is None else _names(architecture, experiment)
    weight_map = known if map_file is None else load_weight_map(Path(map_file)).build(known)
    arrays = convert(content, weight_map, ours)
    state = dataclasses.replace(
        state,
        params=_filled(state.params, arrays),
        statistics=_filled(state.statistics, arrays),
    )
    directory = Path(directory)
    with full_disk_named(directory), RunDirectory.create(directory) as place:
        about = {"num_parameters": experiment.num_parameters, "kind": "run"}
        about |= {"data_source": experiment.dataset.source}
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        about |= {"weights": {"file": str(file), "sha256": digest, "arch": arch}}
        place.write_json(RUN, about | provenance(data_dir, experiment.placement.devices))
        _save(place.file("checkpoints"), experiment, state)
        place.write_json(STATUS, {"state": "imported", "step": 0})
        place.write_text(CONFIG, to_yaml(config))
    return dataclasses.replace(experiment, start=experiment.placement.place(state))


def export_weights(
    directory: Path | str,
    file: Path | str,
    which: Which = "last",
    arch: str | None = None,
    data_dir: Path | None = None,
    overrides: Overrides = (),
) -> int:
    """Write the weights and statistics of a run as safetensors.

    Args:
        directory: A run directory.
        file: The file to write; one of that name is replaced.
        which: The last checkpoint or the best.
        arch: Name of a published network whose names and layouts the file gets; without it, names
            are our dotted paths, and layouts ours.
        data_dir: Folder of the published data sets, or None for the usual places.
        overrides: As in `load_config`, for the data or the devices.

    Returns:
        The number of arrays.

    Raises:
        CheckpointError: if the network has other arrays than the published one.
        OdenetError: as its other children say.
    """
    architecture = None if arch is None else _architecture(arch)
    experiment, checkpoint = load_trained(Path(directory), overrides, which, data_dir)
    ours = {**flatten(checkpoint.state.params), **flatten(checkpoint.state.statistics)}
    if architecture is None:
        named = {path: np.asarray(array) for path, array in ours.items()}
    else:
        named = export(ours, _names(architecture, experiment))
    write_safetensors(Path(file), named, {"format": "pt", "arch": arch or "odenet"})
    return len(named)


def _architecture(arch: str) -> Architecture:
    if arch not in ARCHITECTURES:
        raise ConfigError(
            f"--arch is the name of a published network, {', '.join(ARCHITECTURES)}; got {arch!r}; "
            f"{nearest(arch, ARCHITECTURES)}"
        )
    return ARCHITECTURES[arch]


def _experiment_of(
    name: str, architecture: Architecture, overrides: Sequence[tuple[str, Any]]
) -> ExperimentConfig:
    """The experiment of a published network, on CIFAR-10 unless other data are given."""
    values: dict[str, Any] = {
        "name": name,
        "description": "Weights from elsewhere.",
        "model": architecture.model.model_dump(mode="json", exclude_none=True),
    }
    given = [key for key, _ in overrides if key == "data" or key.startswith("data.")]
    if architecture.image_size == 32:
        normalize = {"mean": _IMAGENET_MEAN, "std": _IMAGENET_STD}
        values["data"] = {"kind": "cifar10", "normalize": normalize}
    elif not given:
        raise ConfigError(
            f"{name} is a network for images of side {architecture.image_size}, of which no set "
            f"comes with this package; give your own, such as data.kind=npz data.path=FILE"
        )
    else:
        values["data"] = {}
    return parse_config(values, overrides, name)


def _names(architecture: Architecture, experiment: Experiment) -> WeightMap:
    dataset = experiment.dataset
    return architecture.weight_map(dataset.num_outputs, dataset.input_shape[-1])


def _own_names(ours: Mapping[str, tuple[int, ...]]) -> WeightMap:
    return WeightMap(tuple(WeightEntry(path, path) for path in ours))


def _without_wrapper(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]],
) -> Mapping[str, Shaped[np.ndarray, "..."]]:
    """The arrays without the prefix that PyTorch's wrapper for several devices gives all names."""
    if not all(name.startswith(_PARALLEL) for name in arrays):
        return arrays
    return {name.removeprefix(_PARALLEL): array for name, array in arrays.items()}


def _filled(tree: Any, arrays: Any) -> Any:
    """The nested dict with its leaves replaced by those of `arrays`, in the same types."""
    if not isinstance(tree, Mapping):
        return jax.numpy.asarray(arrays, tree.dtype)
    return {key: _filled(value, arrays[key]) for key, value in tree.items()}


def _save(folder: Path, experiment: Experiment, state: Any) -> None:
    checkpointer = Checkpointer(folder, experiment.config.training.keep_checkpoints)
    try:
        with experiment.batches() as batches:
            data = batches.state() | {"step": 0}
        extras = {"progress": dataclasses.asdict(Progress()), "data": data}
        for which in ("start", "last", "best"):
            checkpointer.save(which, 0, state, extras)
        checkpointer.wait()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        checkpointer.close()
