"""Numbers of a configuration as arguments of its program, so that other numbers reuse the program.

A learning rate, step sizes and the statistics that normalise inputs are constants while a function
is traced. Compiled into the program, each value would need its own program; passed as arguments,
they leave the program, and its entry in a compilation cache, unchanged.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr


def hoisted(function: Callable[..., Any], *args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function with its vectors of floating-point constants as its first argument.

    Scalars and matrices stay constants: scalars belong to the formula; matrices belong to the
    algorithm, and the compiler may simplify with them.

    Args:
        function: Any function of pytrees of arrays.
        args: Arguments for tracing; only their shapes and types matter.

    Returns:
        The function `(constants, *args) -> results`, for arguments of these shapes and types, and
        the constants as NumPy arrays.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
    is_number = [_is_vector(constant) for constant in closed.consts]
    pairs = list(zip(closed.consts, is_number, strict=True))
    numbers = [np.asarray(constant) for constant, is_it in pairs if is_it]
    structure = jax.tree.structure(shapes)

    def with_constants(numbers: list[Any], *args: Any) -> Any:
        given = iter(numbers)
        constants = [next(given) if is_it else constant for constant, is_it in pairs]
        leaves = eval_jaxpr(closed.jaxpr, constants, *jax.tree.leaves(args))
        return jax.tree.unflatten(structure, leaves)

    with_constants.__name__ = getattr(function, "__name__", "hoisted")
    return with_constants, numbers


def _is_vector(constant: Any) -> bool:
    return np.ndim(constant) == 1 and jax.numpy.issubdtype(constant.dtype, np.floating)
