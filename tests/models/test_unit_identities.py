"""What He et al. 2016 derive from the order of a unit's parts, exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx

from odenet.integrators import DiffraxConfig
from odenet.models import DepthBlockConfig, Discretisation, ResNetConfig, count_parameters

LAYERS, SHAPE = 3, (3, 3, 4)
H0 = jnp.asarray(np.random.default_rng(2).normal(size=(4, *SHAPE)))
STEPS = ("relu_before_addition", "relu_only_preactivation", "full_preactivation")
NO_STEPS = ("original", "batch_norm_after_addition")


def made(arrangement, tau=1.0):
    field = {"kind": "residual", "arrangement": arrangement}
    config = DepthBlockConfig(num_steps=LAYERS, field=field, step_sizes={"tau": tau})
    return drawn(nnx.eval_shape(lambda: config.build(SHAPE, rngs=nnx.Rngs(0))))


def branches(block, path):
    """$F$ of every layer at the state before it."""
    graphdef, state = nnx.split(block.weights.stacked)
    found = []
    for k in range(LAYERS):
        layer = nnx.merge(graphdef, jax.tree.map(lambda leaf: leaf[k], state))  # noqa: B023
        found.append(getattr(layer, "branch", layer)(jnp.zeros(()), path[k]))
    return jnp.stack(found)


@pytest.mark.parametrize("arrangement", [*STEPS, *NO_STEPS])
def test_states_differ_by_the_sum_of_branches_where_nothing_acts_on_the_sum(arrangement):
    # Equation 4: x_L - x_l is the sum of F from l to L - 1, if h and f are the identity.
    block = made(arrangement)
    path = block(H0, save_path=True).path
    missing = np.abs(path[LAYERS] - path[1] - branches(block, path)[1:].sum(0)).max()
    assert (missing < 1e-12) if arrangement in STEPS else (missing > 0.1)


def test_signal_grows_only_where_relu_comes_before_the_addition():
    for arrangement in STEPS:
        path = np.asarray(made(arrangement)(H0, save_path=True, training=True).path)
        smallest = np.diff(path, axis=0).min()
        assert (smallest >= 0) == (arrangement == "relu_before_addition")


@pytest.mark.parametrize(
    "arrangement",
    [STEPS[0], *(pytest.param(name, marks=pytest.mark.product) for name in STEPS[1:])],
)
def test_network_of_steps_is_an_euler_solve_by_diffrax(arrangement):
    block = made(arrangement, tau=0.5)
    euler = DiffraxConfig.model_validate({"solver": "euler", "controller": {"kind": "constant"}})
    found = block(H0, Discretisation(euler.build()), save_path=True).path
    np.testing.assert_allclose(found, block(H0, save_path=True).path, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["cifar", pytest.param("vector", marks=pytest.mark.product)])
def test_five_arrangements_have_the_same_number_of_parameters(layout):
    counts = {
        arrangement: count_parameters(
            nnx.eval_shape(
                lambda: ResNetConfig(
                    depth=14,
                    layout=layout,
                    arrangement=arrangement,  # noqa: B023
                ).build((8, 8, 3) if layout == "cifar" else (5,), 10, rngs=nnx.Rngs(0))
            )
        )
        for arrangement in (*STEPS, *NO_STEPS)
    }
    assert len(set(counts.values())) == 1, counts
