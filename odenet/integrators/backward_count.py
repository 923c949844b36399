"""How many evaluations a solve backwards takes: told by the derivative by a number.

What a backward pass computes can leave it as a cotangent alone. While a counter is open, solves
that are differentiated by another solve take it as an argument that nothing depends on, and give
their number of evaluations as its cotangent.
"""

import contextlib
import contextvars
from collections.abc import Iterator

from odenet.arrays import Scalar

_counter: contextvars.ContextVar[Scalar | None] = contextvars.ContextVar("counter", default=None)


@contextlib.contextmanager
def counting_backward(counter: Scalar) -> Iterator[None]:
    """While this is open, the derivative of what is traced by `counter` counts evaluations.

    Args:
        counter: Any number, by which the caller differentiates.
    """
    token = _counter.set(counter)
    try:
        yield
    finally:
        _counter.reset(token)


def open_counter() -> tuple[Scalar, ...]:
    """The counter, or nothing where none is open."""
    counter = _counter.get()
    return () if counter is None else (counter,)
