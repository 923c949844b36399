r"""Shortcuts around the branch of a layer: `shortcut(h, step) -> sum`, with `step` $\tau F(h)$.

An identity shortcut gives $h + \tau F(h)$, a step of explicit Euler. The others are the variants of
He et al. 2016 (arXiv:1603.05027, sec. 3 and table 1), who compare them with the identity, and the
projections between different shapes (He et al. 2015, arXiv:1512.03385, eq. 2).
"""

import abc
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field, model_validator

from odenet.arrays import After, Before, State
from odenet.errors import ConfigError
from odenet.fields.initialisers import kernel_initialiser
from odenet.fields.layers import convolution
from odenet.models.maps import Projection, Shape
from odenet.models.projection_config import ShortcutConfig
from odenet.ops.batch_axis import example_keys


class Shortcut(nnx.Module):
    """A shortcut around a branch: the contract."""

    is_random: ClassVar[bool] = False
    """Whether it samples random numbers in training mode."""

    @abc.abstractmethod
    def __call__(self, h: Before, step: After) -> After:
        """The sum of the shortcut of `h` and `step`, the scaled output of the branch."""

    def with_batch_statistics(self, h: Before, step: After) -> After:
        """The sum in training mode."""
        return self(h, step)


class ProjectionShortcut(Shortcut):
    """$P h + \tau F$.

    Args:
        projection: $P$.
    """

    def __init__(self, projection: Projection):
        self.projection = projection

    def __call__(self, h: Before, step: After) -> After:
        """The sum."""
        return self.projection(h) + step

    def with_batch_statistics(self, h: Before, step: After) -> After:
        """The sum; batch norms of the projection use batch statistics."""
        return self.projection(h, training=True) + step


class ScaledShortcut(Shortcut):
    r"""$\lambda h + \tau F$ (He et al. 2016, eq. 6).

    Args:
        factor: $\lambda$; with 0 there is no shortcut, and the branch may change the shape.
    """

    def __init__(self, factor: float):
        self.factor = factor

    def __call__(self, h: Before, step: After) -> After:
        """The sum."""
        return self.factor * h + step if self.factor else step


class GatedShortcut(Shortcut):
    r"""$(1 - g)\,h + g\,\tau F$ or $(1 - g)\,h + \tau F$, with $g = \mathrm{sigmoid}(W h + b)$.

    He et al. 2016, sec. 3.1: exclusive gating, as in highway networks, and shortcut-only gating.

    Args:
        gate: $W h + b$, with as many channels as $h$.
        is_exclusive: Whether the branch is multiplied by $g$.
    """

    def __init__(self, gate: nnx.Module, is_exclusive: bool):
        self.gate = gate
        self.is_exclusive = is_exclusive

    def __call__(self, h: State, step: State) -> State:
        """The sum."""
        gate = jax.nn.sigmoid(self.gate(h))  # pyright: ignore[reportCallIssue]
        return (1 - gate) * h + (gate * step if self.is_exclusive else step)


class DropoutShortcut(Shortcut):
    r"""$m h / (1 - p) + \tau F$ in training mode, else $h + \tau F$.

    Each component of the mask $m$ is 0 with probability $p$, else 1. The random state is part of
    the network's state: the same start gives the same masks.

    Args:
        rate: $p$, in (0, 1).
        rngs: Random keys.
    """

    is_random: ClassVar[bool] = True

    def __init__(self, rate: float, *, rngs: nnx.Rngs):
        self.rate = rate
        self.key = nnx.Variable(jax.random.key_data(rngs.params()))
        self.count = nnx.BatchStat(jnp.zeros((), jnp.float32))

    def __call__(self, h: State, step: State) -> State:
        """The sum, without dropout."""
        return h + step

    def with_batch_statistics(self, h: State, step: State) -> State:
        """The sum with a new mask for every example."""
        count = self.count[...]
        key = jax.random.fold_in(jax.random.wrap_key_data(self.key[...]), count.astype(jnp.int32))
        self.count[...] = count + 1

        def keep(key):
            return jax.random.bernoulli(key, 1 - self.rate, h.shape[1:])

        kept = jax.vmap(keep)(example_keys(key, len(h)))
        return jnp.where(kept, h / (1 - self.rate), 0) + step


class ScaledConfig(ShortcutConfig):
    """The state times a constant; the branch is scaled by its step size."""

    kind: Literal["scaled"] = "scaled"
    factor: float = Field(allow_inf_nan=False)
    """Factor of the state; with 0 there is no shortcut. Between different widths it must be 0."""

    @model_validator(mode="after")
    def _scales(self):
        if self.factor == 1:
            raise ValueError("factor=1 is the identity; use kind=identity, an Euler step")
        return self

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Make the shortcut for states of `shape`."""
        del rngs
        if self.factor:
            _require_same(self.kind, shape, width)
        return ScaledShortcut(self.factor)


class GatedConfig(ShortcutConfig):
    """A learned gate: it scales the shortcut by `1 - g` and, if exclusive, the branch by `g`."""

    kind: Literal["gated"] = "gated"
    exclusive: bool = True
    """Whether the branch is gated too; else only the shortcut is gated."""
    bias: float = Field(default=-6.0, allow_inf_nan=False)
    """Initial bias of the gate; a negative one makes the shortcut close to the identity at
    initialisation."""

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Make the shortcut for states of `shape`."""
        _require_same(self.kind, shape, width)
        if len(shape) == 3:
            gate = convolution(width, width, 1, init="he_fan_out", rngs=rngs)
        else:
            initialiser = kernel_initialiser("he_fan_out")
            gate = nnx.Linear(width, width, kernel_init=initialiser, rngs=rngs)
        assert gate.bias is not None
        gate.bias[...] = jnp.full_like(gate.bias[...], self.bias)
        return GatedShortcut(gate, self.exclusive)


class DropoutConfig(ShortcutConfig):
    """Dropout on the shortcut, in training mode."""

    is_random: ClassVar[bool] = True

    kind: Literal["dropout"] = "dropout"
    rate: float = Field(default=0.5, gt=0, lt=1)
    """Probability that a component is dropped; the others are scaled by `1 / (1 - rate)`."""

    def build(self, shape: Shape, width: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Make the shortcut for states of `shape`."""
        _require_same(self.kind, shape, width)
        return DropoutShortcut(self.rate, rngs=rngs)


def build_shortcut(
    config: ShortcutConfig, shape: Shape, after: Shape, *, rngs: nnx.Rngs
) -> nnx.Module:
    """Make the shortcut of a branch from states of `shape` to states of shape `after`.

    Raises:
        ConfigError: if shortcut and branch have different output shapes.
    """
    made = config.build(shape, after[-1], rngs=rngs)
    if not isinstance(made, Projection):
        return made
    if made.shape != after:
        raise ConfigError(
            f"the shortcut kind={config.kind} maps a state of shape {shape} to {made.shape}, the "
            f"branch to {after}, so they cannot be added; give both the same stride"
        )
    return ProjectionShortcut(made)


def _require_same(kind: str, shape: Shape, width: int) -> None:
    if shape[-1] != width:
        raise ConfigError(
            f"the shortcut kind={kind} keeps the width {shape[-1]} of its state, the branch has "
            f"{width}; use zero_pad, conv or matrix"
        )
