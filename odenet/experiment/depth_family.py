"""The common configuration of runs of one experiment at several depths."""

from typing import Any

from odenet.experiment.config import ExperimentConfig, resolved


def depth_family(config: ExperimentConfig) -> dict[str, Any]:
    """The experiment without its seed and the numbers of steps of its blocks.

    Two runs with an equal result differ at most in their depth and seed.
    """

    def without(values: Any) -> Any:
        if isinstance(values, dict):
            return {key: without(value) for key, value in values.items() if key != "num_steps"}
        return [without(value) for value in values] if isinstance(values, list) else values

    plain = resolved(config) | {"seed": 0}
    return plain | {"model": without(plain["model"])}
