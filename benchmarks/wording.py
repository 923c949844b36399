"""Text of numbers in tables."""

from typing import Any

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def seconds(value: float) -> str:
    """A time with three digits and a unit."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.2g} µs"


def quantity(name: str, value: Any) -> str:
    """A fact or a cell as text, with the unit at the end of its name."""
    if value is None:
        return "-"
    if name.endswith(("_seconds", "(s)")):
        return seconds(value)
    if name.endswith(("bytes", "(bytes)")):
        return f"{value / 2**20:.2f} MiB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def between(spread: dict[str, Any] | None, word: Any = "{:.3g}".format) -> str:
    """The quartiles of a spread; empty for a single value."""
    if spread is None or spread["count"] == 1:
        return ""
    return f"{word(spread['low'])} to {word(spread['high'])}"


def verdict(ratio: dict[str, Any]) -> str:
    """`met` or `missed`; empty for a ratio without a verdict."""
    return {None: "", True: "met", False: "missed"}[ratio["met"]]
