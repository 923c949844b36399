"""JAX as users run it: single precision and its usual promotion rules."""

import contextlib

import jax
import pytest


@contextlib.contextmanager
def as_a_user():
    """Lifts what tests/conftest.py sets for the tests of mathematics."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.enable_x64(False))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        yield


@pytest.fixture(autouse=True)
def settings_of_a_user():
    """The same for every test of a file."""
    with as_a_user():
        yield
