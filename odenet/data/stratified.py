"""A stratified random order of labelled examples."""

import numpy as np
from jaxtyping import Int


def stratified_order(labels: Int[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """Order examples at random so that any run of them holds each class in its overall fraction.

    The examples of a class are shuffled and then spaced evenly over the whole order. The number of
    examples of a class among the first `k` differs from its fraction of `k` by at most one.

    Args:
        labels: Class of each example.
        seed: Seed of the order, at least 0.

    Returns:
        A permutation of `0 .. n - 1`.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + rng.uniform()) / len(members)
    return np.argsort(position, kind="stable")
