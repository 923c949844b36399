"""The number of evaluations in a backward solve, returned as the derivative of a counter.

Results computed in a backward pass can leave it only as cotangents. While a counter is open, solves
whose gradient is another solve take it as an argument with no effect on the result, and return
their number of evaluations as its cotangent.
"""

import contextlib
import contextvars
from collections.abc import Iterator

from odenet.arrays import Scalar

_counter: contextvars.ContextVar[Scalar | None] = contextvars.ContextVar("counter", default=None)


@contextlib.contextmanager
def counting_backward(counter: Scalar) -> Iterator[None]:
    """While this is open, the derivative with respect to `counter` counts backward evaluations.

    Args:
        counter: Any number with respect to which the caller differentiates.
    """
    token = _counter.set(counter)
    try:
        yield
    finally:
        _counter.reset(token)


def open_counter() -> tuple[Scalar, ...]:
    """The counter as a tuple of one, or an empty tuple if none is open."""
    counter = _counter.get()
    return () if counter is None else (counter,)
