"""Limits of the steps of an adaptive solver, as fractions of the interval."""

from typing import Annotated

from pydantic import Field as Option

LargestStep = Annotated[float, Option(gt=0, le=1)]
"""Largest step, a fraction of the interval."""


def refuse_limits(first_step: float, min_step: float | None, max_step: float | None) -> None:
    """Refuse limits that exclude each other.

    Args:
        first_step: The first step tried; 1 if the solver chooses it.
        min_step: Smallest step, or None.
        max_step: Largest step, or None.

    Raises:
        ValueError: naming the two conflicting limits.
    """
    if max_step is not None and max_step < first_step < 1:
        raise ValueError(
            f"no step is longer than max_step={max_step:g}, got first_step={first_step:g}; lower "
            f"first_step, or raise max_step"
        )
    for name, largest in (("first_step", first_step), ("max_step", max_step)):
        if min_step is not None and largest is not None and largest < min_step:
            raise ValueError(
                f"no step is shorter than min_step={min_step:g}, got {name}={largest:g}; lower "
                f"min_step, or raise {name}"
            )
