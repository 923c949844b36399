r"""Initialisers of affine maps by name, and the initial scaling of a branch's last map.

`fan_in` is the number of inputs of one output, `fan_out` the number of outputs of one input: $n$
and $n'$ for a matrix, $k^2 n$ and $k^2 n'$ for a convolution with $k \times k$ kernels. Biases are
initialised to zero.

| name | weights | source |
|---|---|---|
| `lecun_normal` | variance 1/fan_in, normal truncated at two standard deviations | [1] sec. 4.6 |
| `lecun_uniform` | variance 1/fan_in, uniform | [1] sec. 4.6 |
| `uniform_fan_in` | uniform within 1/sqrt(fan_in): variance 1/(3 fan_in) | [2] eq. 1 |
| `glorot_normal` | variance 2/(fan_in + fan_out), normal | [2] eq. 12 |
| `glorot_uniform` | variance 2/(fan_in + fan_out), uniform | [2] eq. 16 |
| `he_fan_in` | variance 2/fan_in, normal | [3] eq. 10 |
| `he_fan_out` | variance 2/fan_out, normal; used by residual networks | [3] eq. 14, [4] |
| `orthogonal` | orthonormal rows or columns, whichever are fewer, uniformly | [5] |

References:
    [1] LeCun, Bottou, Orr and Müller 1998, Efficient BackProp.
    [2] Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward networks.
    [3] He et al. 2015, arXiv:1502.01852. [4] He et al. 2016, arXiv:1603.05027, and their code.
    [5] Saxe, McClelland and Ganguli 2014, arXiv:1312.6120.
"""

import math
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer

from odenet.arrays import Array, Float, Key
from odenet.errors import ConfigError

InitialiserName = Literal[
    "lecun_normal",
    "lecun_uniform",
    "uniform_fan_in",
    "glorot_normal",
    "glorot_uniform",
    "he_fan_in",
    "he_fan_out",
    "orthogonal",
]

LastInit = Literal["unscaled", "zero", "1/sqrt(L)", "1/L"]


class _Distribution(NamedTuple):
    """Variance `scale / fan`, with `fan_avg` the mean of both fans."""

    scale: float
    fan: Literal["fan_in", "fan_out", "fan_avg"]
    distribution: Literal["truncated_normal", "normal", "uniform"]


_DISTRIBUTIONS: dict[str, _Distribution] = {
    "lecun_normal": _Distribution(1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": _Distribution(1.0, "fan_in", "uniform"),
    "uniform_fan_in": _Distribution(1.0 / 3.0, "fan_in", "uniform"),
    "glorot_normal": _Distribution(1.0, "fan_avg", "normal"),
    "glorot_uniform": _Distribution(1.0, "fan_avg", "uniform"),
    "he_fan_in": _Distribution(2.0, "fan_in", "normal"),
    "he_fan_out": _Distribution(2.0, "fan_out", "normal"),
}
assert {*_DISTRIBUTIONS, "orthogonal"} == set(get_args(InitialiserName))


def kernel_initialiser(name: InitialiserName | Literal["zero"]) -> Initializer:
    """`(key, shape, dtype) -> weights` of an affine map.

    The last two axes of `shape` are inputs and outputs; the axes before them are the sides of a
    kernel. An orthogonal convolution is orthogonal as a matrix of shape `(k * k * n, n')`.

    Args:
        name: Name of the initialiser, or `zero`.
    """
    if name == "zero":
        return jax.nn.initializers.zeros
    if name == "orthogonal":
        return jax.nn.initializers.orthogonal()
    return jax.nn.initializers.variance_scaling(*_DISTRIBUTIONS[name])


def init_time_weights(
    name: InitialiserName, key: Key[Array, ""], shape: tuple[int, ...], fan_in: int
) -> Float[Array, "*shape"]:
    """Initial weights of a time input, with the variance of the other inputs' weights.

    With `orthogonal`, a time input is not part of the orthogonal matrix: its weights are normal
    with the mean square of the matrix entries. With `lecun_normal`, the normal distribution is not
    truncated.

    Args:
        name: Name of the initialiser.
        key: Random key.
        shape: `(outputs,)`, or `(side, side, 1, outputs)`.
        fan_in: Number of inputs of one output of the whole map, including time.
    """
    distribution = _DISTRIBUTIONS.get(name)
    if distribution is None:
        precision: float = max(fan_in, shape[-1])
    else:
        fans = {"fan_in": fan_in, "fan_out": math.prod(shape)}
        precision = fans.get(distribution.fan, sum(fans.values()) / 2) / distribution.scale
    if distribution is not None and distribution.distribution == "uniform":
        bound = math.sqrt(3.0 / precision)
        return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
    return jax.random.normal(key, shape, jnp.float32) / math.sqrt(precision)


def scale_last(last_init: LastInit, depth: int | None, *weights: nnx.Param) -> None:
    r"""Multiply the weights of a branch's last map by the factor of `last_init`, in place.

    `zero`: every layer is the identity at initialisation, as in Fixup [1] and, for the scale of a
    norm, zero-gamma [2]. `1/sqrt(L)` and `1/L`: the scalings of [3] with a non-trivial limit as
    the depth $L$ grows; the state neither stays constant nor explodes. The first is for weights
    that are independent across layers, the second for weights that are smooth or constant in depth.

    Args:
        last_init: The factor.
        depth: `L`, the number of residual layers, equal to the number of steps of a block's grid.
        weights: The weights of the last map, including those of its time input.

    Raises:
        ConfigError: if the factor would be 1 for every option.

    References:
        [1] Zhang, Dauphin and Ma 2019, arXiv:1901.09321. [2] Goyal et al. 2017, arXiv:1706.02677,
        sec. 5.1. [3] Marion, Fermanian, Biau and Vert 2022, arXiv:2206.06929.
    """
    if last_init == "unscaled":
        return
    if last_init == "zero":
        for weight in weights:
            weight[...] = jnp.zeros_like(weight[...])
        return
    if depth is None or depth < 2:
        raise ConfigError(
            f"last_init={last_init} would be ignored: L is the number of residual layers, "
            f"{depth or 'which is unknown'} here; use num_steps of at least 2, or last_init="
            f"unscaled"
        )
    factor = 1.0 / (depth if last_init == "1/L" else math.sqrt(depth))
    for weight in weights:
        weight[...] = factor * weight[...]
