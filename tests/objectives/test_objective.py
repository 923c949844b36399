import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn

from odenet.integrators import Failure, SolverStats
from odenet.models import ClassifierConfig, RegressorConfig
from odenet.objectives import CrossEntropyConfig, MeanSquaredErrorConfig, Objective, solver_metrics

X = np.random.default_rng(0).normal(size=(5, 2))
Y = np.random.default_rng(1).normal(size=(5, 1))
PENALTY = {"horizon": 0.5, "l1": 0.25}


def network(penalty):
    block = {
        "num_steps": 3,
        "step_sizes": {"kind": "learned", "horizon": 1.5, "penalty": penalty},
    }
    config = RegressorConfig.model_validate({"stages": [{"width": 4}], "block": block})
    return drawn(lambda: config.build((2,), 1, rngs=nnx.Rngs(0)), 0)


def evaluate(model, *batch):
    objective = Objective(MeanSquaredErrorConfig().build())
    return jax.jit(lambda *batch: objective(model, *batch))(*batch)


def test_objective_is_the_mean_loss_and_the_metrics_say_what_it_cost():
    model = network({})
    value, metrics = evaluate(model, X, Y, np.ones(5))
    outputs = np.asarray(model(jnp.asarray(X)).outputs)
    assert float(value) == pytest.approx(np.mean((outputs - Y) ** 2), rel=1e-12)
    assert float(metrics["loss"]) == float(metrics["objective"]) == float(value)
    assert float(metrics["penalty"]) == 0.0
    assert [float(metrics[k]) for k in ("nfe", "accepted_steps", "rejected_steps")] == [3, 3, 0]
    assert float(metrics["solver_ok"]) == 1.0


def test_smoothed_labels_are_minimised_and_the_plain_loss_is_reported():
    config = ClassifierConfig.model_validate({"stages": [{"width": 4}], "block": {"num_steps": 1}})
    model = drawn(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)), 0)
    labels = jnp.asarray([0, 1, 2, 0, 1])
    objective = Objective(CrossEntropyConfig(label_smoothing=0.3).build())
    value, metrics = jax.jit(lambda *batch: objective(model, *batch))(X, labels, jnp.ones(5))
    outputs = np.asarray(model(jnp.asarray(X)).outputs)
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    plain = -log_p[range(5), np.asarray(labels)].mean()
    smoothed = 0.7 * plain - 0.3 * log_p.mean()
    assert float(metrics["loss"]) == pytest.approx(plain, rel=1e-12)
    assert float(metrics["smoothed_loss"]) == pytest.approx(smoothed, rel=1e-12)
    assert float(metrics["objective"]) == float(value) == pytest.approx(smoothed, rel=1e-12)


def test_examples_of_weight_zero_change_nothing():
    model = network(PENALTY)
    padded = np.vstack([X, np.full((3, 2), 1e6)]), np.vstack([Y, np.full((3, 1), -1e6)])
    weights = np.r_[np.ones(5), np.zeros(3)]
    value, metrics = evaluate(model, *padded, weights)
    expected, expected_metrics = evaluate(model, X, Y, np.ones(5))
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    assert float(metrics["loss"]) == pytest.approx(float(expected_metrics["loss"]), rel=1e-12)


def test_weights_weigh_the_mean():
    model, weights = network({}), np.array([1.0, 0.0, 2.0, 0.5, 0.0])
    outputs = np.asarray(model(jnp.asarray(X)).outputs)
    value, _ = evaluate(model, X, Y, weights)
    losses = ((outputs - Y) ** 2)[:, 0]
    assert float(value) == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-12)


def test_penalty_on_the_step_sizes_enters_the_objective_and_its_gradient():
    model = network(PENALTY)
    raw = np.array([0.5, 1.0, -0.75])
    model.blocks[0].step_sizes.raw[...] = jnp.asarray(raw)
    value, metrics = evaluate(model, X, Y, np.ones(5))
    penalty = 0.5 * (raw.sum() - 1.5) ** 2 + 0.25 * np.abs(raw).sum()
    assert float(metrics["penalty"]) == pytest.approx(penalty, rel=1e-12)
    assert float(value) == pytest.approx(float(metrics["loss"]) + penalty, rel=1e-12)

    graphdef, params = nnx.split(model)

    def part(params, name):
        metrics = evaluate(nnx.merge(graphdef, params), X, Y, np.ones(5))[1]
        return metrics[name]

    gradient_of = jax.jit(jax.grad(part), static_argnums=1)
    gradients = {
        name: gradient_of(params, name)["blocks"][0]["step_sizes"]["raw"][...]
        for name in ("objective", "loss")
    }
    expected = 2 * 0.5 * (raw.sum() - 1.5) + 0.25 * np.sign(raw)
    np.testing.assert_allclose(gradients["objective"] - gradients["loss"], expected, rtol=1e-9)


def test_solver_metrics_name_every_statistic():
    stats = SolverStats.of(12, 5, 3, Failure.STEP_TOO_SMALL, 0.75)
    stats = dataclasses.replace(stats, layer=jnp.asarray(6), stage=jnp.asarray(1))
    metrics = solver_metrics(stats)
    assert {name: float(value) for name, value in metrics.items()} == {
        "nfe": 12.0,
        "accepted_steps": 5.0,
        "rejected_steps": 3.0,
        "solver_ok": 0.0,
        "solver_failure": 2.0,
        "failed_stage": 1.0,
        "failed_layer": 6.0,
        "failed_time": 0.75,
    }
    assert len(metrics) == len(dataclasses.fields(SolverStats)) + 1
