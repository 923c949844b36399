"""The lock that keeps a second process out of a run directory."""

import errno
import os
import warnings
from pathlib import Path
from typing import TextIO

from odenet.errors import RunDirectoryError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
"""What `flock` fails with where another process has the lock."""


class NoLockWarning(UserWarning):
    """Nothing keeps a second process out of a run directory."""


def lock(directory: Path) -> TextIO:
    """Lock a directory until the file that is returned is closed.

    The kernel gives the lock back when the process ends, however it ends. Where the system or the
    file system has no such locks, a warning says so, and the directory is used without.

    Args:
        directory: It must exist.

    Raises:
        RunDirectoryError: if another process has it.
    """
    file = (directory / ".lock").open("a+")
    try:
        if fcntl is None:
            _warn(directory, "this system has no flock")
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise RunDirectoryError(
                f"{directory} is in use by another process (pid {owner}); wait for it, or choose "
                f"another directory with --out"
            ) from error
        _warn(directory, f"its file system gives no lock: {error.strerror}")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _warn(directory: Path, why: str) -> None:
    warnings.warn(
        f"{directory} cannot be locked ({why}); see to it that no second process writes there",
        NoLockWarning,
        stacklevel=4,
    )
