"""Tables of cases: the marks of those that are run in a sample."""

import pytest


def cases(names, kept):
    """A parameter for every name or tuple of names; all that are not `kept` are `product`."""
    names, kept = list(names), set(kept)
    assert kept <= set(names), kept - set(names)
    return [
        pytest.param(
            *(name if isinstance(name, tuple) else (name,)),
            marks=() if name in kept else pytest.mark.product,
        )
        for name in names
    ]
