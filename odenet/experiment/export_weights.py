"""Export of the weights of a run to a file for other programs."""

import warnings
from pathlib import Path

import numpy as np

from odenet.experiment.build import Experiment
from odenet.experiment.config import Overrides
from odenet.experiment.evaluate import load_trained
from odenet.experiment.published import published_network, refuse_other_function, resnet_of
from odenet.models.pretrained import export, flatten, fold_step_sizes, write_safetensors
from odenet.training.checkpoint import Which


class ExportWarning(UserWarning):
    """A file of weights lacks an option of the network."""


def export_weights(
    directory: Path | str,
    file: Path | str,
    which: Which = "last",
    arch: str | None = None,
    data_dir: Path | None = None,
    overrides: Overrides = (),
) -> int:
    """Write the weights and statistics of a run as safetensors.

    Published networks have no step sizes. Step sizes other than 1 are folded into the last norm or
    convolution of their branches, which gives the same function.

    Args:
        directory: A run directory.
        file: The file to write; an existing file is replaced.
        which: The last checkpoint or the best.
        arch: Name of a published network whose array names and layouts the file gets; without it,
            names are odenet's dotted paths, in odenet's layouts.
        data_dir: Folder of the published data sets, or None for the default folder.
        overrides: As in `load_config`, for the data or the devices.

    Returns:
        The number of arrays.

    Raises:
        CheckpointError: if the network has other arrays than the published one, or computes
            another function of them.
        OdenetError: see its other subclasses.
    """
    architecture = None if arch is None else published_network(arch)
    experiment, checkpoint = load_trained(Path(directory), overrides, which, data_dir)
    ours = {**flatten(checkpoint.state.params), **flatten(checkpoint.state.statistics)}
    if architecture is None:
        named = {path: np.asarray(array) for path, array in ours.items()}
    else:
        model = resnet_of(experiment.config.model)
        refuse_other_function(str(arch), architecture, model)
        network = experiment.network(checkpoint.state.params, checkpoint.state.statistics)
        arrays = architecture.arrays_in(model, *_outer(experiment))
        ours = {path: array for path, array in ours.items() if ".step_sizes." not in path}
        named = export(ours, architecture.weight_map(*_outer(experiment), model))
        taus = [np.asarray(taus, np.float64) for taus in network.taus()]
        if any((stage != 1).any() for stage in taus):
            named = fold_step_sizes(named, arrays, taus)
        if model.norm_epsilon != architecture.model.norm_epsilon:
            warnings.warn(
                f"the run has model.norm_epsilon={model.norm_epsilon}, which a file of weights "
                f"does not hold; the published code has {architecture.model.norm_epsilon}: set it "
                f"there",
                ExportWarning,
                stacklevel=2,
            )
    write_safetensors(Path(file), named, {"format": "pt", "arch": arch or "odenet"})
    return len(named)


def _outer(experiment: Experiment) -> tuple[int, int]:
    """Number of outputs of the network, and number of channels of its images."""
    return experiment.dataset.num_outputs, experiment.dataset.input_shape[-1]
