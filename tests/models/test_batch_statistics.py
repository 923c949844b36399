"""Batch norm in blocks whose depth is time: statistics per layer, under the scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx
from numerics.finite_differences import check_gradient
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.integrators import AdaptiveConfig, DiffraxConfig, ExplicitConfig, LeapfrogConfig
from odenet.models import DepthBlockConfig, Discretisation
from odenet.models.network import ClassifierConfig

LAYERS, SHAPE = 3, (4, 4, 6)


def made(**options):
    """A block in double precision with random variables."""
    config = {"num_steps": LAYERS, "field": {"kind": "residual"}} | options
    of = DepthBlockConfig.model_validate(config)
    return drawn(nnx.eval_shape(lambda: of.build(SHAPE, rngs=nnx.Rngs(0))), seed=1)


def states(seed=2):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(5, *SHAPE)))


def statistics(module):
    return nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))


def layer(stacked, index):
    """The field of one layer, taken out of the stack."""
    graphdef, state = nnx.split(stacked)
    return nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[index], state))


def one_by_one(block, h, taus):
    """Layer after layer in Python: states, and the statistics of every layer after it."""
    path, moved = [h], []
    for index in range(LAYERS):
        field = layer(block.weights.stacked, index)
        path.append(path[-1] + taus[index] * field.with_batch_statistics(jnp.zeros(()), path[-1]))
        moved.append(statistics(field))
    return jnp.stack(path), jax.tree.map(lambda *leaves: jnp.stack(leaves), *moved)


def check(found, expected, rtol=1e-12):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), found, expected
    )


@pytest.mark.parametrize(
    "integrator",
    [{}, {"remat": "step"}, {"remat": "sqrt"}],
    ids=lambda options: str(*options.values()),
)
def test_block_in_training_mode_equals_its_layers_one_by_one(integrator):
    block = made(integrator={"kind": "euler"} | integrator)
    path, moved = one_by_one(block, states(), block.grid().taus)
    found = block(states(), save_path=True, training=True)
    check(found.path, path)
    check(statistics(block.weights.stacked), moved)


def test_states_of_the_layers_differ_by_the_sum_of_their_branches():
    # He et al. 2016, eq. 4, with tau.
    block = made(step_sizes={"kind": "learned"})
    taus = block.grid().taus
    path = block(states(), save_path=True).path
    branches = [
        tau * layer(block.weights.stacked, k)(jnp.zeros(()), path[k]) for k, tau in enumerate(taus)
    ]
    check(path[LAYERS] - path[1], branches[1] + branches[2])


def test_outside_training_mode_the_statistics_stay_and_are_used():
    block = made()
    before = statistics(block)
    one = block(states())
    check(statistics(block), before, rtol=0)
    alone = block(states()[:1])
    check(one.h1[:1], alone.h1)
    assert np.abs(block(states()[:1], training=True).h1 - alone.h1).max() > 1e-3


def test_gradient_through_batch_statistics_equals_finite_differences():
    block = made()
    graphdef, params, rest = nnx.split(block, nnx.Param, ...)
    weights = states(5)

    @jax.jit
    def loss(params, h):
        return jnp.vdot(weights, nnx.merge(graphdef, params, rest, copy=True)(h, training=True).h1)

    check_gradient(loss, params, states())


def test_stages_and_shared_layers_take_the_mean_of_their_batch_statistics():
    block = made(integrator={"kind": "heun"}, weights={"kind": "shared"}, num_steps=2)
    h, moved = states(), []
    for tau in block.grid().taus:
        derivatives = []
        for stage in range(2):
            at = h if stage == 0 else h + tau * derivatives[0]
            alone = layer(block.weights.stacked, 0)
            derivatives.append(alone.with_batch_statistics(jnp.zeros(()), at))
            moved.append(statistics(alone))
        h = h + tau / 2 * (derivatives[0] + derivatives[1])
    expected = jax.tree.map(lambda *leaves: sum(leaves)[None] / 4, *moved)
    check(block(states(), training=True).h1, h)
    check(statistics(block.weights.stacked), expected)


SOLVERS = {
    "rk4": ExplicitConfig(kind="rk4"),
    "dopri5": AdaptiveConfig(rtol=1e-9, atol=1e-9),
    "diffrax": DiffraxConfig.model_validate(
        {"solver": "tsit5", "controller": {"rtol": 1e-9, "atol": 1e-9}, "max_steps": 4096}
    ),
}


def test_frozen_statistics_run_under_every_solver():
    block = made(step_sizes={"kind": "fixed", "horizon": 0.05})
    fine = block(states(), Discretisation(ExplicitConfig(kind="rk4").build(), step_factor=8)).h1
    for config in SOLVERS.values():
        found = block(states(), Discretisation(config.build()))
        assert found.stats.success
        check(found.h1, fine, rtol=1e-5)


@pytest.mark.parametrize("kind", ["dopri5", "diffrax"])
def test_batch_statistics_are_refused_by_solvers(kind):
    with pytest.raises(ConfigError, match="batch norm cannot be trained by this integrator"):
        made()(states(), Discretisation(SOLVERS[kind].build()), training=True)
    for integrator in (SOLVERS[kind], LeapfrogConfig()):
        options = {"field": {"kind": "residual"}, "integrator": integrator.model_dump()}
        with pytest.raises(ConfigError, match=f"kind={integrator.kind}: .* an explicit method"):
            DepthBlockConfig.model_validate(options).check_trainable(training=True)


def test_norm_of_the_head_uses_batch_statistics_too():
    config = ClassifierConfig.model_validate(
        {
            "stem": {"kind": "linear"},
            "stages": [{"width": 4}],
            "block": {"num_steps": 1, "field": {"kind": "mlp"}},
            "head": {"norm": "batch", "activation": "relu"},
        }
    )
    network = config.build((4,), 3, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(3).normal(size=(7, 4)), jnp.float32)
    before = np.asarray(network.blocks[0](network.projections[0](x)).h1, np.float64)
    network(x, training=True)
    # To the last digits of the states, whose mean may be much smaller than they are.
    np.testing.assert_allclose(network.head.norm.mean[...], 0.1 * before.mean(0), atol=1e-7)
    np.testing.assert_allclose(
        network.head.norm.variance[...], 0.9 + 0.1 * before.var(0, ddof=1), rtol=1e-6
    )


def test_feed_forward_control_refuses_batch_norm():
    with pytest.raises(ValidationError, match="does not support batch statistics"):
        ClassifierConfig.model_validate(
            {
                "stages": [{"width": 4}],
                "block": {"kind": "feedforward", "field": {"kind": "residual"}},
            }
        )


@pytest.mark.parametrize("arrangement", ["relu_only_preactivation", "full_preactivation"])
def test_layers_that_start_at_zero_are_the_identity(arrangement):
    field = {"kind": "residual", "arrangement": arrangement, "last_init": "zero"}
    config = DepthBlockConfig.model_validate({"num_steps": LAYERS, "field": field})
    h0 = states().astype(jnp.float32)
    block = config.build(SHAPE, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(block(h0, training=True).h1, h0)
