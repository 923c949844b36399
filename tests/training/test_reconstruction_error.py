"""The error of reconstructed states as a metric of every step, and what training does about it."""

import numpy as np

from odenet.integrators import Failure
from odenet.integrators.reconstruction import LARGEST_ERROR
from odenet.training.loop import failure_message


def test_steps_tell_the_error_of_reconstructed_states_and_stored_ones_do_not(configure, take_steps):
    found = take_steps(configure(model__block__integrator={"kind": "leapfrog"})).metrics
    assert np.all(found["reconstruction_error"] > 0)
    assert np.all(found["reconstruction_error"] < 1e-4)
    assert np.all(found["solver_ok"] == 1)
    stored = {"kind": "leapfrog", "remat": "step"}
    other = take_steps(configure(model__block__integrator=stored)).metrics
    assert set(other) == set(found) - {"reconstruction_error"}


def test_steps_at_wrong_states_fail_by_a_reason_that_names_them(configure, take_steps):
    forgetful = {"kind": "momentum", "gamma": 1e-4}
    found = take_steps(configure(model__block__integrator=forgetful)).metrics
    assert np.all(found["reconstruction_error"] > LARGEST_ERROR)
    assert np.all(found["solver_ok"] == 0)
    assert np.all(found["solver_failure"] == Failure.RECONSTRUCTION)
    message = failure_message(1, {k: np.asarray(v) for k, v in found.items()}, 0, 1)
    assert "reconstructed have a relative error of" in message
    assert "remat=step or sqrt" in message
