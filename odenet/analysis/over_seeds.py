"""Mean and standard deviation over trainings of one network from several seeds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Spread:
    """Values of one quantity, one for each seed.

    Attributes:
        values: Values in the order of the seeds.
        mean: Their mean.
        standard_deviation: Their sample standard deviation (n - 1); None for one seed.
    """

    values: tuple[float, ...]
    mean: float
    standard_deviation: float | None

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Mean and standard deviation of at least one number."""
        mean = math.fsum(values) / len(values)
        if len(values) == 1:
            return Spread(tuple(values), mean, None)
        squares = math.fsum((value - mean) ** 2 for value in values)
        return Spread(tuple(values), mean, math.sqrt(squares / (len(values) - 1)))


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Spread]:
    """Mean and standard deviation of the results of one network from several seeds.

    Args:
        results: The content of the `results.json` of each training.

    Returns:
        `test_error` (classifiers), `test_loss`, and, for a network whose depth is time, `horizon`,
        the sum of all step sizes.
    """
    found = {"test_loss": [result["test"]["loss"] for result in results]}
    if all("accuracy" in result["test"] for result in results):
        errors = [1 - result["test"]["accuracy"] for result in results]
        found = {"test_error": errors} | found
    if all(result["taus"] for result in results):
        found["horizon"] = [math.fsum(map(math.fsum, result["taus"])) for result in results]
    return {name: Spread.of(values) for name, values in found.items()}
