"""Refusal of second derivatives through an adjoint that has only first ones."""

from typing import Any

import jax
import jax.numpy as jnp

from odenet.errors import DerivativeError


def differentiated_once(tree: Any) -> Any:
    """The same arrays, with a first derivative in reverse mode and no second one.

    Raises:
        DerivativeError: if a derivative through them is differentiated again.
    """
    return jax.tree.map(lambda leaf: _once(leaf) if _is_inexact(leaf) else leaf, tree)


def differentiated_no_more(tree: Any) -> Any:
    """The same arrays without derivatives, for computations inside a backward pass.

    Raises:
        DerivativeError: if they are differentiated.
    """
    return jax.tree.map(lambda leaf: _last(leaf) if _is_inexact(leaf) else leaf, tree)


def _is_inexact(leaf: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(leaf), jnp.inexact))


@jax.custom_vjp
def _once(x: Any) -> Any:
    return x


@jax.custom_jvp
def _last(cotangent: Any) -> Any:
    return cotangent


@_last.defjvp
def _refused(primals: Any, tangents: Any) -> Any:
    raise DerivativeError(
        "adjoint.kind=checkpointed and backsolve have first derivatives alone; got a derivative of "
        "their gradient, such as a Hessian; use adjoint.kind=direct, which has second ones"
    )


_once.defvjp(lambda x: (x, None), lambda _, cotangent: (_last(cotangent),))
