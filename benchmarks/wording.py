"""Numbers as a reader likes them."""

from typing import Any

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def seconds(value: float) -> str:
    """Three digits and a unit."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.2g} µs"


def quantity(name: str, value: Any) -> str:
    """A fact or a cell, by the unit that its name ends in."""
    if value is None:
        return "-"
    if name.endswith(("_seconds", "(s)")):
        return seconds(value)
    if name.endswith(("bytes", "(bytes)")):
        return f"{value / 2**20:.2f} MiB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def between(spread: dict[str, Any] | None, word: Any = "{:.3g}".format) -> str:
    """The quartiles of a spread, or nothing where there is one value."""
    if spread is None or spread["count"] == 1:
        return ""
    return f"{word(spread['low'])} to {word(spread['high'])}"


def verdict(ratio: dict[str, Any]) -> str:
    """Whether a bar is met."""
    return {None: "", True: "met", False: "missed"}[ratio["met"]]
