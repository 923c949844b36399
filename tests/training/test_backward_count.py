"""Evaluations of a solve backwards as a metric of every step."""

import jax
import numpy as np

from odenet.experiment.build import build

BACKSOLVE = {"kind": "diffrax", "adjoint": {"kind": "backsolve"}, "max_steps": 32}


def names_of_metrics(config):
    """The metrics of a training step that is traced and not compiled."""
    experiment = build(config)
    with experiment.batches() as batches:
        chunk = experiment.placement.place_chunk(next(batches))
    step = experiment.train_step()
    return set(jax.eval_shape(step, experiment.start, experiment.resident(), chunk)[1])


def test_steps_by_backsolve_tell_the_evaluations_backwards_and_others_do_not(configure, take_steps):
    one_layer = {"model__block__weights": {"kind": "shared"}}
    found = take_steps(configure(model__block__integrator=BACKSOLVE, **one_layer)).metrics
    counts = found["nfe_backward"]
    # Six evaluations for a step of tsit5, and the first stage once.
    np.testing.assert_array_equal(np.mod(counts, 6), 1)
    assert np.all(counts >= 7)
    exact = {"kind": "diffrax", "max_steps": 32}
    other = names_of_metrics(configure(model__block__integrator=exact, **one_layer))
    assert "nfe_backward" not in other
    assert other == set(found) - {"nfe_backward"}
