"""Fetch a published data set: download its missing and damaged files."""

import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar

from odenet.data.download import Progress, download, unwritable
from odenet.data.files import (
    PUBLISHED,
    FileStatus,
    PublishedFile,
    PublishedSet,
    check,
    file_status,
    find_data_dir,
    find_published,
)
from odenet.durable import replace
from odenet.errors import DataError


def fetch(
    name: str,
    data_dir: Path | None = None,
    progress: bool = True,
    published: Mapping[str, PublishedSet] = PUBLISHED,
) -> list[FileStatus]:
    """Download the missing and damaged files of a data set, unpack them, and check them.

    Intact files are not changed. An interrupted fetch is resumed.

    Args:
        name: A key of `published`.
        data_dir: As in `find_data_dir`; created if it does not exist.
        progress: Whether to draw a bar on standard error, if that is a terminal.
        published: The available data sets.

    Returns:
        One status for each file, all `ok`.

    Raises:
        DataError: If there is no such data set, no mirror has a file with the right checksum, or
            the disk is full or not writeable.
    """
    wanted = find_published(name, published)
    folder = find_data_dir(data_dir) / wanted.folder
    missing = [f for f in wanted.files if file_status(folder / f.path, f).state != "ok"]
    if missing:
        with _progress_bar(shown=progress) as start:
            if wanted.archive is None:
                for file in missing:
                    download(file, folder / file.path, start(file.path))
            else:
                archive = folder / wanted.archive.path
                was_there = archive.exists()
                download(wanted.archive, archive, start(wanted.archive.path))
                unpack(archive, missing, folder)
                if not was_there:
                    archive.unlink()
    return check(name, data_dir, published)


def unpack(archive: Path, files: list[PublishedFile], folder: Path) -> None:
    """Extract files from a gzipped tar by name; each is checked before it is moved to its path.

    Other members are ignored, so that no member can write outside of `folder`.

    Args:
        archive: The gzipped tar.
        files: The files to extract; their `path` is the name of the member.
        folder: Folder that `path` is relative to.

    Raises:
        DataError: If a member is missing or damaged, or cannot be written.
    """
    wanted = {file.path: file for file in files}
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for member in opened:
                content = opened.extractfile(member) if member.isreg() else None
                if member.name in wanted and content is not None:
                    _write_checked(content.read(), wanted.pop(member.name), folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{archive} must be a gzipped tar; got: {error}; delete it and fetch it again"
        ) from error
    if wanted:
        raise DataError(
            f"{archive} must hold {', '.join(wanted)}, but does not; delete it and fetch it again"
        )


def _write_checked(content: bytes, file: PublishedFile, folder: Path) -> None:
    path = folder / file.path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        status = file_status(part, file)
        if status.state != "ok":
            raise DataError(
                f"the archive must hold {file.path} with md5 {file.md5}, but its md5 is "
                f"{status.found_md5}; delete the archive and fetch it again"
            )
        replace(part, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        # Unpacking is not resumed, so a partial file is deleted.
        part.unlink(missing_ok=True)


@contextmanager
def _progress_bar(shown: bool) -> Iterator[Callable[[str], Progress]]:
    """A function that starts a bar with a label and returns its progress callback."""
    console = Console(stderr=True)
    with ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    ) as bars:

        def start(label: str) -> Progress:
            task = bars.add_task(label, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield start
