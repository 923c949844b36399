"""The penalty on change of the weights over depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.finite_differences import check_gradient
from numerics.precision import drawn
from pydantic import ValidationError

from odenet.models import ClassifierConfig, DepthBlockConfig

ALPHA = 0.3


def built(num_steps=4, step_sizes=None, **weights):
    values = {
        "num_steps": num_steps,
        "weights": {"kind": "per_layer", "smoothness": ALPHA} | weights,
        "step_sizes": step_sizes or {"taus": [0.5, 0.1, 0.3, 0.6]},
        "field": {"kind": "mlp", "form": "between", "hidden": [2]},
    }
    config = DepthBlockConfig.model_validate(values)
    return drawn(lambda: config.build((3,), rngs=nnx.Rngs(0)), seed=3)


def penalty_of(module):
    return jax.jit(lambda: module.penalty())()


def looped(block, starts):
    """The sum over neighbours, set by set; `starts` are the times at which sets begin."""
    total = 0.0
    for leaf in jax.tree.leaves(nnx.state(block.weights.stacked, nnx.Param)):
        for j in range(len(leaf) - 1):
            h = starts[j + 1] - starts[j]
            slope = (np.asarray(leaf[j + 1]) - np.asarray(leaf[j])) / h
            total += ALPHA / 2 * h * np.sum(slope**2)
    return total


def test_penalty_is_the_integral_of_the_squared_derivative():
    block = built()
    found = looped(block, [0, 0.5, 0.6, 0.9])
    assert found > 0.1
    np.testing.assert_allclose(penalty_of(block), found, rtol=1e-12)


def test_sets_that_serve_several_steps_begin_where_these_do():
    block = built(num_layers=2)
    np.testing.assert_allclose(penalty_of(block), looped(block, [0, 0.6]), rtol=1e-12)


def test_gradient_by_weights_and_step_sizes_equals_finite_differences():
    sizes = {"kind": "learned", "parametrisation": "positive", "penalty": {"l2": 0.2}}
    block = built(step_sizes=sizes)
    graphdef, params = nnx.split(block)
    check_gradient(lambda params: nnx.merge(graphdef, params).penalty(), params)
    taus = np.asarray(block.grid().taus)
    expected = looped(block, np.append(0, np.cumsum(taus))) + 0.2 * np.sum(taus**2)
    np.testing.assert_allclose(penalty_of(block), expected, rtol=1e-12)


def test_penalty_does_not_depend_on_how_fine_a_line_is_sampled():
    penalties = []
    for num_steps in (32, 64, 128):
        block = built(num_steps, {"horizon": 2.0})
        line = np.linspace(0, 1, num_steps + 1)[:-1]
        params = nnx.state(block.weights.stacked, nnx.Param)
        new = jax.tree.map(
            lambda leaf, line=line: jnp.asarray(
                np.broadcast_to(line.reshape(-1, *[1] * (leaf.ndim - 1)), leaf.shape)
            ),
            params,
        )
        nnx.update(block.weights.stacked, new)
        penalties.append(float(penalty_of(block)))
    number = 3 * 2 + 2 + 2 * 3 + 3
    # Each of them rises by 1 over a depth of 2; the last layer has no successor.
    np.testing.assert_allclose(penalties[-1], ALPHA / 2 * number * 2 / 4, rtol=1e-2)
    assert abs(penalties[2] - penalties[1]) < abs(penalties[1] - penalties[0])


def test_network_adds_the_penalty_of_every_stage():
    values = {"stages": [{"width": 3}, {"width": 3}], "block": {"num_steps": 2}}
    values["block"]["weights"] = {"kind": "per_layer", "smoothness": ALPHA}
    config = ClassifierConfig.model_validate(values)
    network = drawn(lambda: config.build((3,), 2, rngs=nnx.Rngs(0)), seed=4)
    expected = sum(looped(block, [0, 1]) for block in network.blocks)
    np.testing.assert_allclose(penalty_of(network), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 1, "step_sizes": {"tau": 1.0}}, "one set of weights does not change"),
        ({"step_sizes": {"kind": "learned"}}, "step sizes, which must stay above 0"),
        ({"step_sizes": {"taus": [0.5, -0.1, 0.3, 0.6]}}, "must stay above 0"),
        ({"smoothness": -1.0}, "greater than or equal to 0"),
    ],
)
def test_smoothness_that_means_nothing_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        built(**changes)
