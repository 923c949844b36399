"""FSAL methods (first same as last) with their initial stage evaluated once."""

import jax.numpy as jnp


class FirstStageAtStart:
    """An FSAL method (first same as last) with its initial stage evaluated once.

    diffrax alone would evaluate that stage again at every step rejected before the first accepted.
    """

    def init(self, terms, t0, t1, y0, args):
        """The state of the solver before the first step: no jump yet, and the first stage."""
        del t1
        return jnp.zeros((), bool), self.func(terms, t0, y0, args)  # pyright: ignore
