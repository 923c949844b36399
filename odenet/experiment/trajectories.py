"""Trajectories through a network from its run directory: followed, and written beside the run."""

from pathlib import Path
from typing import Any

import numpy as np

from odenet.analysis.trajectories import plain, trajectories
from odenet.data import normalize
from odenet.errors import ConfigError
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, look_at


def analyse_trajectories(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "train",
    moment: Moment = "last",
    num_examples: int = 64,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Follow examples through the depth of a network, and count where their paths cross.

    The result is also written into the run directory, as `trajectories.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples that are followed, two or more.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if a state is not finite, or `num_examples` is less than 2.
        OdenetError: as its other children say.
    """
    if num_examples < 2:
        raise ConfigError(f"paths cross in pairs, so two or more are followed; got {num_examples}")
    subject = look_at(directory, overrides, split, moment, data_dir)
    examples = subject.examples(num_examples)
    inputs = normalize(examples.inputs, subject.experiment.dataset.normalization)
    found = {
        "num_examples": len(examples),
        "targets": np.asarray(examples.targets).reshape(len(examples), -1)[:, 0].tolist(),
        "blocks": [plain(block) for block in trajectories(subject.network, inputs)],
    }
    return subject.write("trajectories", found)
