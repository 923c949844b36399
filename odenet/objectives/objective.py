"""The objective of a model on a batch: mean loss plus penalties, with metrics."""

import dataclasses

import jax.numpy as jnp

from odenet.arrays import Array, Float, Key, Scalar
from odenet.integrators import SolverStats
from odenet.models import Network
from odenet.objectives.loss import Loss
from odenet.objectives.regularisers import NO_REGULARISERS, Regularisers

Metrics = dict[str, Scalar]


def solver_metrics(stats: SolverStats) -> Metrics:
    """Statistics of the solves as metrics.

    `solver_ok` is 1 if every solve reached t1. `solver_failure` is the `Failure` of the first
    failed solve, `failed_stage` and `failed_layer` are its stage and layer, from 0, and
    `failed_time` is the depth-time in the stage that it reached; all four are 0 without a failure.
    """
    return {
        "nfe": stats.nfe.astype(jnp.float32),
        "accepted_steps": stats.accepted.astype(jnp.float32),
        "rejected_steps": stats.rejected.astype(jnp.float32),
        "solver_ok": stats.success.astype(jnp.float32),
        "solver_failure": stats.failure.astype(jnp.float32),
        "failed_stage": jnp.where(stats.success, 0, stats.stage).astype(jnp.float32),
        "failed_layer": jnp.where(stats.success, 0, stats.layer).astype(jnp.float32),
        "failed_time": jnp.where(stats.success, 0, stats.reached).astype(jnp.float32),
    }


@dataclasses.dataclass(frozen=True)
class Objective:
    """`(model, inputs, targets, weights) -> (objective, metrics)`.

    Args:
        loss: Per-example losses and scores from outputs and targets.
        regularisers: Regularisers along the depth, in training.
    """

    loss: Loss
    regularisers: Regularisers = NO_REGULARISERS

    def __call__(
        self,
        model: Network,
        inputs: Float[Array, "batch *inputs"],
        targets: Array,
        weights: Float[Array, " batch"],
        *,
        training: bool = False,
        key: Key[Array, ""] | None = None,
    ) -> tuple[Scalar, Metrics]:
        """Weighted mean of the loss, plus penalties of the model and regularisers.

        Args:
            model: The network.
            inputs: Normalised inputs.
            targets: Labels or values.
            weights: 1 for an example that counts, 0 for padding.
            training: Training mode: batch norms use batch statistics and update the running ones.
            key: Random key of the step, required by regularisers.

        Returns:
            The objective and the metrics: the mean of every per-example score, `penalty`,
            `objective`, the statistics of the solver, and, with regularisers, the mean of every
            integral and `regularisation`, their weighted sum.
        """
        if self.regularisers:
            assert key is not None
            prediction, integrals = model.with_path_integrals(
                inputs, self.regularisers.path_integrals(key), training=training
            )
            regularisation, extra = self.regularisers.weighted(integrals, weights)
            extra = extra | {"regularisation": regularisation}
        else:
            prediction, regularisation, extra = model(inputs, training=training), 0.0, {}
        outputs, stats = prediction
        total = jnp.sum(weights)
        scores = self.loss(outputs, targets)
        means = {name: jnp.sum(score * weights) / total for name, score in scores.items()}
        penalty = model.penalty().astype(outputs.dtype)
        objective = means[self.loss.minimised] + penalty + regularisation
        metrics = (
            means | extra | {"penalty": penalty, "objective": objective} | solver_metrics(stats)
        )
        return objective, metrics
