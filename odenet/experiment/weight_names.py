"""Array names: odenet's own, those of published networks, and those in a file."""

from pathlib import Path

from odenet.errors import ConfigError
from odenet.experiment.config import Overrides, override_pairs, parse_config, read_yaml
from odenet.experiment.published import experiment_of, names_of, published_network
from odenet.experiment.shaped_network import shaped_network
from odenet.models.pretrained import read_weight_file

Row = dict[str, str | int | list[int] | None]


def network_names(
    arch: str | None = None,
    experiment_file: Path | str | None = None,
    overrides: Overrides = (),
    data_dir: Path | None = None,
) -> list[Row]:
    """The array names of a network, with the published names if `arch` is given.

    Args:
        arch: Name of a published network; or else
        experiment_file: The experiment of the network.
        overrides: `dotted.key=value` or a mapping.
        data_dir: Folder of the published data sets, or None for the default folder.

    Returns:
        For every array `ours`, odenet's dotted path, and its `shape`. With `arch` one row for every
        published array: also `foreign`, the published name, `layer`, the index of the layer in
        `ours`, and `layout`.

    Raises:
        ConfigError: if not exactly one of `arch` and `experiment_file` is given, or a value is
            wrong.
    """
    if (arch is None) == (experiment_file is None):
        raise ConfigError("names belong to one network: give either --arch or --experiment")
    pairs = override_pairs(overrides)
    if arch is None:
        file = Path(str(experiment_file))
        config = parse_config(read_yaml(file), pairs, str(file))
        shapes = shaped_network(config, config.data.outline(data_dir)).shapes
        return [{"ours": path, "shape": list(shape)} for path, shape in shapes.items()]
    architecture = published_network(arch)
    config = experiment_of(arch, architecture, pairs)
    outline = config.data.outline(data_dir)
    shapes = shaped_network(config, outline).shapes
    known = names_of(architecture, config.model, outline.num_outputs, outline.input_shape[-1])
    return [
        {"ours": entry.ours, "shape": list(shapes.get(entry.ours, ()))}
        | {"foreign": entry.foreign, "layer": entry.layer, "layout": entry.layout}
        for entry in known.entries
    ]


def file_names(file: Path | str) -> list[Row]:
    """The arrays in a file of weights: `set`, `name`, `shape` and `type` of each.

    Raises:
        CheckpointError: if the file cannot be read.
    """
    return [
        {"set": key, "name": name, "shape": list(array.shape), "type": str(array.dtype)}
        for key, arrays in read_weight_file(Path(file)).sets.items()
        for name, array in arrays.items()
    ]
