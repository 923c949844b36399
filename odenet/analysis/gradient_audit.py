"""Gradient methods of a network compared with the exact gradient of its steps.

The exact gradient differentiates the taken steps in double precision with everything stored;
finite differences check it along random directions. The other methods are measured in the network's
own precision: error, time and memory.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.analysis.precision import double_precision, doubled
from odenet.arrays import Array, Key
from odenet.integrators import IntegratorConfig
from odenet.models import Network
from odenet.objectives import Objective
from odenet.training.parallel import peak_bytes

_REPEATS = 5
_DIFFERENCE = 1e-6


@dataclasses.dataclass(frozen=True)
class Gradient:
    """The measurement of one gradient method.

    Attributes:
        name: Description of the backward pass.
        weights_error: Norm of the difference of all weights' gradient from the exact one, relative
            to the norm of the latter; infinite if a backward solve failed.
        step_sizes_error: The same for learned step sizes; None if none is learned.
        inputs_error: The same for the gradient with respect to the inputs.
        seconds: Median time of loss and gradient.
        compile_seconds: Time to trace and compile them.
        peak_bytes: Memory of the compiled program: arguments, results and temporaries.
    """

    name: str
    weights_error: float
    step_sizes_error: float | None
    inputs_error: float
    seconds: float
    compile_seconds: float
    peak_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of the gradient audit.

    Attributes:
        gradients: The gradient methods, the exact one in the network's precision first.
        differences: Relative difference of the exact gradient's product with each random direction
            from the central difference of the loss along it, both in double precision.
        norm: Norm of the exact gradient of all parameters.
    """

    gradients: list[Gradient]
    differences: list[float]
    norm: float


Loss = Callable[[Any, Array], Array]
"""`loss(params, inputs)`, a scalar."""


def loss_of(
    network: Network,
    integrators: Sequence[IntegratorConfig | None],
    objective: Objective,
    targets: Array,
) -> tuple[Loss, Any]:
    """The loss of a network under other gradient methods, as a function, and its parameters.

    Batch norms use their running statistics, so that the loss is a mean of one term per example.

    Args:
        network: The network, left unchanged.
        integrators: The integrator of every block; None for a block without step sizes.
        objective: Computes the loss, a mean over the examples, penalties included.
        targets: Targets of the examples.
    """
    copy = nnx.clone(network)
    for block, integrator in zip(copy.blocks, integrators, strict=True):
        if block.residual is not None and integrator is not None:
            block.residual.differentiate_by(integrator)
    graphdef, params, fixed = nnx.split(copy, nnx.Param, ...)

    def loss(params: Any, inputs: Array) -> Array:
        dtype = inputs.dtype
        here = jax.tree.map(lambda leaf: leaf.astype(dtype) if _is_float(leaf) else leaf, fixed)
        model = nnx.merge(graphdef, params, here)
        weights = jnp.ones(len(inputs), dtype)
        return objective(model, inputs, targets, weights)[0]

    return loss, params


def exact_gradient(loss: Loss, params: Any, inputs: Array) -> Any:
    """The gradient with respect to parameters and inputs, in double precision, on the host."""
    wide = doubled((params, inputs))
    with double_precision():
        return jax.device_get(jax.jit(jax.grad(loss, argnums=(0, 1)))(*wide))


def differences(
    loss: Loss, params: Any, inputs: Array, exact: Any, key: Key[Array, ""], directions: int
) -> list[float]:
    """Relative differences of the exact gradient from central differences along directions.

    Args:
        loss: Function of parameters and inputs.
        params: Parameters at which to differentiate.
        inputs: Inputs of the examples.
        exact: The gradient with respect to the parameters.
        key: Key of the random directions, normal in all parameters.
        directions: Number of directions.
    """
    theta = doubled(params)
    x = doubled(inputs)
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,))))
    found = []
    with double_precision():
        value = jax.jit(loss)
        for _ in range(directions):
            way = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape), theta)
            step = _DIFFERENCE / norm_of(way) * max(1.0, norm_of(theta))
            ahead, behind = (
                float(value(jax.tree.map(lambda p, d, s=s: p + s * d, theta, way), x))
                for s in (step, -step)
            )
            product = math.fsum(
                float(np.vdot(g, d))
                for g, d in zip(jax.tree.leaves(exact), jax.tree.leaves(way), strict=True)
            )
            difference = (ahead - behind) / (2 * step)
            found.append(abs(product - difference) / max(abs(difference), 1e-300))
    return found


def measure(name: str, loss: Loss, params: Any, inputs: Array, exact: Any) -> Gradient:
    """Error, time and memory of one gradient method, in the network's own precision.

    Args:
        name: Description of the backward pass.
        loss: Function of parameters and inputs.
        params: Parameters at which to differentiate.
        inputs: Inputs of the examples.
        exact: The exact gradient with respect to parameters and inputs.
    """
    start = time.perf_counter()
    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    compiled = gradient.lower(params, inputs).compile()
    compile_seconds = time.perf_counter() - start
    _, found = jax.block_until_ready(compiled(params, inputs))
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        jax.block_until_ready(compiled(params, inputs))
        seconds.append(time.perf_counter() - start)
    by_params, by_inputs = jax.device_get(found)
    of_weights, of_steps = _parted(by_params)
    exact_weights, exact_steps = _parted(exact[0])
    return Gradient(
        name,
        _error(of_weights, exact_weights),
        _error(of_steps, exact_steps) if exact_steps else None,
        _error([by_inputs], [exact[1]]),
        float(np.median(seconds)),
        compile_seconds,
        peak_bytes(compiled),
    )


def norm_of(tree: Any) -> float:
    """Euclidean norm of all numbers of a tree."""
    return math.sqrt(math.fsum(float(np.sum(np.square(x, dtype=float))) for x in _leaves(tree)))


def _leaves(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def _parted(gradient: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weights and of learned step sizes."""
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        parts["step_sizes" in jax.tree_util.keystr(path)].append(np.asarray(leaf))
    return parts


def _error(found: Sequence[np.ndarray], exact: Sequence[np.ndarray]) -> float:
    differences = [np.asarray(a, np.float64) - b for a, b in zip(found, exact, strict=True)]
    difference, scale = norm_of(differences), norm_of(list(exact))
    if not math.isfinite(difference):
        return math.inf
    return difference / scale if scale > 0 else difference


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)
