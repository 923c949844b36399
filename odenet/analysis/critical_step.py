"""The step size of a training below which the trained network is an ODE (Ott et al. 2021)."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class TrainedAt:
    """A network trained at one step size, and its accuracy under another solver.

    Attributes:
        largest_step: The largest step size of its training.
        num_steps: Number of steps of its first block.
        accuracy: Accuracy as trained.
        reference_accuracy: Accuracy under a near-exact solve.
    """

    largest_step: float
    num_steps: int
    accuracy: float
    reference_accuracy: float

    @property
    def drop(self) -> float:
        """Accuracy as trained minus that under a near-exact solve."""
        return self.accuracy - self.reference_accuracy


@dataclasses.dataclass(frozen=True)
class CriticalStep:
    """The largest step size of training such that every network up to it is an ODE.

    Attributes:
        step: This step size; None if the smallest does not give an ODE either.
        above: The next larger step size, which gives no ODE; None if all do, or none does.
    """

    step: float | None
    above: float | None


def critical_step(trained: Sequence[TrainedAt], threshold: float) -> CriticalStep:
    """Search from the smallest step size upwards for the first network that is no ODE.

    Args:
        trained: Networks that differ in their step size alone, at least one.
        threshold: Largest change of accuracy that counts as none, in (0, 1].
    """
    critical = None
    for one in sorted(trained, key=lambda one: one.largest_step):
        if abs(one.drop) > threshold:
            return CriticalStep(critical, None if critical is None else one.largest_step)
        critical = one.largest_step
    return CriticalStep(critical, None)
