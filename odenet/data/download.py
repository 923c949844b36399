"""Download of one published file: from one of its mirrors, resumable, checked by checksum."""

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
"""Seconds without a byte after which the download from a mirror fails."""

Progress = Callable[[int, int | None], None]
"""Callback after every chunk: number of bytes so far, and their total if it is known."""


@dataclass
class _MirrorError(Exception):
    reason: str


def download(file: PublishedFile, path: Path, progress: Progress) -> None:
    """Download a published file to `path`; an intact file is kept, a damaged one is replaced.

    The bytes are written to `path` + `.part`, which a later call resumes. The file is moved to
    `path` when its checksum is right.

    Args:
        file: The file to download, with at least one url.
        path: Target path; its folder is created.
        progress: Callback with the number of bytes.

    Raises:
        DataError: If no mirror has the file, or it cannot be written.
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
    """The error to raise when writing `path` has failed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"the disk of {path.parent} is full; free some space, or give another folder by "
            "--data-dir"
        )
    return DataError(
        f"{path} must be writeable, got: {error.strerror or error}; give another folder by "
        "--data-dir"
    )


def _download_from(url: str, file: PublishedFile, part: Path, progress: Progress) -> None:
    resumed = _transfer(url, part, progress)
    if file_status(part, file).state == "ok":
        return
    found = file_status(part, file).found_md5
    part.unlink(missing_ok=True)
    # The bytes of an earlier attempt may have been wrong: retry from the start.
    if resumed:
        _download_from(url, file, part, progress)
        return
    raise _MirrorError(f"has md5 {found} instead of {file.md5}")


def _transfer(url: str, part: Path, progress: Progress) -> bool:
    """Download the rest of `part`; returns whether it holds bytes of an earlier attempt."""
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
        # The part is as long as the file, or longer; the checksum decides.
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
    # When read in chunks, http.client raises no error if the connection is lost.
    if total is not None and done < total:
        raise _MirrorError(f"broke off after {done} of {total} bytes")


def _why(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    return str(cause) or type(error).__name__
