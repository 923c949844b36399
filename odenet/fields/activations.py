"""Activation functions by name, and a check of final activations against `last_init`."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from odenet.arrays import Array

ActivationName = Literal[
    "tanh", "relu", "elu", "gelu", "silu", "softplus", "sigmoid", "sin", "identity"
]

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "identity": lambda x: x,
}


def activation(name: ActivationName) -> Callable[[Array], Array]:
    """The activation function of that name, elementwise."""
    return _ACTIVATIONS[name]


NOT_ZERO_AT_ZERO: frozenset[ActivationName] = frozenset({"sigmoid", "softplus"})
FLAT_AT_ZERO: frozenset[ActivationName] = frozenset({"relu"})


def require_small_start(ends: str, activation: ActivationName, last_init: str, fix: str) -> None:
    """Refuse a `last_init` that the activation after the last map makes ineffective.

    Args:
        ends: The part that ends with the activation, for the message.
        activation: Name of the activation.
        last_init: Initialisation of the last map.
        fix: Alternatives, for the message.

    Raises:
        ValueError: if the field would not be small at initialisation, or its gradient would be 0.
    """
    if last_init == "unscaled":
        return
    if activation in NOT_ZERO_AT_ZERO:
        raise ValueError(
            f"last_init={last_init} would not make the field small: {ends} ends with "
            f"{activation}, which is not zero at zero; use {fix}"
        )
    if last_init == "zero" and activation in FLAT_AT_ZERO:
        raise ValueError(
            f"last_init=zero would not be trainable: {ends} ends with {activation}, "
            f"whose derivative at zero is zero; use {fix}"
        )
