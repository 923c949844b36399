"""SIGTERM and Ctrl-C: finish the dispatch, save, and leave."""

import signal
import threading
from types import FrameType

from odenet.errors import OdenetError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(OdenetError):  # noqa: N818 - it is no error of anybody
    """A run was asked to stop, and saved before it left.

    Args:
        message: Where it stopped and how to go on.
        signum: The signal that asked.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.exit_code = 128 + signum


class Stopped(Interrupted):
    """A callback asked a run to stop, and it saved before it left.

    Args:
        message: Where it stopped, and why.
    """

    def __init__(self, message: str):
        super().__init__(message, 0)
        self.exit_code = 1


class StopRequest:
    """While this is open, the first SIGTERM or Ctrl-C is noted instead of obeyed.

    A second one is obeyed at once. Outside the main thread signals stay as they are.
    """

    def __init__(self):
        self.signum: int | None = None
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                self._previous[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del frame
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
