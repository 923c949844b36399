"""Numbers of a configuration as arguments of its program, so that other numbers need no other one.

A learning rate, step sizes and the statistics that inputs are normalised by are constants while a
function is traced. Compiled into the program, each value would make a program of its own; as
arguments they leave the program, and so its entry in a compilation cache, as it is.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr


def hoisted(function: Callable[..., Any], *args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """A function with its vectors of floating-point constants as its first argument.

    Scalars and matrices stay constants: scalars are part of the formula, and matrices are those of
    an algorithm, which the compiler may use.

    Args:
        function: Any function of pytrees of arrays.
        args: What it is traced with; only their shapes and types count.

    Returns:
        `(constants, *args) -> results`, for arguments like these, and the constants, as NumPy
        arrays.
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
