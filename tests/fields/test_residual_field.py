"""The residual branches with batch norm against the formulas of `figure`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import by_hand, check_statistics, drawn
from flax import nnx

from odenet.errors import ConfigError
from odenet.fields import ResidualFieldConfig

ORDERS = {
    ("relu_before_addition", "basic"): "WBRWBR",
    ("relu_only_preactivation", "basic"): "RWBRWB",
    ("full_preactivation", "basic"): "BRWBRW",
    ("full_preactivation", "bottleneck"): "BRWBRWBRW",
}


OF_VECTORS = [
    pytest.param(*order, training, (8,), marks=() if in_turn else pytest.mark.product)
    for order in ORDERS
    for training in (False, True)
    for in_turn in [order == ("full_preactivation", "bottleneck" if training else "basic")]
]


@pytest.mark.parametrize(
    ("arrangement", "unit", "training", "shape"),
    [
        *((*order, training, (5, 4, 8)) for order in ORDERS for training in (False, True)),
        *OF_VECTORS,
    ],
)
def test_branch_and_statistics_equal_the_figure(arrangement, unit, training, shape):
    config = ResidualFieldConfig(arrangement=arrangement, unit=unit)
    field = drawn(config.build(shape, False, rngs=nnx.Rngs(0)))
    x = np.random.default_rng(1).normal(size=(6, *shape))
    expected, moved = by_hand(field, ORDERS[arrangement, unit], x, training)
    found = (field.with_batch_statistics if training else field)(jnp.zeros(()), jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    check_statistics(field.norms, moved)


@pytest.mark.parametrize("unit", ["basic", "bottleneck"])
def test_arrangements_have_the_same_number_of_parameters(unit):
    counts = set()
    for arrangement in ("relu_before_addition", "relu_only_preactivation", "full_preactivation"):
        config = ResidualFieldConfig(arrangement=arrangement, unit=unit)
        field = config.build((6, 6, 8), False, rngs=nnx.Rngs(0))
        weights = jax.tree.leaves(nnx.state(field.weights, nnx.Param))
        counts.add(sum(w.size for w in weights))
    assert len(counts) == 1


def test_relu_before_addition_only_adds():
    config = ResidualFieldConfig(arrangement="relu_before_addition")
    field = drawn(config.build((6, 6, 8), False, rngs=nnx.Rngs(0)))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6, 6, 8)))
    assert field.with_batch_statistics(jnp.zeros(()), x).min() == 0


def test_shapes_and_options_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="reduction must divide the width 6"):
        ResidualFieldConfig(unit="bottleneck").check((4, 4, 6))
    with pytest.raises(ConfigError, match=r"vectors .* and images"):
        ResidualFieldConfig().check((4, 6))
    with pytest.raises(ValueError, match="last ReLU would be 0"):
        ResidualFieldConfig(arrangement="relu_before_addition", last_init="zero")
    with pytest.raises(ValueError, match="would ignore reduction"):
        ResidualFieldConfig(reduction=2)
    with pytest.raises(ConfigError, match="takes no time input"):
        ResidualFieldConfig().build((6,), True, rngs=nnx.Rngs(0))
