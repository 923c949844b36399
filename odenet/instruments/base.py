"""The contract of an instrument: options, measurement, table, sentences, figure.

An instrument is one class in one file. Its fields are its options. The command
`odenet analyse NAME` and its help are generated from them.
"""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from rich.console import RenderableType

from odenet.analysis.flow_probe import evenly_chosen
from odenet.arrays import Array
from odenet.data import Split, normalize
from odenet.errors import ConfigError, RunDirectoryError
from odenet.experiment.directory import read_json
from odenet.experiment.loaded_run import Run
from odenet.part import PartConfig
from odenet.plotting.canvas import Figure

Found = Mapping[str, Any]
"""A result: numbers, texts, lists and dicts, as in the instrument's JSON file."""

SplitName = Literal["train", "validation", "test"]
At = Literal["start", "last", "best"]


class InstrumentConfig(PartConfig, abc.ABC, family="instrument"):
    """An instrument and its options. Subclass `RunInstrument` or `RunsInstrument`, not this class.

    `odenet analyse --help` shows the question of an instrument: the first line of the docstring of
    its file. The name of the file, with dashes, is the name of the instrument and its literal
    `kind`. For an instrument from a plug-in, the question is the first line of the docstring of its
    class.

    Attributes:
        needs: Keys that a result must have to be shown.
        rule: The criterion of the verdict, with its source; empty for an instrument without one.
        alt: Alternative text of the figure, for screen readers.
        caption: How to read the figure.
        compares_runs: Whether the instrument reads several run directories, not one loaded run.
        has_figure: Whether `figure` draws.
        example: Arguments of the example on the help page, after `odenet analyse NAME`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    rule: ClassVar[str] = ""
    alt: ClassVar[str] = ""
    caption: ClassVar[str] = ""
    compares_runs: ClassVar[bool] = False
    has_figure: ClassVar[bool] = True
    example: ClassVar[str] = "runs/quickstart-1"

    @classmethod
    def instrument_name(cls) -> str:
        """The name of the instrument: the literal `kind`."""
        return str(cls.model_fields["kind"].default)

    @classmethod
    def key(cls) -> str:
        """The name with underscores, for the figure and the result file."""
        return cls.instrument_name().replace("-", "_")

    @staticmethod
    @abc.abstractmethod
    def table(found: Found) -> RenderableType:
        """The result as a table for the terminal; a text is printed unchanged."""

    @staticmethod
    def sentences(found: Found) -> Sequence[str]:
        """The conclusions from the result in words, one line each."""
        del found
        return ()

    @staticmethod
    def figure(found: Found) -> Figure | None:
        """The result as a figure; None if there is nothing to draw."""
        del found
        return None


class RunInstrument(InstrumentConfig):
    """An instrument that measures on one loaded run and writes `NAME.json` into its directory."""

    split: SplitName = "train"
    """Split of the examples."""

    @abc.abstractmethod
    def measure(self, run: Run) -> dict[str, Any]:
        """Measure on a loaded run.

        Args:
            run: Network, data and record, as `odenet.load` returns them.

        Returns:
            Numbers, texts, lists and dicts. `measure_run` adds the envelope.

        Raises:
            ConfigError: if the instrument does not apply, or an option is out of range.
        """

    def check(self, run: Run) -> None:
        """Refuse a run that this instrument does not apply to, before the measurement.

        Raises:
            ConfigError: with the reason.
        """
        del run

    def applies(self, run: Run) -> str | None:
        """The reason why this instrument does not apply to a run; None if it applies."""
        try:
            self.check(run)
        except ConfigError as error:
            return str(error)
        return None

    def chosen(self, run: Run, number: int | None) -> Split:
        """`number` examples spread evenly over the split, not normalised.

        Args:
            run: A loaded run.
            number: At least 1. A smaller split is taken whole, and so is any split with None.

        Raises:
            ConfigError: if `number` is less than 1.
        """
        split = run.experiment.split(self.split)
        return split if number is None else evenly_chosen(split, number)

    @classmethod
    def file(cls) -> str:
        """Name of the result file in a run directory."""
        return f"{cls.key()}.json"

    @classmethod
    def read(cls, directory: Path) -> dict[str, Any]:
        """The result in a run directory; empty if this instrument has not measured there.

        Raises:
            RunDirectoryError: if the file lacks a key of `needs`.
        """
        path = directory / cls.file()
        found = read_json(path) if path.exists() else {}
        if found and not cls.needs <= set(found):
            raise RunDirectoryError(
                f"{path} must hold {', '.join(sorted(cls.needs))}; write it again with: odenet "
                f"analyse {cls.instrument_name()} {path.parent}"
            )
        return found


class RunsInstrument(InstrumentConfig):
    """An instrument that reads several run directories and compares them."""

    compares_runs: ClassVar[bool] = True
    runs: ClassVar[str] = "Run directories."
    """Help text of the arguments."""

    @abc.abstractmethod
    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Read run directories, including results of other instruments there, and compare them.

        Returns:
            Numbers, texts, lists and dicts.

        Raises:
            ConfigError: if the runs cannot be compared.
            RunDirectoryError: if one is missing or damaged.
        """


def normalized(run: Run, examples: Split) -> Array:
    """The normalised inputs of examples, as the network expects them."""
    return normalize(examples.inputs, run.dataset.normalization)
