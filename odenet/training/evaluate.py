"""Evaluation of a network on a whole split, under its own integrator or another."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.data import Batch, Normalization, normalize
from odenet.models import Discretisation
from odenet.objectives import Objective, solver_metrics
from odenet.ops.batch_axis import padded_batch
from odenet.training.constants import hoisted

AVERAGED = ("nfe", "accepted_steps", "rejected_steps")
"""Statistics of the solves, averaged over the batches."""

FAILURE_METRICS = ("solver_failure", "failed_stage", "failed_layer", "failed_time")
"""Metrics with the reason and the position of a failed solve; meaningless zeros without one."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        metrics: Means over the examples (`loss`, `accuracy`), means over the batches (`nfe`,
            `accepted_steps`, `rejected_steps`), and `solver_ok`, 1 if every solve reached t1, with
            `solver_failure`, `failed_stage`, `failed_layer` and `failed_time` of the first batch
            with a failed solve.
        outputs: Outputs for every example, shape `(num_examples, num_outputs)`.
        step_seconds: Median time of one batch.
        compile_seconds: Time of tracing and compiling.
    """

    metrics: dict[str, float]
    outputs: np.ndarray
    step_seconds: float
    compile_seconds: float


class Evaluator:
    """Compiles the evaluation of one network on one split once, and runs it for any parameters.

    Args:
        graphdef: Structure of the network.
        objective: Computes the scores.
        normalization: Normalisation of the inputs.
        batches: The split in batches, leading axis `num_batches`, padded with weight 0.
        discretisation: Another integrator or number of steps, or None for the network's own.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        objective: Objective,
        normalization: Normalization,
        batches: Batch,
        discretisation: Discretisation | None = None,
    ):
        self._batches = batches

        def one(params: Any, statistics: Any, batch: Batch):
            model = nnx.merge(graphdef, params, statistics)
            with padded_batch(batch.weights):
                outputs, stats = model(normalize(batch.inputs, normalization), discretisation)
            scores = objective.loss(outputs, jnp.asarray(batch.targets))
            sums = {name: jnp.sum(score * batch.weights) for name, score in scores.items()}
            return sums, solver_metrics(stats), outputs

        self._one = one
        self._compiled: Any = None
        self.compile_seconds = 0.0

    def __call__(self, params: Any, statistics: Any) -> Evaluation:
        """Evaluate the parameters; the first call compiles."""
        batches = [
            jax.tree.map(lambda leaf, i=i: leaf[i], self._batches)
            for i in range(len(self._batches.weights))
        ]
        if self._compiled is None:
            start = time.perf_counter()
            function, numbers = hoisted(self._one, params, statistics, batches[0])
            arguments = numbers, params, statistics, batches[0]
            compiled = jax.jit(function).lower(*arguments).compile()
            self._compiled = functools.partial(compiled, numbers)
            self.compile_seconds = time.perf_counter() - start
        results, seconds = [], []
        for batch in batches:
            start = time.perf_counter()
            results.append(jax.block_until_ready(self._compiled(params, statistics, batch)))
            seconds.append(time.perf_counter() - start)
        return self._summary(results, float(np.median(seconds)))

    def _summary(self, results: list[Any], step_seconds: float) -> Evaluation:
        sums, solver, outputs = jax.tree.map(
            lambda *leaves: np.stack(leaves), *jax.device_get(results)
        )
        real = np.asarray(self._batches.weights) > 0
        metrics = {name: float(np.sum(value)) / int(real.sum()) for name, value in sums.items()}
        failed = int(np.argmin(solver["solver_ok"]))
        metrics |= {
            name: float(np.mean(value) if name in AVERAGED else value[failed])
            for name, value in solver.items()
        }
        return Evaluation(metrics, outputs[real], step_seconds, self.compile_seconds)
