"""Evaluations of a solve backwards as a metric of every step."""

import jax
import numpy as np
import pytest

from odenet.experiment.build import build

BACKSOLVE = {"kind": "diffrax", "adjoint": {"kind": "backsolve"}, "max_steps": 32}


def names_of_metrics(config):
    """The metrics of a training step that is traced and not compiled."""
    experiment = build(config)
    with experiment.batches() as batches:
        chunk = experiment.placement.place_chunk(next(batches))
    step = experiment.train_step()
    return set(jax.eval_shape(step, experiment.start, experiment.resident(), chunk)[1])


ONE_LAYER = {"model__block__weights": {"kind": "shared"}}


@pytest.mark.slow  # a solve backwards is compiled within a step of training
def test_steps_by_backsolve_tell_the_evaluations_backwards(configure, take_steps):
    found = take_steps(configure(model__block__integrator=BACKSOLVE, **ONE_LAYER)).metrics
    counts = found["nfe_backward"]
    # Six evaluations for a step of tsit5, and the first stage once.
    np.testing.assert_array_equal(np.mod(counts, 6), 1)
    assert np.all(counts >= 7)


def test_steps_by_backsolve_alone_have_evaluations_backwards(configure):
    exact = {"kind": "diffrax", "max_steps": 32}
    by_backsolve, other = (
        names_of_metrics(configure(model__block__integrator=integrator, **ONE_LAYER))
        for integrator in (BACKSOLVE, exact)
    )
    assert by_backsolve - other == {"nfe_backward"}
    assert other <= by_backsolve
