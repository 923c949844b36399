"""The progress of a training: a bar on a terminal, else lines at intervals."""

import time
from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from odenet.narration import Narrator, narrator
from odenet.training.callbacks import Callback, Event, Info, Record

_SECONDS_BETWEEN_LINES = 10.0


class _Bar(Progress):
    """A bar, and below it the last metrics and the current activity."""

    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar and the line below it."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self.below)


class ProgressBar(Callback):
    """The step, the remaining time, and the last loss and accuracy of each split.

    On a terminal, a bar with a line of metrics below it; elsewhere plain lines, one per
    evaluation, at most one every ten seconds.

    Args:
        console: The console to draw on.
        label: Name of the training.
    """

    when: frozenset[Event] = frozenset({"start", "log", "evaluate", "end"})

    def __init__(self, console: Console, label: str):
        self._bar = _Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("step {task.completed:,.0f} of {task.total:,.0f}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console
        self._label = label
        self._shown: dict[str, str] = {}
        self._doing: str | None = None
        self._spoke = float("-inf")

    def __call__(self, info: Info) -> None:
        """Draw, advance, or finish."""
        if info.event == "start":
            self._start(info)
            return
        for record in info.records:
            self._shown[record["split"]] = metrics_in_words(record)
        self._draw()
        self._bar.update(self._task, completed=info.step)
        told = self._shown and (info.event == "end" or self._is_time(info))
        if not self._console.is_terminal and told:
            self._line(f"step {info.step:,} of {info.num_steps:,}: {self._metrics()}")
        if info.event == "end":
            self._bar.stop()
            self._listen(None)

    def _start(self, info: Info) -> None:
        current = self._listen(self._say)
        label = ": ".join(current.parts) if current is not None and current.parts else self._label
        self._bar.start()
        self._task = self._bar.add_task(label, total=info.num_steps, completed=info.step)
        if not self._console.is_terminal:
            self._line(f"training {self._label}: steps {info.step:,} to {info.num_steps:,}")

    def _listen(self, listener) -> Narrator | None:
        current = narrator()
        if current is not None:
            current.listen(listener)
        return current

    def _line(self, text: str) -> None:
        self._spoke = time.monotonic()
        current = narrator()
        if current is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            current.line(text)

    def _is_time(self, info: Info) -> bool:
        waited = time.monotonic() - self._spoke
        return info.event == "evaluate" and waited >= _SECONDS_BETWEEN_LINES

    def _say(self, doing: str | None) -> None:
        self._doing = doing
        self._draw()
        self._bar.refresh()

    def _draw(self) -> None:
        parts = [self._metrics()] if self._shown else []
        self._bar.below = "; ".join(parts + ([f"{self._doing} ..."] if self._doing else []))

    def _metrics(self) -> str:
        return "; ".join(f"{split} {text}" for split, text in self._shown.items())


def metrics_in_words(record: Record) -> str:
    """The loss and the accuracy, if any, of a record, each with its name."""
    text = f"loss {record['loss']:.4f}"
    return f"{text}, accuracy {record['accuracy']:.1%}" if "accuracy" in record else text
