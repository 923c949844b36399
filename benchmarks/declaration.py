"""What a benchmark is: sides that take turns, and ratios of what they took, each with its bar.

A benchmark is declared as data. The work of a side stands in a module, as a function
`build(settings, double) -> Work`, and is built in the side's own process alone, so that a benchmark
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
    """What a side computes from given weights, to be compared with its peers before any timing.

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
    """One side of a benchmark, built and ready to be driven.

    Attributes:
        step: Takes one step and waits for it. Where the work holds its own clock, it returns the
            seconds of one step; else None, and the caller's clock counts.
        reset: Goes back to the state before the first step.
        facts: What is worth recording beside the time: field evaluations, bytes.
        probe: Computes what is compared with the other sides, or None.
    """

    step: Callable[[], float | None]
    reset: Callable[[], None] = lambda: None
    facts: Callable[[], dict[str, Any]] = dict
    probe: Callable[[], Probe] | None = None


@dataclasses.dataclass(frozen=True)
class Side:
    """One of those that take turns.

    Attributes:
        name: What the table calls it.
        module: Where its `build` stands.
        settings: What it changes in the settings of the benchmark.
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
        label: What the table calls it.
        ours: Name of the side above the line.
        peer: Name of the side below the line.
        bar: The largest ratio that is accepted, or None where it is only reported.
        quantity: `seconds` of a step, or the name of one of the sides' facts.
    """

    label: str
    ours: str
    peer: str
    bar: float | None
    quantity: str = "seconds"


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long a benchmark is watched.

    Attributes:
        rounds: Turns of every side.
        steps: Steps that are timed in one turn.
        warm_up: Steps before anything is timed; the first of them compiles.
        settle: Untimed steps at the start of a turn.
    """

    rounds: int
    steps: int = 1
    warm_up: int = 2
    settle: int = 1


@dataclasses.dataclass(frozen=True)
class Check:
    """A comparison of outputs and gradients of all sides before anything is timed.

    Attributes:
        settings: What it changes in the settings of the benchmark.
        tolerance: Largest difference that it accepts, relative to the largest entry.
        label: Tells several checks of a benchmark apart.
    """

    settings: Settings
    tolerance: float = 1e-8
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Sides that take turns.

    Attributes:
        name: How it is called on the command line.
        about: The work, in one line.
        sides: Who takes turns.
        ratios: What is formed from their times and facts.
        settings: The work in numbers, as measured in full.
        full: How long it is watched; without rounds, the sides are built one after the other.
        quick: The same for `--quick`.
        quick_settings: What `--quick` changes in `settings`.
        checks: How outputs and gradients are compared; empty where the sides do not compute the
            same.
        note: What a reader of the results should know.
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
        """The side of that name."""
        return next(side for side in self.sides if side.name == name)


@dataclasses.dataclass(frozen=True)
class Survey:
    """Tables that one process measures alone: nothing has a bar.

    Attributes:
        name: How it is called on the command line.
        about: The work, in one line.
        module: Where `survey(settings) -> list of tables` stands; see `Table`.
        settings: The work in numbers, as measured in full.
        quick_settings: What `--quick` changes in `settings`.
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
        title: Its heading.
        columns: Names of its columns; those that end in `(s)` or `(bytes)` are formatted so.
        rows: Its cells.
        note: A sentence below it.
    """

    title: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""


Benchmark = Comparison | Survey
