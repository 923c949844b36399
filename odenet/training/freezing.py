"""Frozen parameters: no update at all, or none before a given step; every bit is kept."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from pydantic import NonNegativeFloat, PositiveInt, model_validator

from odenet.arrays import Count
from odenet.part import PartConfig


class TransferredConfig(PartConfig):
    """Differences between the parameters from another run and the new ones."""

    learning_rate_factor: NonNegativeFloat = 1.0
    """Factor on the learning rate that the parameter has by its group; 0 freezes it."""
    unfreeze_at: PositiveInt | None = None
    """Number of steps during which they are frozen; their moments start after it, and their
    learning rate continues at the current value of the schedule."""

    @model_validator(mode="after")
    def _changes_something(self):
        if self.learning_rate_factor == 1 and self.unfreeze_at is None:
            raise ValueError(
                "transferred changes nothing with learning_rate_factor=1 and no unfreeze_at; set "
                "one of the two, or remove it"
            )
        if self.learning_rate_factor == 0 and self.unfreeze_at is not None:
            raise ValueError(
                "learning_rate_factor=0 freezes permanently, so unfreeze_at would be ignored; keep "
                "one of the two"
            )
        return self

    def frozen_steps(self, num_steps: int) -> int:
        """Number of the first `num_steps` steps in which the transferred parameters are frozen."""
        return (self.unfreeze_at or 0) if self.learning_rate_factor else num_steps


class FrozenState(NamedTuple):
    """The state of a transformation of frozen parameters.

    Attributes:
        step: Number of calls of `update`.
        inner: State of the transformation, its initial state until it starts.
    """

    step: Count
    inner: Any


def frozen() -> optax.GradientTransformation:
    """No update and no moments."""

    def update(updates, state, params=None):
        del params
        return jax.tree.map(_nothing, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def frozen_until(
    transform: optax.GradientTransformation, step: int
) -> optax.GradientTransformation:
    """No update and no change of the moments in the first `step` steps, then `transform`.

    Args:
        transform: The transformation afterwards; its own count starts then.
        step: Number of steps without an update, at least 1.
    """

    def init(params):
        return FrozenState(jnp.zeros((), jnp.int32), transform.init(params))

    def update(updates, state, params=None):
        moves = state.step >= step
        moved, inner = transform.update(updates, state.inner, params)
        moved = jax.tree.map(lambda new: jnp.where(moves, new, _nothing(new)), moved)
        inner = jax.tree.map(lambda new, old: jnp.where(moves, new, old), inner, state.inner)
        return moved, FrozenState(state.step + 1, inner)

    return optax.GradientTransformation(init, update)


def without_frozen(is_frozen: Any, step: int) -> optax.GradientTransformation:
    """Set the gradients of frozen parameters to 0, so that they do not contribute to norms.

    Args:
        is_frozen: Whether each parameter is frozen, a tree of bools.
        step: Number of steps during which they are frozen.
    """

    def update(updates, state, params=None):
        del params

        def one(gradient, is_frozen):
            return (
                jnp.where(state < step, jnp.zeros_like(gradient), gradient)
                if is_frozen
                else gradient
            )

        return jax.tree.map(one, updates, is_frozen), state + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


def _nothing(leaf):
    # x + -0.0 is x for every x; 0.0 would turn a weight of -0.0 into 0.0.
    return jnp.full_like(leaf, -0.0)
