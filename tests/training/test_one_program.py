"""Runs that differ in numbers alone have one program; what differs in its formula has another."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_experiment import classifier, configured, tiny

from odenet.experiment.build import build
from odenet.training.constants import hoisted

VALUES = tiny(
    classifier(8, num_steps=3, field={"kind": "mlp"}),
    num_steps=24,
    log_every=2,
    evaluate_every=12,
)
configure = functools.partial(configured, VALUES)
OTHER_NUMBERS = {
    "learning rate": {"training__optimizer__learning_rate": 0.3},
    "seed": {"seed": 7},
    "horizon": {"model__block__step_sizes": {"horizon": 0.7}},
    "step sizes": {"model__block__step_sizes": {"taus": [0.5, 0.25, 0.125]}},
}
OTHER_FORMULAS = {
    "momentum": {"training__optimizer__momentum": 0.5},
    "number of steps": {"model__block__num_steps": 4},
    "integrator": {"model__block__integrator": {"kind": "rk4"}},
}


def lowered(config):
    """The text of the training step."""
    experiment = build(config)
    with experiment.batches() as batches:
        chunk = experiment.placement.place_chunk(next(batches))
    step = experiment.train_step()
    args = experiment.start, experiment.resident(), chunk
    return experiment.placement.lower(step, *args)[0].as_text()


@functools.cache
def base():
    return lowered(configure())


@pytest.mark.parametrize("name", OTHER_NUMBERS)
def test_other_numbers_have_the_same_program(name):
    assert lowered(configure(**OTHER_NUMBERS[name])) == base()


@pytest.mark.parametrize("name", OTHER_FORMULAS)
def test_other_formulas_have_another_program(name):
    assert lowered(configure(**OTHER_FORMULAS[name])) != base()


def test_step_with_its_numbers_as_arguments_is_the_step():
    adamw = {"kind": "adamw", "learning_rate": 0.01, "schedule": {"kind": "cosine"}}
    config = configure(
        training__optimizer=adamw, model__block__step_sizes={"taus": [0.5, 0.25, 0.125]}
    )
    experiment = build(config)
    with experiment.batches() as batches:
        chunk = experiment.placement.place_chunk(next(batches))
    args = experiment.start, experiment.resident(), chunk
    plain, told = jax.jit(experiment.train_step())(*args)
    copied = jax.tree.map(jnp.copy, args[0])
    compiled = experiment.placement.compile(experiment.train_step(), *args)
    new, metrics = compiled.run(copied, *args[1:])
    for one, two in zip(jax.tree.leaves(new), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(metrics["learning_rate"], told["learning_rate"], rtol=1e-7)
    np.testing.assert_allclose(metrics["learning_rate"][0], 0.01, rtol=1e-6)


def test_vectors_are_hoisted_and_scalars_and_matrices_stay():
    vector, matrix = jnp.asarray([2.0, 3.0]), jnp.eye(2)

    def function(x):
        return {"y": matrix @ (vector * x + 5.0)}

    with_constants, numbers = hoisted(function, jnp.ones(2))
    np.testing.assert_array_equal(numbers, [[2.0, 3.0]])
    found = with_constants([np.asarray([10.0, 20.0], np.float32)], jnp.ones(2))
    np.testing.assert_array_equal(found["y"], [15.0, 25.0])
