"""Effective depth of a network from its run directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from odenet.analysis.effective_depth import BlockDepth, check_lesions, depth_of_block
from odenet.arrays import Array
from odenet.errors import ConfigError
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, look_at


def analyse_effective_depth(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "test",
    moment: Moment = "last",
    num_examples: int = 1000,
    threshold: float = 0.01,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Measure what every layer adds, what its loss costs, and which neighbours can be merged.

    The result is also written into the run directory, as `effective_depth.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples that scores are averaged over, in one batch.
        threshold: Largest fall of the accuracy, or relative rise of the loss of a regression, with
            which fewer layers count as enough; above 0 and below 1.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if no layer of the network can be left out, or the threshold is out of range.
        OdenetError: as its other children say.
    """
    if not 0 < threshold < 1:
        raise ConfigError(
            f"the threshold is a fall of accuracy, above 0 and below 1; got {threshold}"
        )
    subject = look_at(directory, overrides, split, moment, data_dir)
    network = subject.network
    check_lesions(network)
    examples = subject.examples(num_examples)
    inputs, targets = subject.normalized(examples), jnp.asarray(examples.targets)

    def score(outputs: Array):
        scores = subject.experiment.objective.loss(outputs, targets)
        return {name: jnp.mean(values) for name, values in scores.items()}

    blocks = [depth_of_block(network, index, inputs, score) for index in range(len(network.blocks))]
    found = {
        "num_examples": len(examples),
        "threshold": threshold,
        "scores": {name: float(values[0]) for name, values in blocks[0].removed.items()},
        "blocks": [_plain(block, threshold) for block in blocks],
    }
    return subject.write("effective-depth", found)


def _plain(block: BlockDepth, threshold: float) -> dict[str, Any]:
    return {
        "num_layers": len(block.taus),
        "effective_depth": block.effective_depth(threshold),
        "participation": block.participation,
        "taus": block.taus.tolist(),
        "contributions": block.contributions.tolist(),
        "left_out": _lists(block.left_out),
        "merged": None if block.merged is None else _lists(block.merged),
        "removed": _lists(block.removed),
        "order": block.order.tolist(),
    }


def _lists(scores: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in scores.items()}
