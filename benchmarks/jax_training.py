"""A jax side: one compiled step on weights in a flat dict, with donated state."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from benchmarks.declaration import Arrays, Probe, Work

Loss = Callable[[Any, Any], tuple[jax.Array, dict[str, Any]]]
"""`(weights, batch) -> (loss, extras)`; `extras` may hold `outputs`, new running `statistics` by
name, and `nfe`."""

_STATISTICS = ("mean", "var")


def is_statistic(name: str) -> bool:
    """Whether a weight is a running statistic, which has no gradient."""
    return name.rpartition(".")[2] in _STATISTICS


def training(
    loss: Loss,
    weights: Arrays,
    batch: Any,
    optimizer: optax.GradientTransformation,
    facts: Callable[[Any], dict[str, Any]] | None = None,
    by_name: Callable[[Arrays], Arrays] = dict,
) -> Work:
    """Steps of `optimizer` on `loss`, always on the same batch.

    Args:
        loss: Loss function.
        weights: Initial weights, by name.
        batch: Batch, passed to `loss`.
        optimizer: Optimiser.
        facts: Computes facts from the last step's extras.
        by_name: Converts the trained weights to the names and layouts that all sides share.
    """
    params = {name: array for name, array in weights.items() if not is_statistic(name)}
    statistics = {name: array for name, array in weights.items() if is_statistic(name)}
    batch = jax.device_put(batch)

    def one_step(state, batch, *, tell=False):
        params, statistics, moments = state
        gradient_of = jax.value_and_grad(lambda p: loss(p | statistics, batch), has_aux=True)
        (value, extras), grads = gradient_of(params)
        updates, moments = optimizer.update(grads, moments, params)
        params = optax.apply_updates(params, updates)
        statistics = extras.pop("statistics", statistics)
        outputs = extras.pop("outputs")
        told = extras | {"loss": value} | ({"outputs": outputs, "grads": grads} if tell else {})
        return (params, statistics, moments), told

    compiled = jax.jit(one_step, donate_argnums=0)

    def start():
        placed = jax.tree.map(lambda leaf: jax.numpy.array(leaf, copy=True), (params, statistics))
        return (*placed, jax.jit(optimizer.init)(placed[0]))

    current = {"state": start(), "extras": {}}

    def reset() -> None:
        current["state"] = start()
        jax.block_until_ready(current["state"])

    def step() -> None:
        current["state"], current["extras"] = compiled(current["state"], batch)
        jax.block_until_ready(current["state"])

    def probe() -> Probe:
        telling = jax.jit(functools.partial(one_step, tell=True))
        first, extras = telling(start(), batch)
        updated = telling(first, batch)[0]
        outputs = {name: extras[name] for name in ("loss", "outputs")}
        return Probe(
            _on_host(outputs),
            by_name(_on_host(extras["grads"])),
            by_name(_on_host(updated[0] | updated[1])),
        )

    def all_facts() -> dict[str, Any]:
        return facts(jax.device_get(current["extras"])) if facts else {}

    return Work(step, reset, all_facts, probe)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean cross entropy over the batch."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _on_host(tree: Any) -> Arrays:
    return {name: np.asarray(leaf) for name, leaf in jax.device_get(tree).items()}


def square_mean_training(solve: Callable[..., Any], weights: Arrays, h0: np.ndarray) -> Work:
    """Training steps with the mean square of the last state of a solve as loss.

    Args:
        solve: `(weights, h0) -> (h1, number of steps taken)`.
        weights: Initial weights.
        h0: Initial states.
    """

    def loss(params, h0):
        h1, steps = solve(params, h0)
        return jax.numpy.mean(jax.numpy.square(h1)), {"outputs": h1, "steps": steps}

    def facts(extras):
        return {"solver_steps": int(extras["steps"])}

    return training(loss, weights, h0, optax.sgd(0.01), facts)
