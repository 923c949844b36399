"""The contract of an instrument: options, measurement, table, sentences, figure.

An instrument is one class in one file. Its fields are its options: the command
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
    """An instrument and its options. A concrete one is a `RunInstrument` or a `RunsInstrument`.

    The first line of the docstring of its file is its question, shown by `odenet analyse --help`;
    the name of the file, with dashes, is its name and its literal `kind`. Of an instrument from
    outside, the question is the first line of the docstring of its class.

    Attributes:
        needs: Keys of a result without which it cannot be shown.
        rule: The criterion that judges, with its source; empty where nothing is judged.
        alt: What the figure shows, for those who cannot see it.
        caption: How to read the figure.
        compares_runs: Whether it reads several run directories and not one loaded run.
        has_figure: Whether `figure` draws.
        example: An example for the help page, after `odenet analyse NAME`.
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
        """Its name: the literal `kind`."""
        return str(cls.model_fields["kind"].default)

    @classmethod
    def key(cls) -> str:
        """Names its figure and its file: the name with underscores."""
        return cls.instrument_name().replace("-", "_")

    @staticmethod
    @abc.abstractmethod
    def table(found: Found) -> RenderableType:
        """The result as a table for the terminal; a text is printed as it is."""

    @staticmethod
    def sentences(found: Found) -> Sequence[str]:
        """What follows from the result in words, one line each."""
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
    """Which examples."""

    @abc.abstractmethod
    def measure(self, run: Run) -> dict[str, Any]:
        """Measure on a loaded run.

        Args:
            run: Network, data and record, as `odenet.load` gives them.

        Returns:
            Numbers, texts, lists and dicts; `measure_run` puts them into the envelope.

        Raises:
            ConfigError: if it does not apply, or an option is out of range.
        """

    def check(self, run: Run) -> None:
        """Refuse a run that this instrument does not apply to, before anything is measured.

        Raises:
            ConfigError: saying why.
        """
        del run

    def applies(self, run: Run) -> str | None:
        """Why this instrument does not apply to a run; None if it does."""
        try:
            self.check(run)
        except ConfigError as error:
            return str(error)
        return None

    def chosen(self, run: Run, number: int | None) -> Split:
        """`number` examples spread evenly over the split, as they are stored.

        Args:
            run: A loaded run.
            number: At least 1; of a split that has fewer, and with None, all.

        Raises:
            ConfigError: if `number` is less than 1.
        """
        split = run.experiment.split(self.split)
        return split if number is None else evenly_chosen(split, number)

    @classmethod
    def file(cls) -> str:
        """Name of the file in a run directory that it writes."""
        return f"{cls.key()}.json"

    @classmethod
    def read(cls, directory: Path) -> dict[str, Any]:
        """What it found in a run, empty where it was not used.

        Raises:
            RunDirectoryError: if its file lacks what is shown.
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
    """Help of its arguments."""

    @abc.abstractmethod
    def measure(self, directories: Sequence[Path]) -> dict[str, Any]:
        """Read run directories, maybe what other instruments wrote there, and compare.

        Returns:
            Numbers, texts, lists and dicts.

        Raises:
            ConfigError: if the runs cannot be compared.
            RunDirectoryError: if one is missing or damaged.
        """


def normalized(run: Run, examples: Split) -> Array:
    """The inputs of examples as the network takes them."""
    return normalize(examples.inputs, run.dataset.normalization)
