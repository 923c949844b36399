"""Stability of a network from its run directory: measured, and written beside the run."""

from pathlib import Path
from typing import Any

from odenet.analysis.stability import plain, stability
from odenet.analysis.stability_probe import STABILITY_EXAMPLES
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, look_at


def analyse_stability(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "train",
    moment: Moment = "last",
    num_examples: int = STABILITY_EXAMPLES,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Measure whether the layers of a network are stable steps, and how perturbations grow.

    The result is also written into the run directory, as `stability.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples along whose paths it is measured.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if a layer is no step of a method, a state is not finite, or `num_examples` is
            less than 1.
        OdenetError: as its other children say.
    """
    subject = look_at(directory, overrides, split, moment, data_dir)
    inputs = subject.normalized(subject.examples(num_examples))
    found = {
        "num_examples": len(inputs),
        "blocks": [plain(block) for block in stability(subject.network, inputs)],
    }
    return subject.write("stability", found)
