"""The misfits of a file of weights: a short summary first, then lists."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from odenet.errors import CheckpointError

_SHOWN = 10

Hints = Callable[["Misfits"], Iterable[str]]
"""Likely causes of misfits, one sentence each."""


@dataclass
class Misfits:
    """All misfits of a file, as texts.

    Args:
        unmapped: Entries of the map of names that do not fit the model, and unmapped arrays.
        missing: Arrays that the file lacks.
        extra: Arrays of the file that are not in the model.
        misshapen: Arrays whose shape or type differs from the model's.
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
        """Raise one error that lists all misfits, if there are any.

        Args:
            title: First line: the rule, and the consequence.
            hints: Returns the likely causes, listed below the title.
            verbose: Whether to list all misfits, or ten of each kind.

        Raises:
            CheckpointError: if there are misfits.
        """
        sections = (
            ("the map of names does not fit the model", self.unmapped),
            ("missing in the file", self.missing),
            ("extra in the file", self.extra),
            ("misshapen in the file", self.misshapen),
        )
        lines = []
        for heading, found in sections:
            if found:
                shown = found if verbose or len(found) <= _SHOWN + 1 else found[:_SHOWN]
                lines += [f"{heading} ({len(found)}):", *(f"  {item}" for item in shown)]
                if len(shown) < len(found):
                    lines.append(f"  ... and {len(found) - len(shown)} more (--verbose)")
        if lines:
            causes = [f"  {hint}" for hint in (() if hints is None else hints(self))]
            raise CheckpointError("\n".join([title, *causes, *lines]))
