"""Gradients against differences of the loss along one direction of all parameters."""

import jax
import numpy as np


def check_gradient(loss, params, *inputs, step=1e-6, rtol=1e-6):
    """`jax.grad` of `loss(params, *inputs)` equals the central difference along one direction."""
    params = jax.tree.map(np.asarray, params)
    direction = jax.tree.map(lambda p: np.cos(np.arange(float(p.size))).reshape(p.shape), params)
    value = jax.jit(jax.value_and_grad(loss))
    (ahead, _), (behind, _) = (
        value(jax.tree.map(lambda p, d: p + length * d, params, direction), *inputs)  # noqa: B023
        for length in (step, -step)
    )
    _, gradient = value(params, *inputs)
    found = sum(jax.tree.leaves(jax.tree.map(np.vdot, gradient, direction)))
    np.testing.assert_allclose(found, (float(ahead) - float(behind)) / (2 * step), rtol=rtol)
