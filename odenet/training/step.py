"""The train step: pure, several steps per dispatch, no graph traversal, no host transfer."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from odenet.arrays import Array, Float, Key
from odenet.data import Normalization, normalize
from odenet.data.augment import Augmentation
from odenet.integrators import Failure, Integrator
from odenet.integrators.backward_count import counting_backward
from odenet.integrators.reconstruction import LARGEST_ERROR, measuring_reconstruction
from odenet.objectives import Metrics, Objective
from odenet.ops.batch_axis import batch_axis, example_keys
from odenet.training.optimizer import Schedule
from odenet.training.state import TrainState, split_network

Chunk = dict[str, Array]
"""The training data of one dispatch, with leading axes `(steps, batch)`: either `indices` into the
resident split, or `inputs` and `targets` themselves."""

Resident = dict[str, Array] | None
"""`inputs` and `targets` of a whole split on the device, or None if batches are streamed."""


BEYOND_EXAMPLES = 2**32 - 1
"""Number folded into the key of the objective; no example has that number."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainStep:
    """`(state, resident, chunk) -> (state, metrics)`, one step per entry of the chunk.

    Args:
        graphdef: Structure of the network.
        objective: The minimised objective.
        optimizer: Maps gradients to updates.
        learning_rate: The learning rate of the weights, for the metrics.
        normalization: Normalisation of the inputs.
        augmentation: Random change of the training images, or None.
        training: Whether batch norms use the statistics of the batch and update their running ones.
        nfe_budget: Largest `nfe` of a successful solve, or None.
        skip_failed: Whether a step with a failed solve leaves the parameters unchanged.
        axis: Name of the mapped axis when `pmap` splits the batch, else None.
    """

    graphdef: nnx.GraphDef
    objective: Objective
    optimizer: optax.GradientTransformation
    learning_rate: Schedule
    normalization: Normalization
    augmentation: Augmentation | None = None
    training: bool = True
    nfe_budget: int | None = None
    skip_failed: bool = False
    axis: str | None = None
    __name__: ClassVar[str] = "train_steps"

    def __call__(
        self, state: TrainState, resident: Resident, chunk: Chunk
    ) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
        """Take the steps of `chunk` in one scan; metrics have a leading axis `steps`."""
        return jax.lax.scan(lambda state, one: self._step(state, resident, one), state, chunk)

    def _step(self, state: TrainState, resident: Resident, chunk: Chunk):
        inputs, targets = _gather(resident, chunk)
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        of_objective = jax.random.fold_in(key, BEYOND_EXAMPLES)
        inputs = normalize(self._augmented(key, inputs), self.normalization)

        def objective(params, counter, probe):
            model = nnx.merge(self.graphdef, params, state.statistics)
            weights = jnp.ones(len(inputs), inputs.dtype)
            with counting_backward(counter), measuring_reconstruction(probe):
                value, metrics = self.objective(
                    model, inputs, targets, weights, training=self.training, key=of_objective
                )
            return value, (metrics, split_network(model)[2])

        with batch_axis(self.axis):
            gradient_of = jax.value_and_grad(objective, argnums=(0, 1, 2), has_aux=True)
            number = jnp.zeros((), jnp.float32)
            (_, (metrics, statistics)), (grads, count, error) = gradient_of(
                state.params, number, number
            )
        integrators = self._integrators(state)
        if any(integrator.counts_backward for integrator in integrators):
            metrics = metrics | {"nfe_backward": count}
        if any(integrator.reconstructs for integrator in integrators):
            metrics = metrics | {"reconstruction_error": error}
        if self.axis is not None:
            grads, metrics = jax.lax.pmean((grads, metrics), self.axis)
        if "reconstruction_error" in metrics:
            metrics = reconstructed(metrics)
        if self.nfe_budget is not None:
            metrics = within_budget(metrics, self.nfe_budget)
        updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        metrics = metrics | {
            "gradient_norm": optax.tree.norm(grads),
            "learning_rate": self.learning_rate(state.step),
        }
        new = TrainState(state.step + 1, params, statistics, opt_state, state.key)
        if self.skip_failed:
            new = _updated_if(metrics["solver_ok"] == 1, new, state)
        return new, metrics

    def _integrators(self, state: TrainState) -> list[Integrator]:
        """The integrators of all blocks that discretise an ODE."""
        blocks = nnx.merge(self.graphdef, state.params, state.statistics).blocks
        return [block.ode.integrator for block in blocks if block.ode is not None]

    def _augmented(self, key: Key[Array, ""], inputs: Array) -> Array:
        """Augment every image by a key of its own, independent of the image's device."""
        augmentation: Callable[[Array, Array], Array] | None = self.augmentation
        if augmentation is None:
            return inputs
        with batch_axis(self.axis):
            keys = example_keys(key, len(inputs))
        return jax.vmap(lambda key, image: augmentation(key, image[None])[0])(keys, inputs)


def within_budget(metrics: Metrics, budget: int) -> Metrics:
    """The metrics, with a failure where solves reached t1 with too many evaluations."""
    over = (metrics["nfe"] > budget) & (metrics["solver_ok"] == 1)
    code = jnp.float32(Failure.OVER_BUDGET)
    return metrics | {
        "solver_ok": jnp.where(over, 0.0, metrics["solver_ok"]),
        "solver_failure": jnp.where(over, code, metrics["solver_failure"]),
    }


def reconstructed(metrics: Metrics) -> Metrics:
    """The metrics, with a failure where the backward pass reconstructed other states."""
    wrong = ~(metrics["reconstruction_error"] <= LARGEST_ERROR) & (metrics["solver_ok"] == 1)
    code = jnp.float32(Failure.RECONSTRUCTION)
    return metrics | {
        "solver_ok": jnp.where(wrong, 0.0, metrics["solver_ok"]),
        "solver_failure": jnp.where(wrong, code, metrics["solver_failure"]),
    }


def _updated_if(succeeded: Array, new: TrainState, old: TrainState) -> TrainState:
    """The new state if the solves succeeded, else the old one with the step counter advanced."""
    kept = jax.tree.map(lambda a, b: jnp.where(succeeded, a, b), new, old)
    return dataclasses.replace(kept, step=new.step)


def _gather(resident: Resident, chunk: Chunk) -> tuple[Array, Array]:
    if resident is None:
        return chunk["inputs"], chunk["targets"]
    rows = chunk["indices"]
    return resident["inputs"][rows], resident["targets"][rows]
