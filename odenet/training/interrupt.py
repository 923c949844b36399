"""SIGTERM and Ctrl-C: finish the dispatch, save, and exit."""

import signal
import threading
from types import FrameType

from odenet.errors import OdenetError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(OdenetError):  # noqa: N818 - it is no error of anybody
    """A run received a request to stop, and saved before it exited.

    Args:
        message: The step at which it stopped, and the command that resumes it.
        signum: The signal.
    """

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.exit_code = 128 + signum


class Stopped(Interrupted):
    """A callback requested a stop, and the run saved before it exited.

    Args:
        message: The step at which it stopped, and the reason.
    """

    def __init__(self, message: str):
        super().__init__(message, 0)
        self.exit_code = 1


class StopRequest:
    """While this is open, the first SIGTERM or Ctrl-C is recorded and does not end the process.

    A second one ends it at once. Outside the main thread signal handlers stay unchanged.
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
