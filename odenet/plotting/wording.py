"""Text of numbers and verdicts, the same in the terminal, on the page and in figures."""

import math
from collections.abc import Mapping
from typing import Any

Verdict = Mapping[str, Any]
Row = Mapping[str, Any]
Number = int | float

NONE = "–"
"""Text for a missing number."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(fraction: Number | None) -> str:
    """A fraction as a percentage with two decimals."""
    return NONE if fraction is None else f"{100 * fraction:.2f}%"


def points(change: Number) -> str:
    """A difference of two fractions in percentage points."""
    return f"{100 * change:.2f}".rstrip("0").rstrip(".") + " points"


def decimal(value: Number | None) -> str:
    """Four significant digits, in scientific notation for very large or small numbers."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def error(value: Number | None) -> str:
    """A solver's error with two significant digits; 0 for the reference solve itself."""
    if value is None:
        return NONE
    return "0" if value == 0 else f"{value:.1e}"


def count(value: Number | None) -> str:
    """A count; one decimal for a mean over batches that is not whole."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def seconds(value: Number | None) -> str:
    """A duration in µs, ms or s."""
    if value is None:
        return NONE
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        # A value that would round up to 1000 of a unit uses the next unit.
        if value < limit * (1 - 5e-4):
            return f"{value * factor:.3g} {unit}"
    return f"{value:,.2f} s"


def size(value: Number | None) -> str:
    """A number of bytes in B, KiB, MiB or GiB."""
    if value is None:
        return NONE
    for limit, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if value >= limit:
            return f"{value / limit:.1f} {unit}"
    return f"{value:.0f} B"


def power_of_ten(exponent: int) -> str:
    """A power of ten with superscript digits, without mathematical typesetting."""
    return "10" + str(exponent).translate(_SUPERSCRIPTS)


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def times(factor: float) -> str:
    """A multiple of a number of steps, such as `x 4` or `x 1/4`."""
    return f"x {factor:g}" if factor >= 1 else f"x 1/{1 / factor:g}"


def is_positive(value: Any) -> bool:
    """Whether the value is a finite number above 0."""
    return is_number(value) and value > 0


def error_or_infinite(value: Number | None) -> str:
    """A solver's error, or `not finite` if it is None."""
    return "not finite" if value is None else error(value)


def verdict_tone(verdict: Verdict) -> str:
    """`good` for an ODE, `bad` for a network that depends on its solver, `none` otherwise."""
    return {"solver-independent": "good", "depends on its solver": "bad"}.get(
        verdict["verdict"], "none"
    )


def verdict_mark(verdict: Verdict) -> str:
    """A sign for the verdict, so that colour is not the only difference."""
    return {"good": "✓", "bad": "✗", "none": "○"}[verdict_tone(verdict)]


def verdict_name(verdict: Verdict, trained: Row | None) -> str:
    """The verdict in few words.

    Args:
        verdict: As in `comparison.json`.
        trained: The row of the network under its training solver. The criterion compares
            accuracies. A network with an error but without an accuracy is `not judged`; it may
            still be an ODE.
    """
    if trained is not None and trained["accuracy"] is None and trained["solver_error"] is not None:
        return "not judged"
    # The text after a colon is the reason; `verdict_reason` returns it.
    return verdict["verdict"].partition(":")[0]


def verdict_reason(verdict: Verdict, trained: Row | None) -> str:
    """The numbers behind a verdict, as one sentence without its full stop.

    The change of the accuracy, which the criterion judges, and the changes of the loss and of the
    outputs under the same solvers.
    """
    return "; ".join(filter(None, (_of_accuracy(verdict, trained), _beside(verdict))))


def _of_accuracy(verdict: Verdict, trained: Row | None) -> str:
    reason = verdict["verdict"].partition(": ")[2]
    if reason and trained is not None and trained["accuracy"] is not None:
        return reason
    if verdict_name(verdict, trained) == "not judged":
        return "the criterion compares accuracies, and a regression has none; see the loss"
    change, allowed = verdict["largest_change"], points(verdict["threshold"])
    if change is None:
        if trained is not None and trained["solver_error"] is None:
            return "its layers are not all Euler steps, so no other solver can evaluate it"
        return "none of the solvers has a smaller error than its training solver"
    tested = len(verdict["compared"])
    solvers = "1 finer solver" if tested == 1 else f"{tested} finer solvers"
    if change == 0:
        return f"accuracy does not change under {solvers} (allowed: {allowed})"
    return (
        f"accuracy changes by up to {points(change)} under {solvers} (allowed: {allowed}), "
        f"most under {verdict['under']}"
    )


def _beside(verdict: Verdict) -> str:
    """Changes of the loss and of the outputs; empty for a comparison without these numbers."""
    under, error_of_outputs = verdict.get("loss_under"), verdict.get("solver_error")
    said = []
    if under is not None:
        own, other = verdict["loss"], verdict["furthest_loss"]
        said.append(f"the loss goes from {decimal(own)} to {decimal(other)}{_times(own, other)}")
        said[-1] += f" under {under}"
    if error_of_outputs is not None:
        said.append(f"the outputs differ by {percent(error_of_outputs)} from the reference solve")
    return ", ".join(said)


def _times(own: Number | None, other: Number | None) -> str:
    """The ratio of two losses in words; empty if it is not a number or close to 1."""
    if not (is_number(own) and is_number(other) and min(own, other) > 0):  # pyright: ignore
        return ""
    ratio = other / own  # pyright: ignore
    if 0.95 < ratio < 1.05:
        return ""
    return f" ({ratio:.2g} times)" if ratio < 10 else f" ({ratio:,.0f} times)"


def verdict_warning(verdict: Verdict) -> str:
    """The quantities that contradict a verdict, as a sentence without its full stop; may be empty.

    Args:
        verdict: As in `comparison.json`.
    """
    against = {"loss": "the loss", "outputs": "the outputs"}
    names = [against[name] for name in verdict.get("disagreements", ())]
    if not names:
        return ""
    verb = "disagrees" if names == ["the loss"] else "disagree"
    said = f"{' and '.join(names)} {verb} with this verdict, which is based on accuracy alone"
    if verdict_tone(verdict) == "good":
        return f"{said}: the outputs of the network change with the solver"
    return f"{said}: few examples may lie close to the decision boundary"
