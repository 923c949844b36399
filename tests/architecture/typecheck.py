"""The checker of shapes and types that `conftest.py` puts around every function of the package."""

from beartype import beartype


def check_function(function):
    """Check calls of `function`, unless it makes an object.

    JAX takes dataclasses apart and rebuilds them around whatever a transformation puts at their
    leaves: stacked arrays, shapes, devices. Their annotations hold for what users build.
    """
    return function if function.__name__ == "__init__" else beartype(function)
