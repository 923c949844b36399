"""Arrays of an .npz file, read without executing pickled code."""

import difflib
import hashlib
import zipfile
import zlib
from pathlib import Path

import numpy as np

from odenet.errors import DataError

REQUIRED = ("train_inputs", "train_targets", "test_inputs", "test_targets")
OPTIONAL = ("validation_inputs", "validation_targets")
_PARTS = {"train": ("train",), "test": ("test",), "validation": ("validation", "valid", "val")}
_KINDS = {"inputs": ("inputs", "images", "x"), "targets": ("targets", "labels", "y")}
OTHER_NAMES = {
    name: f"{part}_{kind}"
    for part, parts in _PARTS.items()
    for kind, kinds in _KINDS.items()
    for one in parts
    for other in kinds
    for name in (f"{one}_{other}", f"{other}_{one}", f"{other.upper()}_{one}")
}
"""Standard name of an array by each accepted name: `x_train` is `train_inputs`."""

_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    MemoryError,
    RuntimeError,  # raised by zipfile for a password or an unknown compression
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file with training, test and optional validation examples.

    Args:
        path: A file of `numpy.savez` or `numpy.savez_compressed`.

    Raises:
        DataError: If the file is missing, damaged or of another format, or an array is missing, has
            an unknown name or holds Python objects.
    """
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} must be an .npz file; got one array; use numpy.savez")
            _check_names(path, file.files)
            arrays = {OTHER_NAMES[name]: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataError(
            f"data.path is {path}, which does not exist; a relative path is looked up beside the "
            f"experiment file, then in the data folder of --data-dir or ODENET_DATA_DIR"
        ) from error
    except DataError:
        raise
    except _UNREADABLE as error:
        first = (str(error).splitlines() or [""])[0]
        raise DataError(
            f"{path} must be an .npz file of arrays of numbers, as numpy.savez writes it; it "
            f"cannot be read: {first or type(error).__name__}"
        ) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise DataError(
                f"{path} holds {name!r}, which is not an array; write it by numpy.savez"
            )
    return arrays


def _check_names(path: Path, names: list[str]) -> None:
    valid = (*REQUIRED, *OPTIONAL, "x_train", "y_train")
    found: dict[str, str] = {}
    for name in names:
        if name not in OTHER_NAMES:
            near = difflib.get_close_matches(name, OTHER_NAMES, n=1)
            hint = f"nearest: {near[0]}" if near else f"valid: {', '.join(valid)}"
            raise DataError(f"{path} holds {name!r}, which would be ignored; {hint}")
        if found.setdefault(OTHER_NAMES[name], name) != name:
            raise DataError(
                f"{path} holds {found[OTHER_NAMES[name]]!r} and {name!r}, two names for "
                f"{OTHER_NAMES[name]}; keep one"
            )
    needed = (*REQUIRED, *(OPTIONAL if any(name in found for name in OPTIONAL) else ()))
    missing = [name for name in needed if name not in found]
    if missing:
        fix = ""
        if {"test_inputs", "test_targets"} == set(missing):
            x, y = found["train_inputs"], found["train_targets"]
            fix = (
                f"; keep some examples for the test, after a shuffle: np.savez({path.name!r}, "
                f"train_inputs={x}[1000:], train_targets={y}[1000:], test_inputs={x}[:1000], "
                f"test_targets={y}[:1000])"
            )
        raise DataError(
            f"{path} needs arrays {', '.join(needed)}; missing: {', '.join(missing)}; it holds "
            f"{', '.join(names) or 'none'}{fix}"
        )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"data files must be readable; {path}: {error.strerror}") from error
