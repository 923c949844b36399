"""What a command is doing, said while it does it: one live line on a terminal, else plain lines.

Nothing is said unless somebody listens: `shown_on` opens a console for what is called inside it.
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

    def begin(self, what: str) -> None:
        """An activity begins."""
        self._activities.append(what)
        if self._listener is None and not self.console.is_terminal:
            self.line(what)
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
        """Hand the live line over to a progress bar, or take it back."""
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
    """Who shows what is going on, or None where nobody listens."""
    return _current.get()


@contextmanager
def shown_on(console: Console | None) -> Iterator[None]:
    """Show what is done inside on a console, or nowhere."""
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
def doing(what: str) -> Iterator[None]:
    """Say what is done inside, such as `reading data`."""
    current = _current.get()
    if current is None:
        yield
        return
    current.begin(what)
    try:
        yield
    finally:
        current.end()


@contextmanager
def part(what: str) -> Iterator[None]:
    """Put what everything inside belongs to before it, such as `network 2 of 4`."""
    current = _current.get()
    if current is None:
        yield
        return
    current.parts.append(what)
    try:
        yield
    finally:
        current.parts.pop()


def silence() -> None:
    """Show nothing any more: results are printed next, or nobody wants to see it."""
    current = _current.get()
    if current is not None:
        current.silence()
