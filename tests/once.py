"""What one worker of the tests makes, for all of them."""

import fcntl
import os


def made_once(tmp_path_factory, name, make):
    """The folder `name`, which `make(path)` fills in the first worker that asks for it.

    All workers share it: whoever changes it takes a copy.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path, made = folder / name, folder / f"{name}.made"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(path)
            made.touch()
    return path
