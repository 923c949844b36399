"""Checkpoints: written in the background, complete or absent, verified before they are read.

The only file that imports orbax. A checkpoint is a directory named by its step:

    00000400/arrays/        orbax: every leaf of the training state under its path
    00000400/extras.json    everything but arrays, such as the position in the data
    00000400/manifest.json  SHA-256 of every other file, written last

A checkpoint is written under another name and renamed when it is complete, so that a run killed at
any time leaves complete checkpoints only. The manifest detects later damage.
"""

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp

from odenet.durable import flush_tree, replace
from odenet.errors import CheckpointError

Which = Literal["last", "best"]
Folder = Which | Literal["start"]
"""`start` holds the first state of a run that was not initialised but came from another run."""

_SPARE_BYTES = 2**20
"""Space on the disk reserved for the small files of a checkpoint."""


class DamagedCheckpointWarning(UserWarning):
    """A checkpoint on disk is damaged, and an earlier one is used."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        step: Number of optimiser steps taken.
        state: The training state, its leaves numpy arrays.
        extras: The JSON data saved with the arrays.
        sha256: Digest of its manifest, and thereby of all its bytes.
    """

    step: int
    state: Any
    extras: dict[str, Any]
    sha256: str


class Checkpointer:
    """Saves and restores the checkpoints below one directory.

    Args:
        directory: Holds `last/` and `best/`, and optionally `start/`.
        keep: Number of checkpoints kept in `last/`, at least 2, so that a damaged one has a
            predecessor; `best/` and `start/` keep one.
    """

    def __init__(self, directory: Path, keep: int = 2):
        self.directory = directory
        self.keep: dict[Folder, int] = {"last": keep, "best": 1, "start": 1}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: list[Future[None]] = []

    def save(self, which: Folder, step: int, state: Any, extras: dict[str, Any]) -> None:
        """Copy `state` to the host and write it in the background.

        Args:
            which: The folder: `last`, `best` or `start`.
            step: Number of optimiser steps taken.
            state: Any pytree of arrays.
            extras: Any data that JSON can represent.

        Raises:
            OSError: if an earlier write failed, for instance on a full disk.
        """
        arrays = {name: np.array(leaf) for name, leaf in named(state).items()}
        self._pending.append(
            self._writer.submit(
                _write, self.directory / which, step, arrays, extras, self.keep[which]
            )
        )
        while len(self._pending) > 2:
            self._pending.pop(0).result()

    def has(self, which: Folder) -> bool:
        """Whether the folder has a complete checkpoint on disk, damaged or not."""
        return bool(steps_on_disk(self.directory / which))

    def wait(self) -> None:
        """Wait until everything is on disk.

        Raises:
            OSError: if a write failed.
        """
        while self._pending:
            self._pending.pop(0).result()

    def close(self) -> None:
        """Finish writing and end the background thread."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def restore(self, which: Folder, like: Any) -> Checkpoint | None:
        """Read the newest undamaged checkpoint, or return None if there is none at all.

        Args:
            which: The folder: `last`, `best` or `start`.
            like: A state of the same structure, shapes and dtypes.

        Raises:
            CheckpointError: if all checkpoints are damaged, or one does not fit `like`.
        """
        return self._newest_whole(which, lambda folder: _read_like(folder, like))

    def read(self, which: Folder) -> Checkpoint | None:
        """Read the newest undamaged checkpoint, its state as a dict of arrays by path.

        No network is built. A path is, for example, `params/head/linear/kernel`.

        Args:
            which: The folder: `last`, `best` or `start`.

        Raises:
            CheckpointError: if all checkpoints are damaged.
        """
        return self._newest_whole(which, _read)

    def _newest_whole(self, which: Folder, read: Callable[[Path], Checkpoint]) -> Checkpoint | None:
        folders = steps_on_disk(self.directory / which)
        complaints: list[str] = []
        for folder in folders:
            try:
                damage = _damage(folder)
                found = read(folder) if damage is None else None
            except (OSError, ValueError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                damage, found = f"it cannot be read ({reason})", None
            if not folder.is_dir():
                # Another process trains in this directory and has replaced it by a newer one.
                return self._newest_whole(which, read)
            if found is not None:
                if complaints:
                    _warn(complaints, f"using step {found.step} instead")
                return found
            complaints.append(f"checkpoint {folder} is damaged: {damage}")
        if complaints:
            raise CheckpointError("; ".join(complaints) + f"; no other `{which}` is left to use")
        return None


def _remove(folder: Path) -> None:
    """Remove a folder after a failed write, until no thread of tensorstore creates it again."""
    absent = 0
    for _ in range(100):
        absent = 0 if folder.exists() else absent + 1
        if absent == 10:
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def steps_on_disk(folder: Path) -> list[Path]:
    """The complete checkpoints in `folder`, newest first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())
    return sorted(found, key=lambda path: int(path.name), reverse=True)


