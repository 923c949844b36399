"""Disks that do less than they are asked for, and renames that fail."""

import errno
import os
import warnings

import numpy as np
import pytest

from odenet import durable
from odenet.durable import NotFlushedWarning
from odenet.training.callbacks import Info, MetricsFile
from odenet.training.checkpoint import Checkpointer

REAL_OPEN, REAL_FSYNC, REAL_REPLACE = os.open, os.fsync, os.replace


def save(folder, step=4):
    checkpointer = Checkpointer(folder)
    try:
        checkpointer.save("last", step, {"w": np.arange(3.0)}, {})
    finally:
        checkpointer.close()
    return checkpointer.read("last")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EINVAL, errno.ENOSYS])
def test_folder_that_cannot_be_opened_for_a_flush_does_not_lose_the_checkpoint(
    tmp_path, monkeypatch, code
):
    def refuse_folders(path, flags, *rest, **options):
        if os.path.isdir(path) and "last" in str(path):
            raise OSError(code, os.strerror(code), str(path))
        return REAL_OPEN(path, flags, *rest, **options)

    monkeypatch.setattr(durable.os, "open", refuse_folders)
    with pytest.warns(NotFlushedWarning, match="a folder cannot be flushed"):
        assert save(tmp_path).step == 4


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP])
def test_file_that_cannot_be_flushed_does_not_lose_the_checkpoint(tmp_path, monkeypatch, code):
    def refuse(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable.os, "fsync", refuse)
    with pytest.warns(NotFlushedWarning, match="cannot be flushed to the disk here"):
        assert save(tmp_path).step == 4
    metrics = MetricsFile(tmp_path / "metrics.jsonl", 0)
    metrics(Info("start", 0, 4))
    with pytest.warns(NotFlushedWarning, match=r"metrics\.jsonl"):
        metrics(Info("checkpoint", 0, 4))
    metrics(Info("end", 0, 4))


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_broken_disk_is_still_an_error(tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable.os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        save(tmp_path)


def test_rename_that_fails_once_is_tried_again(tmp_path, monkeypatch):
    failures = iter([errno.EACCES, errno.EBUSY])

    def fail_twice(source, target):
        code = next(failures, None)
        if code is not None:
            raise OSError(code, os.strerror(code), str(target))
        REAL_REPLACE(source, target)

    monkeypatch.setattr(durable.os, "replace", fail_twice)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert save(tmp_path).step == 4


def test_rename_that_keeps_failing_or_has_nothing_to_rename_is_an_error(tmp_path, monkeypatch):
    calls = []

    def fail(source, target):
        calls.append(source)
        raise OSError(errno.EACCES, "no", str(target))

    with pytest.raises(FileNotFoundError):
        durable.replace(tmp_path / "nothing", tmp_path / "other")
    monkeypatch.setattr(durable.os, "replace", fail)
    monkeypatch.setattr(durable.time, "sleep", lambda seconds: None)
    with pytest.raises(PermissionError):
        durable.replace(tmp_path / "one", tmp_path / "other")
    assert len(calls) == 5
