"""The lock of a run directory against a second process."""

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
"""Errors of `flock` if another process holds the lock."""


class NoLockWarning(UserWarning):
    """A run directory has no lock against a second process."""


def lock(directory: Path) -> TextIO:
    """Lock a directory until the returned file is closed.

    The kernel releases the lock at the end of the process in any case. If the system or the file
    system has no such locks, the function warns and continues without a lock.

    Args:
        directory: An existing directory.

    Raises:
        RunDirectoryError: if another process holds the lock.
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
        f"{directory} cannot be locked ({why}); make sure that no second process writes there",
        NoLockWarning,
        stacklevel=4,
    )
