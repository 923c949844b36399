"""The first step that an adaptive solver tries, chosen from the problem by one more evaluation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from odenet.arrays import Scalar, State, Time


def first_step(
    field: Callable[[Time, State], State],
    t0: Time,
    h0: State,
    f0: State,
    order: int,
    rtol: float,
    atol: float,
    norm: Callable[[State], Scalar],
) -> Scalar:
    r"""A first step whose error is near the tolerance (Hairer, Nørsett, Wanner 1993, p. 169).

    With $\|x\|$ the norm of $x / (a + r |h_0|)$: an Euler step of length
    $s_0 = 0.01 \|h_0\| / \|f_0\|$ gives $d_2 = \|f(t_0 + s_0, h_0 + s_0 f_0) - f_0\| / s_0$, and
    the step is $\min(100 s_0, (0.01 / \max(\|f_0\|, d_2))^{1/q}, 1)$. Steps are lengths of the
    time that `field` is written in, in which the whole interval has length 1. No gradient passes
    through the choice: an accepted step's result depends on it by no more than the tolerance.

    Args:
        field: `field(t, h)`, evaluated once.
        t0: Start of the interval, scalar.
        h0: State there.
        f0: `field(t0, h0)`, which a method whose last stage is the first of the next needs anyway.
        order: `q`, the order of the local error that is controlled.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        norm: Of the scaled errors, over the whole batch.

    Returns:
        The step, positive and at most 1.
    """
    h0, f0 = jax.lax.stop_gradient((h0, f0))
    scale = atol + rtol * jnp.abs(h0)
    size, speed = norm(h0 / scale), norm(f0 / scale)
    tiny = (size < 1e-5) | (speed < 1e-5)
    guess = jnp.where(tiny, 1e-6, 0.01 * size / jnp.where(tiny, 1, speed))
    guess = jnp.minimum(guess, 1).astype(h0.dtype)
    f1 = jax.lax.stop_gradient(field(t0 + guess, h0 + guess * f0))
    bend = norm((f1 - f0) / scale) / guess
    largest = jnp.maximum(speed, bend)
    flat = largest <= 1e-15
    step = (0.01 / jnp.where(flat, 1, largest)) ** (1 / order)
    step = jnp.where(flat, jnp.maximum(1e-6, guess * 1e-3), step)
    return jax.lax.stop_gradient(jnp.minimum(jnp.minimum(100 * guess, step), 1).astype(h0.dtype))
