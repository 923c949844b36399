"""The residual branches with batch norm against PyTorch-like formulas written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.errors import ConfigError
from odenet.fields import ResidualFieldConfig

EPSILON, MOMENTUM = 1e-5, 0.1


def norm(x, scale, bias, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON) * scale + bias


def convolved(x, kernel):
    """3x3 or 1x1 with zeros around, by loops over the kernel."""
    side = kernel.shape[0]
    reach = side // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(side):
        for j in range(side):
            out += padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j]
    return out


def drawn(field, seed=0):
    """Every variable replaced by random numbers in double precision, variances positive."""
    rng = np.random.default_rng(seed)

    def one(path, leaf):
        values = 0.3 * rng.normal(size=leaf.shape)
        return jnp.asarray(np.exp(values) if "variance" in str(path) else values)

    state = nnx.state(field)
    nnx.update(field, jax.tree_util.tree_map_with_path(one, state))
    return field


def by_hand(field, order, x, live):
    """The branch, and the running statistics of every norm after it."""
    weights, norms, moved = list(field.weights), list(field.norms), []
    for letter in order:
        if letter == "R":
            x = np.maximum(x, 0)
        elif letter == "W":
            kernel = np.asarray(weights.pop(0).kernel[...])
            x = convolved(x, kernel) if x.ndim == 4 else x @ kernel
        else:
            part = norms.pop(0)
            scale, bias = np.asarray(part.scale[...]), np.asarray(part.bias[...])
            running = np.asarray(part.mean[...]), np.asarray(part.variance[...])
            rows = x.reshape(-1, x.shape[-1])
            batch = rows.mean(0), rows.var(0)
            x = norm(x, scale, bias, *(batch if live else running))
            new = batch[0], rows.var(0, ddof=1)
            moved.append(
                [(1 - MOMENTUM) * r + MOMENTUM * n for r, n in zip(running, new, strict=True)]
            )
    return x, moved


ORDERS = {
    ("relu_before_addition", "basic"): "WBRWBR",
    ("relu_only_preactivation", "basic"): "RWBRWB",
    ("full_preactivation", "basic"): "BRWBRW",
    ("full_preactivation", "bottleneck"): "BRWBRWBRW",
}


@pytest.mark.parametrize("shape", [(5, 4, 8), (8,)])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("arrangement", "unit"), ORDERS)
def test_branch_and_statistics_equal_the_figure(arrangement, unit, live, shape):
    config = ResidualFieldConfig(arrangement=arrangement, unit=unit)
    field = drawn(config.build(shape, False, rngs=nnx.Rngs(0)))
    x = np.random.default_rng(1).normal(size=(6, *shape))
    expected, moved = by_hand(field, ORDERS[arrangement, unit], x, live)
    before = [(np.asarray(n.mean[...]), np.asarray(n.variance[...])) for n in field.norms]
    found = (field.observe if live else field)(jnp.zeros(()), jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    for part, then, after in zip(field.norms, before, moved, strict=True):
        for found, value in zip((part.mean, part.variance), after if live else then, strict=True):
            np.testing.assert_allclose(found[...], value, rtol=1e-12)


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
    assert field.observe(jnp.zeros(()), x).min() == 0


def test_shapes_and_options_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="reduction must divide the width 6"):
        ResidualFieldConfig(unit="bottleneck").check((4, 4, 6))
    with pytest.raises(ConfigError, match=r"vectors .* and images"):
        ResidualFieldConfig().check((4, 6))
    with pytest.raises(ValueError, match="would ignore reduction"):
        ResidualFieldConfig(reduction=2)
    with pytest.raises(ConfigError, match="does not see the time"):
        ResidualFieldConfig().build((6,), True, rngs=nnx.Rngs(0))
