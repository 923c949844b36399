"""He's units written out in NumPy, by the letters of their figure, as PyTorch has them."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

EPSILON, MOMENTUM = 1e-5, 0.1


def norm(x, scale, bias, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON) * scale + bias


def convolved(x, kernel, stride=1):
    """Odd kernels with as many zeros on every side, by loops over the kernel."""
    side = kernel.shape[0]
    reach = side // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(side):
        for j in range(side):
            out += padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j]
    return out[:, ::stride, ::stride]


def drawn(field, seed=0):
    """Every variable replaced by random numbers in double precision, variances positive."""
    rng = np.random.default_rng(seed)

    def one(path, leaf):
        values = 0.3 * rng.normal(size=leaf.shape)
        return jnp.asarray(np.exp(values) if "variance" in str(path) else values)

    state = nnx.state(field)
    nnx.update(field, jax.tree_util.tree_map_with_path(one, state))
    return field


def normalised(part, x, training):
    """A batch norm's output, and its running statistics after it."""
    scale, bias = np.asarray(part.scale[...]), np.asarray(part.bias[...])
    running = np.asarray(part.mean[...]), np.asarray(part.variance[...])
    rows = x.reshape(-1, x.shape[-1])
    y = norm(x, scale, bias, *((rows.mean(0), rows.var(0)) if training else running))
    if not training:
        return y, running
    new = rows.mean(0), rows.var(0, ddof=1)
    return y, tuple((1 - MOMENTUM) * r + MOMENTUM * n for r, n in zip(running, new, strict=True))


def by_hand(field, order, x, training, strides=None):
    """The branch, and the running statistics of every norm after it."""
    weights, norms, moved = list(field.weights), list(field.norms), []
    strides = list(strides or [1] * len(weights))
    for letter in order:
        if letter == "R":
            x = np.maximum(x, 0)
        elif letter == "W":
            kernel, stride = np.asarray(weights.pop(0).kernel[...]), strides.pop(0)
            x = convolved(x, kernel, stride) if x.ndim == 4 else x @ kernel
        else:
            x, after = normalised(norms.pop(0), x, training)
            moved.append(after)
    return x, moved


def check_statistics(norms, moved):
    """Running statistics of batch norms, as they should be."""
    for part, values in zip(norms, moved, strict=True):
        for found, value in zip((part.mean, part.variance), values, strict=True):
            np.testing.assert_allclose(found[...], value, rtol=1e-12)
