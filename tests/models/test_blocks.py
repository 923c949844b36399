import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import adaptive_diffrax, fixed_diffrax
from numerics.precision import drawn

from odenet.errors import ConfigError
from odenet.integrators import DiffraxConfig, ExplicitConfig, LeapfrogConfig
from odenet.models import (
    DepthBlockConfig,
    Discretisation,
    FeedForwardBlockConfig,
    RegressorConfig,
)

DEPTH, WIDTH = 4, 3
H0 = np.random.default_rng(0).normal(size=(2, WIDTH))


def built(config, seed=2, **options):
    return drawn(lambda: config.build((WIDTH,), rngs=nnx.Rngs(0)), seed, **options)


BLOCK = built(DepthBlockConfig(num_steps=DEPTH, step_sizes={"horizon": 1.0}))


def numbers(module):
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def layers_of(block):
    affine = block.weights.stacked.affine[0]
    return list(zip(np.asarray(affine.kernel[...]), np.asarray(affine.bias[...]), strict=True))


def euler_by_hand(layers, taus):
    h = H0
    for (W, b), tau in zip(layers, taus, strict=True):
        h = h + tau * np.tanh(h @ W + b)
    return h


def run(block, *arguments):
    return jax.jit(lambda h0: block(h0, *arguments))(jnp.asarray(H0))


def test_block_is_euler_on_its_own_grid():
    expected = euler_by_hand(layers_of(BLOCK), np.full(DEPTH, 0.25))
    np.testing.assert_allclose(run(BLOCK).h1, expected, rtol=1e-12)


def test_finer_discretisation_repeats_every_layer_with_smaller_steps():
    layers = [layer for layer in layers_of(BLOCK) for _ in range(3)]
    expected = euler_by_hand(layers, np.full(12, 1 / 12))
    fine = run(BLOCK, Discretisation(step_factor=Fraction(3)))
    np.testing.assert_allclose(fine.h1, expected, rtol=1e-12)
    assert int(fine.stats.accepted) == 12


def test_coarser_discretisation_takes_the_first_layer_of_every_pair():
    expected = euler_by_hand(layers_of(BLOCK)[::2], np.full(2, 0.5))
    coarse = run(BLOCK, Discretisation(step_factor=Fraction(1, 2)))
    np.testing.assert_allclose(coarse.h1, expected, rtol=1e-12)


def test_other_integrator_runs_the_same_parameters_and_leaves_them_alone():
    before = jax.tree.map(np.array, nnx.state(BLOCK))
    exact = run(BLOCK, Discretisation(adaptive_diffrax("dopri8", 1e-10).build())).h1
    errors = []
    for kind in ("euler", "midpoint", "rk4"):
        other = run(BLOCK, Discretisation(ExplicitConfig(kind=kind).build(), Fraction(8))).h1
        errors.append(float(jnp.max(jnp.abs(other - exact))))
    assert errors[0] > 30 * errors[1] > 900 * errors[2] > 0
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(nnx.state(BLOCK)), strict=True):
        np.testing.assert_array_equal(old, new)
    assert BLOCK.integrator == ExplicitConfig().build()


@pytest.mark.parametrize("factor", [Fraction(1, 3), Fraction(3, 8)])
def test_factor_that_gives_no_whole_number_of_steps_is_refused(factor):
    with pytest.raises(ConfigError, match=f"step_factor {factor} of 4 steps is not a whole number"):
        BLOCK(jnp.asarray(H0), Discretisation(step_factor=factor))


def test_discretisation_is_refused_before_anything_is_built():
    config = DepthBlockConfig(num_steps=12, weights={"kind": "per_layer", "num_layers": 6})
    config.check_discretisation(Discretisation(step_factor=Fraction(2)))
    config.check_discretisation(Discretisation(step_factor=Fraction(1, 4)))
    with pytest.raises(ConfigError, match="4 steps do not fit 6 layers"):
        config.check_discretisation(Discretisation(step_factor=Fraction(1, 3)))
    with pytest.raises(ConfigError, match="nearest"):
        config.check_discretisation(Discretisation(step_factor=Fraction(3, 2)))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ({"kind": "shared"}, 1),
        ({"kind": "shared_with_time"}, 1),
        ({"kind": "per_layer"}, 6),
        ({"kind": "per_layer", "num_layers": 2}, 2),
    ],
)
def test_config_and_block_agree_on_the_number_of_layers(weights, expected):
    config = DepthBlockConfig(num_steps=6, weights=weights)
    assert config.num_layers == expected
    block = nnx.eval_shape(lambda: config.build((2,), rngs=nnx.Rngs(0)))
    assert block.weights.num_layers == expected


