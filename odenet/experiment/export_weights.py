"""The weights of a run as a file, for other programs."""

from pathlib import Path

import numpy as np

from odenet.experiment.config import Overrides
from odenet.experiment.evaluate import load_trained
from odenet.experiment.published import names_of, published_network
from odenet.models.pretrained import export, flatten, write_safetensors
from odenet.training.checkpoint import Which


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
    architecture = None if arch is None else published_network(arch)
    experiment, checkpoint = load_trained(Path(directory), overrides, which, data_dir)
    ours = {**flatten(checkpoint.state.params), **flatten(checkpoint.state.statistics)}
    if architecture is None:
        named = {path: np.asarray(array) for path, array in ours.items()}
    else:
        dataset = experiment.dataset
        channels = dataset.input_shape[-1]
        names = names_of(architecture, experiment.config.model, dataset.num_outputs, channels)
        named = export(ours, names)
    write_safetensors(Path(file), named, {"format": "pt", "arch": arch or "odenet"})
    return len(named)
