"""Download one published file: from any of its mirrors, resumed, and checked before it counts."""

import errno
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from odenet.data.files import PublishedFile, file_status
from odenet.durable import replace
from odenet.errors import DataError

CHUNK = 1 << 16
TIMEOUT = 30.0
"""Seconds without a byte after which a mirror is given up."""

Progress = Callable[[int, int | None], None]
"""Told after every chunk how many bytes are there, and of how many if that is known."""


@dataclass
class _MirrorError(Exception):
    reason: str


def download(file: PublishedFile, path: Path, progress: Progress) -> None:
    """Put a published file at `path`; a good one that is there is kept, a damaged one replaced.

    Bytes gather in `path` + `.part`, which a later call goes on with, and are moved into place
    only when their checksum is right.

    Args:
        file: What to download, with at least one url.
        path: Where to; the folder is made.
        progress: Told how far it is.

    Raises:
        DataError: If no mirror gives the file, or it cannot be written.
    """
    if file_status(path, file).state == "ok":
        return
    part = path.with_name(path.name + ".part")
    reasons = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for url in file.urls:
            try:
                _download_from(url, file, part, progress)
            except _MirrorError as failure:
                reasons.append(f"{url}: {failure.reason}")
            else:
                replace(part, path)
                return
    except OSError as error:
        raise unwritable(path, error) from error
    raise DataError(
        f"{path.name} could not be downloaded ({'; '.join(reasons)}); check the network and run "
        f"the same command again, or put the file at {path} yourself"
    )


def unwritable(path: Path, error: OSError) -> DataError:
    """The error to raise when writing `path` failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk of {path.parent} is full; free some space, or name another folder by "
            "--data-dir"
        )
    return DataError(
        f"{path} must be writeable, got: {error.strerror or error}; name another folder by "
        "--data-dir"
    )


def _download_from(url: str, file: PublishedFile, part: Path, progress: Progress) -> None:
    resumed = _transfer(url, part, progress)
    if file_status(part, file).state == "ok":
        return
    found = file_status(part, file).found_md5
    part.unlink(missing_ok=True)
    # What was left of an earlier try may have been at fault: once more from the start.
    if resumed:
        _download_from(url, file, part, progress)
        return
    raise _MirrorError(f"gave md5 {found} instead of {file.md5}")


def _transfer(url: str, part: Path, progress: Progress) -> bool:
    """Bring `part` to its full length; whether bytes of an earlier try are in it."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "odenet"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        )
    except urllib.error.HTTPError as error:
        error.close()
        # The part is as long as the file, or longer: its checksum will tell.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return True
        raise _MirrorError(f"answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(_why(error)) from error
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        with part.open("ab" if resumed else "wb") as opened:
            _copy(response, opened, start, total, progress)
    return resumed


def _copy(
    response: http.client.HTTPResponse,
    opened: BinaryIO,
    done: int,
    total: int | None,
    progress: Progress,
) -> None:
    progress(done, total)
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _MirrorError(_why(error)) from error
        if not chunk:
            break
        opened.write(chunk)
        done += len(chunk)
        progress(done, total)
    # Reading in chunks, http.client ends quietly where the connection did.
    if total is not None and done < total:
        raise _MirrorError(f"broke off after {done} of {total} bytes")


def _why(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return str(cause) or type(error).__name__
