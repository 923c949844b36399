"""Files that outlive a crash: renamed when they are whole, and flushed to the disk.

Not every file system can flush. A file that cannot be flushed is named once and passed
over; a rename that fails is tried again.
"""

import errno
import os
import time
import warnings
from pathlib import Path

_PAUSES = (0.05, 0.1, 0.2, 0.4)
"""Seconds before a rename is tried again: scanners and network file systems hold files briefly."""

_FULL_OR_BROKEN = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


class NotFlushedWarning(UserWarning):
    """The file system does not report when written data are on the disk."""


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder, and try again for a second where that fails.

    Args:
        source: Path of the file or folder.
        target: Its new name; a file there is replaced, an empty folder too.

    Raises:
        OSError: if it still fails, or `source` does not exist.
    """
    for pause in _PAUSES:
        try:
            os.replace(source, target)
            return
        except FileNotFoundError:
            raise
        except OSError:
            time.sleep(pause)
    os.replace(source, target)


def flush_tree(folder: Path) -> None:
    """Wait until a folder and all that is in it are on the disk, where the system can tell.

    Raises:
        OSError: if the disk is full or broken.
    """
    for path in [*folder.rglob("*"), folder]:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError as error:
            _passed_over(path, error)
            continue
        try:
            flush(descriptor, path)
        finally:
            os.close(descriptor)


def flush(descriptor: int, path: Path) -> None:
    """Wait until an open file or folder is on the disk, where the system can tell.

    Args:
        descriptor: The open file.
        path: Its name, for the warning.

    Raises:
        OSError: if the disk is full or broken.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        _passed_over(path, error)


def _passed_over(path: Path, error: OSError) -> None:
    if error.errno in _FULL_OR_BROKEN:
        raise error
    kind = "a folder" if path.is_dir() else "a file"
    warnings.warn(
        f"{kind} cannot be flushed to the disk here ({error.strerror}: {path}); after a power cut "
        f"the newest checkpoint may be damaged, which its checksums find",
        NotFlushedWarning,
        stacklevel=4,
    )
