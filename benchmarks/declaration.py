"""Declaration of a benchmark: sides that are timed in turns, and ratios of their times with bars.

A benchmark is declared as data. The work of a side is in a module, as a function
`build(settings, double) -> Work`. Only the side's own process builds it, so that a benchmark
without a torch side runs where torch is not installed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

Settings = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
"""Named arrays, in the layouts of `layouts.py`."""


@dataclasses.dataclass(frozen=True)
class Probe:
    """The results of a side from given weights, for the comparison with its peers before timing.

    Attributes:
        outputs: Outputs and loss of the network.
        gradients: Gradient of the loss with respect to every parameter.
        updated: Parameters (and running statistics) after two steps of the optimiser.
    """

    outputs: Arrays
    gradients: Arrays
    updated: Arrays


@dataclasses.dataclass(frozen=True)
class Work:
    """The built work of one side of a benchmark.

    Attributes:
        step: Takes one step and waits for its result. It returns the seconds of the step if the
            work measures them itself; otherwise None, and the caller measures them.
        reset: Restores the state before the first step.
        facts: Returns other quantities to record: field evaluations, bytes.
        probe: Computes the results that are compared with the other sides, or None.
    """

    step: Callable[[], float | None]
    reset: Callable[[], None] = lambda: None
    facts: Callable[[], dict[str, Any]] = dict
    probe: Callable[[], Probe] | None = None


@dataclasses.dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: Its name in tables.
        module: The module of its `build`.
        settings: Changes of the settings of the benchmark.
        keeps_memory: Whether freed memory is kept for the next step, as in every odenet process.
    """

    name: str
    module: str
    settings: Settings = dataclasses.field(default_factory=dict)
    keeps_memory: bool = False


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A quantity of one side by that of another.

    Attributes:
        label: Its name in tables.
        ours: Name of the side in the numerator.
        peer: Name of the side in the denominator.
        bar: The largest accepted ratio; None if the ratio is only reported.
        quantity: `seconds` of a step, or the name of one of the sides' facts.
    """

    label: str
    ours: str
    peer: str
    bar: float | None
    quantity: str = "seconds"


@dataclasses.dataclass(frozen=True)
class Timing:
    """Numbers of rounds and steps of a benchmark.

    Attributes:
        rounds: Number of turns of every side.
        steps: Number of timed steps in one turn.
        warm_up: Number of steps before the first turn; the first of them compiles.
        settle: Number of untimed steps at the start of a turn.
    """

    rounds: int
    steps: int = 1
    warm_up: int = 2
    settle: int = 1


@dataclasses.dataclass(frozen=True)
class Check:
    """A comparison of outputs and gradients of all sides before the timing.

    Attributes:
        settings: Changes of the settings of the benchmark.
        tolerance: Largest accepted difference, relative to the largest entry.
        label: Name of the check, if a benchmark has several.
    """

    settings: Settings
    tolerance: float = 1e-8
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A benchmark of several sides, which are timed in turns.

    Attributes:
        name: Its name on the command line.
        about: The work, in one line.
        sides: The sides.
        ratios: Ratios of their times and facts.
        settings: Sizes of the work in a full run.
        full: Timing of a full run; without rounds, the sides are built one after the other.
        quick: Timing of a run with `--quick`.
        quick_settings: Changes of `settings` by `--quick`.
        checks: Comparisons of outputs and gradients; empty if the sides compute different results.
        note: Explanation of the results.
    """

    name: str
    about: str
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]
    settings: Settings
    full: Timing
    quick: Timing
    quick_settings: Settings = dataclasses.field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    note: str = ""
    kind: Literal["comparison"] = "comparison"

    def side(self, name: str) -> Side:
        """The side of a name."""
        return next(side for side in self.sides if side.name == name)


@dataclasses.dataclass(frozen=True)
class Survey:
    """A benchmark that measures tables in one process, without bars.

    Attributes:
        name: Its name on the command line.
        about: The work, in one line.
        module: The module of `survey(settings) -> list of tables`; see `Table`.
        settings: Sizes of the work in a full run.
        quick_settings: Changes of `settings` by `--quick`.
    """

    name: str
    about: str
    module: str
    settings: Settings
    quick_settings: Settings = dataclasses.field(default_factory=dict)
    kind: Literal["survey"] = "survey"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a survey.

    Attributes:
        title: Heading.
        columns: Names of the columns; `(s)` or `(bytes)` at the end is the unit of the cells.
        rows: Cells.
        note: Text below the table.
    """

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""


Benchmark = Comparison | Survey
