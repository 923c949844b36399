"""A random order of labelled examples of which every part has the classes in proportion."""

import numpy as np
from jaxtyping import Int


def stratified_order(labels: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """Order examples so that any run of them holds each class in its overall fraction.

    The examples of a class are shuffled and then spaced evenly over the whole order, so that the
    number of a class in the first `k` differs from its fraction of `k` by at most one.

    Args:
        labels: Class of each example.
        seed: Of the order, at least 0.

    Returns:
        A permutation of `0 .. n - 1`.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + rng.uniform()) / len(members)
    return np.argsort(place, kind="stable")
