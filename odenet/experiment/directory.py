"""The run directory: the files of a run, and the lock against a second process."""

import contextlib
import errno
import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from odenet.durable import replace
from odenet.errors import RunDirectoryError
from odenet.experiment.lock import lock

CONFIG, RUN, STATUS, METRICS, RESULTS, COMPARISON, LEVELS = (
    "config.yaml",
    "run.json",
    "status.json",
    "metrics.jsonl",
    "results.json",
    "comparison.json",
    "levels.json",
)

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""Errors of a full, broken or missing disk."""


class RunDirectory:
    """A directory to which one process at a time writes.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock: TextIO | None = None

    @staticmethod
    def create(path: Path) -> "RunDirectory":
        """Make and lock a new directory.

        Raises:
            RunDirectoryError: if the path exists and holds a run or is a file; it stays unchanged.
        """
        if path.exists() and (not path.is_dir() or _holds_a_run(path)):
            raise RunDirectoryError(
                f"a run is written to a new directory, but {path} exists; name another with --out, "
                f"or continue it with: odenet resume {path}"
            )
        path.mkdir(parents=True, exist_ok=True)
        return RunDirectory(path)._locked()

    @staticmethod
    def open(path: Path, needs: str = CONFIG) -> "RunDirectory":
        """Lock an existing directory that holds the file `needs`.

        Raises:
            RunDirectoryError: if the file is missing, or another process holds the lock.
        """
        require(path, needs)
        return RunDirectory(path)._locked()

    def _locked(self) -> "RunDirectory":
        self._lock = lock(self.path)
        return self

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def file(self, name: str) -> Path:
        """Path of a file in the directory."""
        return self.path / name

    def write_json(self, name: str, values: Any) -> None:
        """Write a JSON file atomically."""
        self.write_text(name, json.dumps(finite(values), indent=1, allow_nan=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file atomically."""
        partial = self.file(name + ".partial")
        partial.write_text(text)
        replace(partial, self.file(name))


def _holds_a_run(path: Path) -> bool:
    """Whether a directory holds more than the files of a run that was killed before training.

    `config.yaml` is written last, so that any directory with `config.yaml` can be resumed.
    """

    def left(entry: Path) -> bool:
        if entry.name == "checkpoints" and entry.is_dir():
            return {inner.name for inner in entry.iterdir()} <= {"start"}
        return entry.name in (".lock", RUN) or entry.suffix == ".partial"

    return not all(left(entry) for entry in path.iterdir())


def finite(values: Any) -> Any:
    """Values for JSON: a non-finite number becomes None."""
    if isinstance(values, dict):
        return {key: finite(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


def require(path: Path, needs: str) -> None:
    """Refuse a path that is not a run directory with the file `needs`.

    Raises:
        RunDirectoryError: naming the missing directory or file.
    """
    if not path.is_dir():
        raise RunDirectoryError(f"no run directory {path}; `odenet run` and `compare` make one")
    if not (path / needs).is_file():
        raise RunDirectoryError(f"{path} is not a run directory of this kind: it has no {needs}")


def read_json(path: Path) -> Any:
    """The values in a JSON file of a run directory.

    Raises:
        RunDirectoryError: if it is missing or does not parse.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise RunDirectoryError(f"{path} cannot be read: {error}") from error


def is_comparison(directory: Path) -> bool:
    """Whether a run directory holds a comparison, not a single run.

    Raises:
        RunDirectoryError: if it is no run directory.
    """
    require(directory, CONFIG)
    return read_json(directory / RUN)["kind"] == "compare"


def default_directory(name: str) -> Path:
    """`runs/name`, or the first of `runs/name-2`, `runs/name-3`, ... that does not exist."""
    path = Path("runs") / name
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn the errors of a full or failing disk into a `RunDirectoryError`.

    Raises:
        RunDirectoryError: instead of an `OSError` for space, quota or size.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        failure = RunDirectoryError(
            f"{path} cannot be written: {error.strerror}; the files saved before are intact; free "
            f"space on the disk"
        )
        failure.resume_from = path
        raise failure from error


def git_commit() -> str | None:
    """Commit of the working tree of this package, with `+` if files are changed."""
    folder = Path(__file__).resolve().parent
    try:
        head = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")
