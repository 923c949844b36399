"""Import of weights from a file into a run directory."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from odenet.data.source import Outline
from odenet.errors import CheckpointError, ConfigError
from odenet.experiment.config import (
    ExperimentConfig,
    Overrides,
    load_config,
    override_pairs,
    to_yaml,
    variant,
)
from odenet.experiment.directory import CONFIG, RUN, STATUS, RunDirectory, full_disk_named
from odenet.experiment.export_weights import export_weights as export_weights
from odenet.experiment.provenance import provenance
from odenet.experiment.published import (
    experiment_of,
    names_of,
    published_network,
    resnet_of,
    with_padding_of_flax,
)
from odenet.experiment.shaped_network import ShapedNetwork, shaped_network
from odenet.experiment.weight_map_file import load_weight_map
from odenet.models import Network
from odenet.models.pretrained import (
    WeightEntry,
    WeightMap,
    convert,
    in_flax_names,
    match_names,
    read_weight_file,
)
from odenet.models.pretrained.diagnosis import Diagnosis
from odenet.models.transfer import LAST, stem_of
from odenet.training import Checkpointer
from odenet.training.loop import Progress
from odenet.training.state import TrainState, init_state


@dataclasses.dataclass(frozen=True)
class ImportedWeights:
    """An imported network.

    Attributes:
        config: The experiment of the run directory.
        graphdef: Structure of the network.
        start: State before the first step, with the weights of the file.
        num_parameters: Number of trainable parameters.
        notes: Notes for the user: removed prefixes, assumptions, deviations from the request.
    """

    config: ExperimentConfig
    graphdef: nnx.GraphDef
    start: TrainState
    num_parameters: int
    notes: tuple[str, ...]

    def network(self, params: Any, statistics: Any) -> Network:
        """The network with the given parameters and statistics."""
        return nnx.merge(self.graphdef, params, statistics)


def import_weights(
    file: Path | str,
    directory: Path | str,
    arch: str | None = None,
    experiment_file: Path | str | None = None,
    map_file: Path | str | None = None,
    overrides: Overrides = (),
    data_dir: Path | None = None,
    which: str | None = None,
    verbose: bool = True,
) -> ImportedWeights:
    """Create a run directory from a file of weights.

    The run can be evaluated, trained from step 0, or named in `start.run`. Nothing is written
    unless the arrays of the file and of the network correspond one to one. A common prefix of all
    names is removed if the names without it are known. If the numbers of classes or channels in the
    file differ from the data, the network takes those of the file, and the run has
    `data.kind=absent`.

    Args:
        file: A file of PyTorch, safetensors, or Flax (msgpack).
        directory: Run directory to create.
        arch: Name of a published network, a key of `ARCHITECTURES`; or else
        experiment_file: The experiment of the network of the weights.
        map_file: Map of array names, if the file has neither the published names of `arch` nor,
            with `experiment_file`, odenet's dotted paths.
        overrides: `dotted.key=value` or a mapping, for example for the data.
        data_dir: Folder of the published data sets, or None for the default folder.
        which: The set of weights if the file holds several, or a prefix of names.
        verbose: Whether errors list all arrays that do not fit, or the first of each kind.

    Returns:
        The imported network.

    Raises:
        ConfigError: if not exactly one of `arch` and `experiment_file` is given, or a value is
            wrong.
        CheckpointError: if the file cannot be read or does not fit; the message lists missing,
            extra and misshapen arrays.
        OdenetError: see its other subclasses.
    """
    file, directory = Path(file), Path(directory)
    architecture = None if arch is None else published_network(arch)
    if (architecture is None) == (experiment_file is None):
        raise ConfigError("weights belong to one network: give either --arch or --experiment")
    content = read_weight_file(file)
    arrays = content.choose(which)
    parsed = override_pairs(overrides)
    if architecture is None:
        config = load_config(str(experiment_file), parsed)
    else:
        config = experiment_of(str(arch), architecture, parsed)
    notes = []
    if content.origin == "flax":
        config, assumed = with_padding_of_flax(config, architecture is None)
        notes.append(assumed)
    outline = config.data.outline(data_dir)
    _check_kind(config, outline)
    if outline.num_train is not None:
        config.training.check_data(outline.num_train)

    def names(outline: Outline, ours: Mapping[str, tuple[int, ...]]) -> WeightMap:
        if architecture is None:
            known = WeightMap(tuple(WeightEntry(path, path) for path in ours))
        else:
            sizes = outline.num_outputs, outline.input_shape[-1]
            known = names_of(architecture, config.model, *sizes)
            arrays = architecture.arrays_in(resnet_of(config.model), *sizes)
            if content.origin == "flax" and map_file is None:
                return in_flax_names(known, arrays)
        chosen = known if map_file is None else load_weight_map(Path(map_file)).build(known)
        return chosen.for_flax() if content.origin == "flax" else chosen

    shaped = shaped_network(config, outline)
    weight_map = names(outline, shaped.shapes)
    matched = match_names(arrays, weight_map)
    notes += [f"names were read without {matched.stripped}"] if matched.stripped else []
    found = _outline_of_file(matched.arrays, weight_map, shaped, outline)
    if found != outline:
        notes.append(_other_data(outline, found, directory))
        outline, config = found, variant(config, {"data": _absent(found)})
        shaped = shaped_network(config, outline)
        weight_map = names(outline, shaped.shapes)
    hints = Diagnosis(arrays, matched, weight_map)
    filled = convert(matched.arrays, weight_map, shaped.shapes, hints=hints, verbose=verbose)
    state = _state(config, shaped, filled)
    with full_disk_named(directory), RunDirectory.create(directory) as run_directory:
        about = {"num_parameters": shaped.num_parameters, "kind": "run"}
        about |= {"data_source": outline.source}
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        record = {"file": str(file), "sha256": digest, "arch": arch, "set": which, "notes": notes}
        about |= {"weights": record}
        run_directory.write_json(RUN, about | provenance(data_dir, jax.devices()[:1]))
        _save(run_directory.file("checkpoints"), config, outline, state)
        run_directory.write_json(STATUS, {"state": "imported", "step": 0})
        run_directory.write_text(CONFIG, to_yaml(config))
    return ImportedWeights(config, shaped.graphdef, state, shaped.num_parameters, tuple(notes))


def _check_kind(config: ExperimentConfig, outline: Outline) -> None:
    if config.model.is_classifier != outline.has_classes:
        targets = "classes" if outline.has_classes else "values"
        kind = "classifier" if outline.has_classes else "regressor"
        raise ConfigError(
            f"model.kind={config.model.kind} does not fit data.kind={config.data.kind}, whose "
            f"targets are {targets}; use model.kind={kind}"
        )


def _outline_of_file(
    arrays: Mapping[str, np.ndarray], weight_map: WeightMap, shaped: ShapedNetwork, outline: Outline
) -> Outline:
    """The outline of the data according to the file: numbers of outputs and channels."""
    foreign = {name: tuple(array.shape) for name, array in arrays.items()}
    head = weight_map.our_shape(LAST.replace("/", ".") + ".kernel", foreign)
    num_outputs = head[-1] if head else outline.num_outputs
    stem = stem_of(f"params/{path.replace('.', '/')}" for path in shaped.shapes).replace("/", ".")
    kernels = [path for path in shaped.shapes if path.startswith(stem) and "kernel" in path]
    first = weight_map.our_shape(kernels[0], foreign) if len(kernels) == 1 else None
    channels = outline.input_shape[-1]
    if first is not None:
        own = shaped.shapes[kernels[0]]
        # The kernel of a stem that flattens images has pixels and channels in one axis.
        if len(first) == len(own) >= 2 and own[-2] == channels:
            channels = first[-2]
    if (num_outputs, channels) == (outline.num_outputs, outline.input_shape[-1]):
        return outline
    shape = (*outline.input_shape[:-1], channels)
    source = "the unknown training data of imported weights"
    return Outline(shape, num_outputs, outline.has_classes, source, None)


def _absent(outline: Outline) -> dict[str, Any]:
    outputs = {"num_classes" if outline.has_classes else "num_values": outline.num_outputs}
    return {"kind": "absent", "shape": list(outline.input_shape), **outputs}


def _other_data(asked: Outline, found: Outline, directory: Path) -> str:
    """A note on a file of weights that does not fit the data of the experiment."""
    what = "classes" if found.has_classes else "values"
    options, differs = [], []
    if found.num_outputs != asked.num_outputs:
        differs.append(f"{found.num_outputs} {what}, the data {asked.num_outputs}")
        options.append("last: reinitialise")
    if found.input_shape != asked.input_shape:
        channels = found.input_shape[-1], asked.input_shape[-1]
        differs.append(f"{channels[0]} channels, the data {channels[1]}")
        options.append("first: sum_channels" if 1 in channels else "first: reinitialise")
    return (
        f"the file has {' and '.join(differs)}: the network is the file's, and the run has "
        f"data.kind=absent; train it further on your data with: odenet run {directory}/config.yaml "
        f"'data={{kind: ...}}' 'start={{run: {directory}, {', '.join(options)}}}'"
    )


def _state(config: ExperimentConfig, shaped: ShapedNetwork, arrays: Any) -> TrainState:
    """The state before the first step."""
    params, statistics = _filled(shaped.params, arrays), _filled(shaped.statistics, arrays)
    training = config.training
    optimizer = training.optimizer.build(training.num_steps, params, ())
    _, train_key = jax.random.split(jax.random.key(config.seed))
    return init_state(params, statistics, optimizer, train_key)


def _filled(tree: Any, arrays: Any) -> Any:
    """The nested dict with the leaves of `arrays`, cast to the dtypes of `tree`."""
    if not isinstance(tree, Mapping):
        return jax.numpy.asarray(arrays, tree.dtype)
    return {key: _filled(value, arrays[key]) for key, value in tree.items()}


def _save(folder: Path, config: ExperimentConfig, outline: Outline, state: TrainState) -> None:
    checkpointer = Checkpointer(folder, config.training.keep_checkpoints)
    extras: dict[str, Any] = {"progress": dataclasses.asdict(Progress())}
    if outline.num_train is not None:
        position = {"step": 0, "seed": config.seed, "batch_size": config.training.batch_size}
        extras["data"] = position | {"num_examples": outline.num_train}
    try:
        for which in ("start", "last", "best"):
            checkpointer.save(which, 0, state, extras)
        checkpointer.wait()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        checkpointer.close()
