"""Agreement of the sides of a benchmark, checked before the timing.

Every side starts from the same weights, in double precision and on a small batch. Outputs,
gradients with respect to every parameter, and parameters after two steps of the optimiser must
agree.
"""

import itertools

import numpy as np

from benchmarks.declaration import Arrays, Comparison, Probe, Settings, Side
from benchmarks.process import Worker
from benchmarks.side_by_side import Each


class Disagreement(AssertionError):  # noqa: N818 - the sides disagree
    """Two sides computed different results, so a comparison of their times would be meaningless."""


def check_agreement(benchmark: Comparison, each: Each) -> dict[str, float]:
    """Compare every side with the first one.

    Args:
        benchmark: The benchmark of the sides.
        each: Calls a function for every side; see `side_by_side`.

    Returns:
        The largest relative difference of `outputs`, `gradients` and `updated`, by name and label
        of the check; empty for a benchmark without checks.

    Raises:
        Disagreement: if the differences exceed the tolerance; names the array that differs most.
    """
    differences = {}
    for check in benchmark.checks:
        settings = dict(benchmark.settings) | dict(check.settings)

        def probe(worker: Worker, side: Side, settings: Settings = settings) -> Probe:
            worker.build(side, settings, double=True)
            return worker.probe()

        suffix = f" ({check.label})" if check.label else ""
        found = compare_probes(benchmark.name + suffix, each(probe), check.tolerance)
        differences |= {part + suffix: error for part, error in found.items()}
    return differences


def compare_probes(name: str, probes: dict[str, Probe], tolerance: float) -> dict[str, float]:
    """Compare the probes of all sides with the first one's; see `check_agreement`."""
    (first, reference), *others = probes.items()
    found = dict.fromkeys(("outputs", "gradients", "updated"), 0.0)
    for (other, probe), part in itertools.product(others, found):
        error, array = largest_difference(getattr(reference, part), getattr(probe, part))
        if not error <= tolerance:
            raise Disagreement(
                f"{name}: {first} and {other} differ in {part} by {error:.2e} (tolerance: "
                f"{tolerance:.0e}), most in {array}"
            )
        found[part] = max(found[part], error)
    return found


def largest_difference(ours: Arrays, theirs: Arrays) -> tuple[float, str]:
    """Largest difference of two dicts of arrays, relative to the largest entry of each array.

    Returns:
        The difference and the name of its array; infinite if names, shapes or precision differ.
    """
    if set(ours) != set(theirs):
        return float("inf"), f"names: {sorted(set(ours) ^ set(theirs))}"
    worst = (0.0, "")
    for name, a in ours.items():
        b = theirs[name]
        if a.shape != b.shape or a.dtype != np.float64 or b.dtype != np.float64:
            return float("inf"), f"{name}: {a.shape} {a.dtype} and {b.shape} {b.dtype}"
        scale = max(float(np.abs(a).max()), 1e-12)
        error = float(np.abs(a - b).max()) / scale
        if not error <= worst[0]:
            worst = (error, name)
    return worst
