"""The first step of an adaptive solver, chosen from the problem by one more evaluation."""

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
    the step is $\min(100 s_0, (0.01 / \max(\|f_0\|, d_2))^{1/q}, 1)$. Steps are lengths in the time
    of `field`, in which the whole interval has length 1. No gradient passes through the choice: the
    result of an accepted step depends on it by no more than the tolerance. If the field is
    not finite at the end of the Euler step, a tenth of that step bounds the step in place of $d_2$.

    Args:
        field: `field(t, h)`, evaluated once.
        t0: Start of the interval, scalar.
        h0: State at `t0`.
        f0: `field(t0, h0)`, which an FSAL method needs anyway.
        order: `q`, the order of the local error that is controlled.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        norm: Norm of the scaled errors, over the whole batch.

    Returns:
        The step, positive and at most 1.
    """
    h0, f0 = jax.lax.stop_gradient((h0, f0))
    sizes = jnp.abs(h0)
    scale = atol + rtol * sizes
    size, speed = norm(sizes / scale), norm(jnp.abs(f0) / scale)
    tiny = (size < 1e-5) | (speed < 1e-5)
    guess = jnp.where(tiny, 1e-6, 0.01 * size / jnp.where(tiny, 1, speed))
    smallest = jnp.finfo(t0.dtype).eps
    guess = jnp.clip(guess, smallest, 1).astype(t0.dtype)
    f1 = jax.lax.stop_gradient(field(t0 + guess, h0 + guess.astype(h0.dtype) * f0))
    curvature = norm(jnp.abs(f1 - f0) / scale) / guess
    is_number = jnp.isfinite(curvature)
    largest = jnp.where(is_number, jnp.maximum(speed, curvature), speed)
    flat = largest <= 1e-15
    step = (0.01 / jnp.where(flat, 1, largest)) ** (1 / order)
    step = jnp.where(flat, jnp.maximum(1e-6, guess * 1e-3), step)
    # If the Euler step leaves the domain of the field, it is too long.
    step = jnp.minimum(step, jnp.where(is_number, 100 * guess, 0.1 * guess))
    step = jnp.where(jnp.isfinite(step), step, smallest)
    return jax.lax.stop_gradient(jnp.clip(step, smallest, 1).astype(t0.dtype))
