"""One small run, made once for all tests of instruments."""

import pytest
from once import made_once
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user

from odenet.experiment.run import run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A run of two steps, whose network has two layers; not to be changed."""

    def make(path):
        with as_a_user():
            run(configured(tiny(classifier(4, num_steps=2), num_steps=2)), path)

    return made_once(tmp_path_factory, "run_of_two_steps", make)
