"""What does not fit of a file of weights: a short summary first, lists below."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from odenet.errors import CheckpointError

_SHOWN = 10

Hints = Callable[["Misfits"], Iterable[str]]
"""What is noticed about misfits, in a few words each."""


@dataclass
class Misfits:
    """Everything that does not fit, in words.

    Args:
        unmapped: Where the map of names does not fit the model.
        missing: Arrays that the file lacks.
        extra: Arrays of the file without a place.
        misshapen: Arrays of another shape or type than the model's.
        missing_names: The names of `missing`.
        extra_names: The names of `extra`.
    """

    unmapped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    missing_names: list[str] = field(default_factory=list)
    extra_names: list[str] = field(default_factory=list)

    def refuse(self, title: str, hints: Hints | None = None, *, verbose: bool = True) -> None:
        """Raise one error with everything that was found, if anything was.

        Args:
            title: The rule, and what was done.
            hints: Says below it what is noticed.
            verbose: Whether to list everything, or ten of each kind.

        Raises:
            CheckpointError: if anything was found.
        """
        sections = (
            ("the map of names does not fit the model", self.unmapped),
            ("missing in the file", self.missing),
            ("extra in the file", self.extra),
            ("misshapen in the file", self.misshapen),
        )
        lines = []
        for what, found in sections:
            if found:
                shown = found if verbose or len(found) <= _SHOWN + 1 else found[:_SHOWN]
                lines += [f"{what} ({len(found)}):", *(f"  {item}" for item in shown)]
                if len(shown) < len(found):
                    lines.append(f"  ... and {len(found) - len(shown)} more (--verbose)")
        if lines:
            noticed = [f"  {hint}" for hint in (() if hints is None else hints(self))]
            raise CheckpointError("\n".join([title, *noticed, *lines]))
