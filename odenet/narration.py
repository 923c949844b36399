"""The activity of a command: one updated line on a terminal, else plain lines.

Nothing is printed by default: `shown_on` opens a console for the code inside it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner


class Narrator:
    """Shows the innermost activity of those that are going on.

    Args:
        console: Where it is shown.
    """

    def __init__(self, console: Console):
        self.console = console
        self.parts: list[str] = []
        self._activities: list[str] = []
        self._silent = False
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._listener: Callable[[str | None], None] | None = None

    def begin(self, activity: str) -> None:
        """An activity begins."""
        self._activities.append(activity)
        if self._listener is None and not self.console.is_terminal:
            self.line(activity)
        self._show()

    def end(self) -> None:
        """The innermost activity has ended; the one around it goes on."""
        if self._activities:
            self._activities.pop()
        self._show()

    def line(self, text: str) -> None:
        """Print a plain line, after the parts that it belongs to."""
        if self._silent:
            return
        said = ": ".join([*self.parts, text])
        self.console.print(said, markup=False, highlight=False, soft_wrap=True)

    def listen(self, listener: Callable[[str | None], None] | None) -> None:
        """Hand the updated line over to a progress bar, or take it back."""
        self._listener = listener
        self._show()

    def silence(self) -> None:
        """Show nothing any more."""
        self._show_text(None)
        self._silent = True

    def _show(self) -> None:
        if not self._silent:
            self._show_text(self._activities[-1] if self._activities else None)

    def _show_text(self, text: str | None) -> None:
        if self._listener is not None:
            self._listener(text)
        if self._listener is not None or text is None:
            if self._live is not None:
                self._live.stop()
                self._live = None
        elif self.console.is_terminal:
            said = ": ".join([*self.parts, text]).replace("[", r"\[") + " ..."
            if self._live is None:
                self._spinner = Spinner("dots")
                self._live = Live(self._spinner, console=self.console, transient=True)
                self._live.start()
            self._spinner.update(text=said)
            self._live.refresh()


_current: ContextVar[Narrator | None] = ContextVar("narrator", default=None)


def narrator() -> Narrator | None:
    """The narrator of the current console, or None."""
    return _current.get()


@contextmanager
def shown_on(console: Console | None) -> Iterator[None]:
    """Show activities inside on a console, or nowhere."""
    outer = _current.get()
    if outer is not None and outer.console is console:
        yield
        return
    own = None if console is None else Narrator(console)
    if own is not None and outer is not None:
        own.parts = [*outer.parts]
    token = _current.set(own)
    try:
        yield
    finally:
        if own is not None:
            own.silence()
        _current.reset(token)


@contextmanager
def doing(activity: str) -> Iterator[None]:
    """Name the activity inside, such as `reading data`."""
    current = _current.get()
    if current is None:
        yield
        return
    current.begin(activity)
    try:
        yield
    finally:
        current.end()


@contextmanager
def part(name: str) -> Iterator[None]:
    """Prefix every line inside, such as by `network 2 of 4`."""
    current = _current.get()
    if current is None:
        yield
        return
    current.parts.append(name)
    try:
        yield
    finally:
        current.parts.pop()


def silence() -> None:
    """Show nothing any more: results are printed next."""
    current = _current.get()
    if current is not None:
        current.silence()
