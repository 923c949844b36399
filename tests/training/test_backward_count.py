"""Evaluations of a solve backwards as a metric of every step."""

import numpy as np

BACKSOLVE = {"kind": "diffrax", "adjoint": {"kind": "backsolve"}, "max_steps": 32}


def test_steps_by_backsolve_tell_the_evaluations_backwards_and_others_do_not(configure, take_steps):
    one_layer = {"model__block__weights": {"kind": "shared"}}
    found = take_steps(configure(model__block__integrator=BACKSOLVE, **one_layer)).metrics
    counts = found["nfe_backward"]
    # Six evaluations for a step of tsit5, and the first stage once.
    np.testing.assert_array_equal(np.mod(counts, 6), 1)
    assert np.all(counts >= 7)
    exact = {"kind": "diffrax", "max_steps": 32}
    other = take_steps(configure(model__block__integrator=exact, **one_layer)).metrics
    assert "nfe_backward" not in other
    assert set(other) == set(found) - {"nfe_backward"}
