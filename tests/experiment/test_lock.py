"""The lock of a run directory, and systems that have none."""

import errno
import os

import pytest

from odenet.errors import RunDirectoryError
from odenet.experiment import lock as module
from odenet.experiment.directory import RunDirectory
from odenet.experiment.lock import NoLockWarning


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL])
def test_file_system_without_locks_is_named_and_used(tmp_path, monkeypatch, code):
    def fail(file, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(module.fcntl, "flock", fail)
    with pytest.warns(NoLockWarning, match=os.strerror(code)) as caught:
        place = RunDirectory.create(tmp_path / "run")
    assert "in use" not in str(caught[0].message)
    place.write_text("config.yaml", "name: x")
    place.close()
    with pytest.warns(NoLockWarning), RunDirectory.open(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_system_without_flock_is_named_and_used(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with pytest.warns(NoLockWarning, match="this system has no flock"):
        RunDirectory.create(tmp_path / "run").close()


def test_lock_that_is_held_names_its_process(tmp_path):
    with RunDirectory.create(tmp_path / "run") as place:
        place.write_text("config.yaml", "name: x")
        with pytest.raises(RunDirectoryError, match=rf"another process \(pid {os.getpid()}\)"):
            RunDirectory.open(tmp_path / "run")
    RunDirectory.open(tmp_path / "run").close()