def test_feedforward_block_is_the_composition_of_its_layers():
    block = built(FeedForwardBlockConfig(num_layers=DEPTH), 5)
    states = [H0]
    for W, b in layers_of(block):
        states.append(np.tanh(states[-1] @ W + b))
    result = jax.jit(lambda h0: block(h0, save_path=True))(jnp.asarray(H0))
    np.testing.assert_allclose(result.path, states, rtol=1e-12)
    np.testing.assert_array_equal(result.h1, result.path[-1])
    assert int(result.stats.nfe) == DEPTH
    assert float(block.penalty()) == 0.0


@pytest.mark.parametrize(
    ("field", "shape"),
    [({"kind": "mlp", "hidden": (5,)}, (WIDTH,)), ({"kind": "conv"}, (4, 4, 2))],
)
def test_feedforward_control_has_the_parameters_of_the_residual_block(field, shape):
    configs = (
        FeedForwardBlockConfig(field=field, num_layers=DEPTH),
        DepthBlockConfig(field=field, num_steps=DEPTH),
    )
    plain, residual = nnx.eval_shape(
        lambda: tuple(config.build(shape, rngs=nnx.Rngs(0)) for config in configs)
    )
    assert numbers(plain) == numbers(residual) > 0


def test_only_the_residual_block_has_a_skip_connection():
    """With weights of zero the field is zero: a skip connection is what is left."""
    for config, expected in (
        (DepthBlockConfig(num_steps=DEPTH), H0),
        (FeedForwardBlockConfig(num_layers=DEPTH), np.zeros_like(H0)),
    ):
        block = built(config, scale=0.0)
        np.testing.assert_array_equal(run(block).h1, expected)


def test_feedforward_network_refuses_another_discretisation():
    config = RegressorConfig.model_validate(
        {"stages": [{"width": 3}], "block": {"kind": "feedforward", "num_layers": 2}}
    )
    network = drawn(lambda: config.build((2,), 1, rngs=nnx.Rngs(0)), 0)
    assert network(jnp.ones((1, 2))).outputs.shape == (1, 1)
    with pytest.raises(ConfigError, match="feed-forward block is not a discretised ODE"):
        network(jnp.ones((1, 2)), Discretisation(fixed_diffrax("heun").build()))


def test_break_points_outside_a_block_of_fixed_length_are_refused():
    mapping = {"num_steps": 2, "integrator": {"kind": "dopri5", "break_points": [0.5, 3.0]}}
    with pytest.raises(ValueError, match=r"goes from 0 to 2; got \[3.0\]; remove"):
        DepthBlockConfig.model_validate(mapping)
    back = mapping | {
        "step_sizes": {"tau": -2.0},
        "integrator": {"kind": "bosh3", "break_points": [-3]},
    }
    assert DepthBlockConfig.model_validate(back)
    learned = mapping | {"step_sizes": {"kind": "learned"}}
    assert DepthBlockConfig.model_validate(learned)


def test_inverse_of_a_block_with_break_points_asks_for_those_from_its_end():
    config = DepthBlockConfig.model_validate(
        {"num_steps": 2, "integrator": {"kind": "dopri5", "break_points": [0.5]}}
    )
    block = built(config)
    with pytest.raises(ConfigError, match=r"break_points=\[0.5\].*horizon - t"):
        block.inverse(jnp.asarray(H0))


def test_learned_steps_that_an_adaptive_solver_cannot_see_are_refused():
    values = {
        "step_sizes": {"kind": "learned", "parametrisation": "simplex"},
        "integrator": {"kind": "diffrax"},
        "weights": {"kind": "shared"},
    }
    with pytest.raises(ValueError, match="nothing would be learned"):
        DepthBlockConfig.model_validate(values)
    DepthBlockConfig.model_validate(values | {"weights": {"kind": "per_layer"}})


@pytest.mark.parametrize("other", [ExplicitConfig(), DiffraxConfig()], ids=lambda c: c.kind)
def test_integrators_of_two_equations_are_not_exchanged(other):
    for own, asked in ((LeapfrogConfig(), other), (other, LeapfrogConfig())):
        config = DepthBlockConfig(num_steps=DEPTH, integrator=own)
        block = built(config)
        way = Discretisation(asked.build())
        with pytest.raises(ConfigError, match=r"within one equation.*another network; use"):
            block(jnp.asarray(H0), way)
        with pytest.raises(ConfigError, match="within one equation"):
            config.check_discretisation(way)


def test_leapfrog_block_takes_another_policy_and_finer_steps():
    config = DepthBlockConfig(num_steps=DEPTH, integrator=LeapfrogConfig())
    block = built(config)
    stored = Discretisation(LeapfrogConfig(remat="none").build())
    np.testing.assert_allclose(run(block, stored).h1, run(block).h1, rtol=1e-14)
    finer = [run(block, Discretisation(step_factor=Fraction(n))).h1 for n in (2, 4, 8)]
    first, second = (np.max(np.abs(a - b)) for a, b in itertools.pairwise(finer))
    assert first / second == pytest.approx(4, rel=0.1)
