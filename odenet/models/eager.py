"""Compilation of calls outside of `jax.jit`, as in a notebook: one program per block and shape.

A block scans over its depth. Outside of `jax.jit`, a scan is compiled again at every call, because
its body is a new function. Such a call therefore uses a function that is compiled once for each
structure of the block, discretisation, and shapes; parameters are its arguments. This includes
derivatives and `jax.vmap` outside of `jax.jit`. Inside of a compiled function, a call is traced
directly.
"""

import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer

from odenet.arrays import State
from odenet.integrators.backward_count import open_counter
from odenet.integrators.reconstruction import open_probe
from odenet.ops.batch_axis import padding_is_known
from odenet.ops.derivative_modes import without_forward_mode


def call_compiled(
    method: Callable[..., Any],
    module: nnx.Module,
    h0: State,
    *options: Hashable,
    forward_mode_refusal: str | None = None,
) -> Any:
    """`method(module, h0, *options)`, compiled once for a structure, options and shapes.

    Args:
        method: A function of a module, the same object at every call.
        module: The module; the call may change its variables other than parameters.
        h0: The state.
        options: Further static arguments of the program.
        forward_mode_refusal: Error message of forward-mode derivatives, if they are not supported.

    Returns:
        A tree of arrays.
    """
    if _is_traced() or open_counter() or open_probe() or padding_is_known():
        return method(module, h0, *options)
    graphdef, state = nnx.split(module)
    try:
        hash((graphdef, options))
    except TypeError:  # not hashable, so not cached: for example a plug-in field that holds a list
        return method(module, h0, *options)
    if forward_mode_refusal is not None:  # raised here, not inside of the compiled program
        state, h0 = without_forward_mode((state, h0), forward_mode_refusal)
    out, changed = _program(method, graphdef, options, state, h0)
    nnx.update(module, changed)
    return out


def _is_traced() -> bool:
    """Whether the call is traced as part of a function that is being compiled."""
    return isinstance(jnp.zeros(()), Tracer)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _program(
    method: Callable[..., Any],
    graphdef: nnx.GraphDef,
    options: tuple[Hashable, ...],
    state: Any,
    h0: State,
) -> tuple[Any, Any]:
    module = nnx.merge(graphdef, state)
    before = dict(nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.Param))))
    values = {path: variable[...] for path, variable in before.items()}
    out = method(module, h0, *options)
    after = nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.Param)))
    # Unchanged variables are not written again: they may belong to an outer trace.
    changed = [(path, variable) for path, variable in after if variable[...] is not values[path]]
    return out, nnx.from_flat_state(changed)
