"""What forward-mode derivatives (`jax.jvp`, `jax.jacfwd`) say where an integrator has none."""

import contextlib
from collections.abc import Iterator

from odenet.errors import DerivativeError


@contextlib.contextmanager
def explaining(instead: str | None) -> Iterator[None]:
    """While this is open, a forward-mode derivative that there is none of says what to use.

    Args:
        instead: The option, or the integrator, that has one; None where this one has.

    Raises:
        DerivativeError: in place of the error of JAX.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError) as error:
        if instead is None or "forward-mode" not in str(error):
            raise
        raise DerivativeError(
            f"this integrator has a derivative of its own, backwards only, and no forward mode "
            f"(jax.jvp, jax.jacfwd, jax.linearize); use {instead}, which has one, or reverse mode "
            f"(jax.grad, jax.jacrev; second derivatives by jax.jacrev of jax.grad)"
        ) from error
