"""The convolution of two power series, for Taylor-mode differentiation."""

from collections.abc import Sequence
from typing import Any

from jax.experimental import jet

from odenet.arrays import Array
from odenet.ops.conv import forward_convolution


def convolution_along(
    primals: Sequence[Array], series: Sequence[Sequence[Array]], **params: Any
) -> tuple[Array, list[Array]]:
    r"""$\sum_j x_j * w_{k-j}$ for $x(t) = \sum_k x_k t^k$ and $w(t) = \sum_k w_k t^k$.

    Args:
        primals: Images and kernels, the terms of order 0.
        series: Their terms of order 1 and up.
        params: Parameters of the primitive.

    Returns:
        The terms of the convolution, that of order 0 and those of the same orders.
    """
    x, w = ([first, *more] for first, more in zip(primals, series, strict=True))
    terms = []
    for k in range(len(x)):
        products = [forward_convolution.bind(x[j], w[k - j], **params) for j in range(k + 1)]
        terms.append(sum(products[1:], products[0]))
    return terms[0], terms[1:]


jet.jet_rules[forward_convolution] = convolution_along
