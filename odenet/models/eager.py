"""Calls outside of compiled functions, as in a notebook: one program for each block and shape.

A block scans over its depth, and a scan outside of `jax.jit` is compiled anew at every call, since
its body is a new function. Such a call goes through one function that is compiled once for a
structure of the block, a way to integrate it, and shapes; parameters are its arguments. Derivatives
and `jax.vmap` that are not compiled themselves go through it too. Inside of a compiled function a
call is traced as it stands.
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
        module: Whose variables other than parameters the call may change.
        h0: The state.
        options: What the program depends on beside them.
        forward_mode_refusal: What a forward-mode derivative says if there is none.

    Returns:
        A tree of arrays.
    """
    if _is_traced() or open_counter() or open_probe() or padding_is_known():
        return method(module, h0, *options)
    graphdef, state = nnx.split(module)
    try:
        hash((graphdef, options))
    except TypeError:  # a field from outside that holds a list, say: no key to remember it by
        return method(module, h0, *options)
    if forward_mode_refusal is not None:  # said here, not from inside of the program
        state, h0 = without_forward_mode((state, h0), forward_mode_refusal)
    out, changed = _program(method, graphdef, options, state, h0)
    nnx.update(module, changed)
    return out


def _is_traced() -> bool:
    """Whether this is part of a function that is being compiled."""
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
    # What has not changed is not written again: it may belong to a trace around this one.
    changed = [(path, variable) for path, variable in after if variable[...] is not values[path]]
    return out, nnx.from_flat_state(changed)
