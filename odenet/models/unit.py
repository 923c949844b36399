"""A residual unit: shortcut, branch, and a map of their sum."""

from typing import Any

import jax.numpy as jnp

from odenet.arrays import After, Before, Time
from odenet.depth.layer import Layer
from odenet.fields.layers import in_mode


class ResidualUnit(Layer):
    r"""$h_1 = A(S(h_0) + \tau F(h_0))$, the residual unit of He et al. 2016, eq. 1 and 2.

    If $S$ and $A$ are the identity, it is a step of explicit Euler. The paper (arXiv:1603.05027)
    writes $h$ for $S$ and $f$ for $A$.

    Args:
        branch: $F$, called as `branch(t, h)`.
        shortcut: `shortcut(h, step)`, the sum $S(h) +$ `step`; None for the identity.
        after: $A$, called as `after(t, h)`; None for the identity.
    """

    def __init__(self, branch: Any, shortcut: Any, after: Any):
        self.branch = branch
        self.shortcut = shortcut
        self.after = after

    @property
    def is_random(self) -> bool:
        """Whether the shortcut samples random numbers in training mode."""
        return self.shortcut is not None and self.shortcut.is_random

    def __call__(self, tau: Time, h: Before) -> After:
        """The next state."""
        return self._through(tau, h, False)

    def with_batch_statistics(self, tau: Time, h: Before) -> After:
        """The next state; batch norms use batch statistics and update the running ones."""
        return self._through(tau, h, True)

    def _through(self, tau: Time, h: Before, training: bool) -> After:
        time = jnp.zeros((), h.dtype)
        step = tau * in_mode(self.branch, training)(time, h)
        total = h + step if self.shortcut is None else in_mode(self.shortcut, training)(h, step)
        return total if self.after is None else in_mode(self.after, training)(time, total)
