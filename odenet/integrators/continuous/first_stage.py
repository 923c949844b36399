"""Methods whose last stage is the first of the next step, with their very first stage done once."""

import jax.numpy as jnp


class FirstStageAtStart:
    """A method whose last stage is the first of the next step, with its very first stage done once.

    diffrax alone would evaluate that stage again at every step rejected before one is accepted.
    """

    def init(self, terms, t0, t1, y0, args):
        """The state of the solver before the first step: no jump yet, and the first stage."""
        del t1
        return jnp.zeros((), bool), self.func(terms, t0, y0, args)  # pyright: ignore