def _warn(complaints: list[str], consequence: str) -> None:
    for complaint in complaints:
        warnings.warn(f"{complaint}; {consequence}", DamagedCheckpointWarning, stacklevel=4)


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, such as `params/head/linear/kernel`."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _write(
    folder: Path, step: int, arrays: dict[str, np.ndarray], extras: dict[str, Any], keep: int
) -> None:
    final = folder / f"{step:08d}"
    partial = folder / f".partial-{step:08d}"
    for unfinished in folder.glob(".partial-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _require_space(folder, sum(array.nbytes for array in arrays.values()))
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            checkpointer.save((partial / "arrays").absolute(), arrays)
        (partial / "extras.json").write_text(json.dumps(extras, indent=1))
        (partial / "manifest.json").write_text(json.dumps(_digests(partial), indent=1))
        flush_tree(partial)
    except ValueError as error:
        # tensorstore raises this where a file cannot be written.
        _remove(partial)
        raise OSError(errno.EIO, str(error).splitlines()[0]) from error
    except OSError:
        # An incomplete checkpoint would keep a full disk full.
        _remove(partial)
        raise
    shutil.rmtree(final, ignore_errors=True)
    replace(partial, final)
    for old in steps_on_disk(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def _require_space(folder: Path, nbytes: int) -> None:
    # Checked in advance: on a full disk orbax's own threads print tracebacks.
    free = shutil.disk_usage(folder).free
    if free < 2 * nbytes + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def _damage(folder: Path) -> str | None:
    """The damage in the files of a checkpoint, or None."""
    try:
        expected = json.loads((folder / "manifest.json").read_text())
        found = _digests(folder)
    except (OSError, ValueError, RecursionError) as error:
        return f"manifest.json cannot be read ({error})"
    if not isinstance(expected, dict) or "extras.json" not in expected:
        return "manifest.json does not list the files of a checkpoint"
    if not any(name.startswith("arrays/") for name in expected):
        return "manifest.json lists no arrays"
    for name, digest in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != digest:
            return f"{name} has changed since it was written"
    return None


def _read(folder: Path) -> Checkpoint:
    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
    arrays = checkpointer.restore((folder / "arrays").absolute())
    checkpointer.close()
    extras = json.loads((folder / "extras.json").read_text())
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    return Checkpoint(int(folder.name), arrays, extras, digest)


def _read_like(folder: Path, like: Any) -> Checkpoint:
    return fitted(_read(folder), like, f"checkpoint {folder}")


def fitted(found: Checkpoint, like: Any, what: str) -> Checkpoint:
    """A checkpoint read by path, with its state as a tree.

    Args:
        found: The checkpoint, its state a dict of arrays by path.
        like: A state of the required structure, shapes and dtypes.
        what: Name of the checkpoint in the error message.

    Raises:
        CheckpointError: if it does not fit `like`.
    """
    arrays, wanted = found.state, named(like)
    complaints = [f"{name} is missing" for name in wanted if name not in arrays]
    complaints += [f"{name} is not in the model" for name in arrays if name not in wanted]
    complaints += [
        f"{name} has shape {np.shape(arrays[name])}, the model needs {np.shape(leaf)}"
        for name, leaf in wanted.items()
        if name in arrays and np.shape(arrays[name]) != np.shape(leaf)
    ]
    if complaints:
        shown = "; ".join(complaints[:3]) + (" ..." if len(complaints) > 3 else "")
        raise CheckpointError(
            f"{what} does not fit the model: {shown}; keep the options that change parameters "
            f"(widths, steps, weights, fields) as they were in that run"
        )
    leaves = [np.asarray(arrays[name], dtype=leaf.dtype) for name, leaf in wanted.items()]
    return dataclasses.replace(found, state=jax.tree.unflatten(jax.tree.structure(like), leaves))
