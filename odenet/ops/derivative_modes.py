"""Derivatives that do not exist, refused where they are asked for.

A rule for gradients (`jax.custom_vjp`) leaves a function without forward mode, and a loop of
unknown length without reverse mode. JAX says so in its own words, often from inside compiled code.
The functions here are identities whose error names the missing mode, and the alternative.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from odenet.errors import DerivativeError


def _refuse(message: str) -> Any:
    raise DerivativeError(message)


def _identity_of_tangents(name: str) -> Primitive:
    marker = Primitive(name)
    marker.def_abstract_eval(lambda x, *, message: x)
    batching.defvectorized(marker)
    return marker


_FORWARD_REFUSED = _identity_of_tangents("forward_mode_refused")
_FORWARD_REFUSED.def_impl(lambda x, *, message: _refuse(message))
mlir.register_lowering(_FORWARD_REFUSED, lambda ctx, x, *, message: _refuse(message))
ad.deflinear2(_FORWARD_REFUSED, lambda cotangent, x, *, message: [cotangent])

_REVERSE_REFUSED = _identity_of_tangents("reverse_mode_refused")
_REVERSE_REFUSED.def_impl(lambda x, *, message: x)
mlir.register_lowering(_REVERSE_REFUSED, lambda ctx, x, *, message: [x])
ad.deflinear2(_REVERSE_REFUSED, lambda cotangent, x, *, message: _refuse(message))


def without_forward_mode(tree: Any, message: str) -> Any:
    """The tree itself, through which tangents pass in reverse mode alone.

    Args:
        tree: Arguments of a function with a rule for its gradient.
        message: Text of the `DerivativeError` in forward mode.
    """
    return _marked(tree, _FORWARD_REFUSED, message)


def without_reverse_mode(tree: Any, message: str) -> Any:
    """The tree itself, through which tangents pass in forward mode alone.

    Args:
        tree: Results of a function that cannot be transposed.
        message: Text of the `DerivativeError` in reverse mode.
    """
    return _marked(tree, _REVERSE_REFUSED, message)


def _marked(tree: Any, marker: Primitive, message: str) -> Any:
    """The tree, all of it by one identity.

    Under a derivative of a gradient, the rule of the inner one then hides the marker from the outer
    one, whichever leaves they differentiate by.
    """
    leaves, structure = jax.tree.flatten(tree)
    places = [k for k, x in enumerate(leaves) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
    marked = _identity(marker, message)(*(leaves[k] for k in places))
    for k, x in zip(places, marked, strict=True):
        leaves[k] = x
    return jax.tree.unflatten(structure, leaves)


@functools.cache
def _identity(marker: Primitive, message: str) -> Callable[..., tuple[Any, ...]]:
    identity = jax.custom_jvp(lambda *leaves: leaves)

    def mark(tangent: Any) -> Any:
        is_zero = isinstance(tangent, jax.custom_derivatives.SymbolicZero)
        return tangent if is_zero else marker.bind(tangent, message=message)

    def rule(primals, tangents):
        return primals, tuple(map(mark, tangents))

    identity.defjvp(rule, symbolic_zeros=True)
    return identity
