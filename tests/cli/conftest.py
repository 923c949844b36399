"""One small run, trained once for all tests of the command line."""

import shutil

import pytest
from commands import QUICKSTART, SMALL, answer
from once import made_once


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The quickstart in small, with its gradients watched; not to be changed."""

    def make(path):
        watched = "training.gradient_flow_every=10"
        answer("run", QUICKSTART, *SMALL, watched, "--out", path, "--json")

    return made_once(tmp_path_factory, "small_run", make)


@pytest.fixture(scope="module")
def trained(small_run, tmp_path_factory):
    """A copy of the small run for the tests of a file."""
    return shutil.copytree(small_run, tmp_path_factory.mktemp("trained") / "out")
