"""Statistics of a solve: its cost, whether it reached t1, and the position of a failure."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import Count, Flag, Scalar, State
from odenet.integrators.failure import failure_of_state, first_failure


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SolverStats:
    """The cost of an integration, and whether it reached t1.

    Attributes:
        nfe: Number of evaluations of the vector field in the forward pass.
        accepted: Number of accepted steps.
        rejected: Number of rejected steps.
        failure: Reason why the first failed solve did not reach t1, a `Failure`;
            0 if all reached t1.
        layer: Layer of that solve in its block, from 0.
        stage: Its stage in a network, from 0.
        reached: Depth-time in its block that this solve reached; if all reached t1, the end of
            the last one.
    """

    nfe: Count
    accepted: Count
    rejected: Count
    failure: Count
    layer: Count
    stage: Count
    reached: Scalar

    @staticmethod
    def of(
        nfe: Any, accepted: Any, rejected: Any = 0, failure: Any = 0, reached: Any = 0.0
    ) -> "SolverStats":
        """Statistics from numbers or arrays."""
        code = jnp.asarray(failure, jnp.int32)
        return SolverStats(
            jnp.asarray(nfe, jnp.int32),
            jnp.asarray(accepted, jnp.int32),
            jnp.asarray(rejected, jnp.int32),
            code,
            jnp.zeros_like(code),
            jnp.zeros_like(code),
            jnp.broadcast_to(jnp.asarray(reached).astype(float), code.shape),
        )

    @property
    def success(self) -> Flag:
        """Whether every solve reached t1."""
        return self.failure == 0

    def __add__(self, other: "SolverStats") -> "SolverStats":
        """Statistics of two integrations, one after the other."""
        known = self.failure > 0
        return SolverStats(
            self.nfe + other.nfe,
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            jnp.where(known, self.failure, other.failure),
            jnp.where(known, self.layer, other.layer),
            jnp.where(known, self.stage, other.stage),
            jnp.where(known, self.reached, other.reached),
        )

    def total(self) -> "SolverStats":
        """Statistics of all layers along axis 0, and of all steps in them along the others."""
        failures = self.failure.reshape(-1)
        failed = failures > 0
        first = jnp.argmax(failed)
        last = failures.size - 1
        layer = first // (failures.size // len(self.failure))
        return SolverStats(
            jnp.sum(self.nfe, dtype=jnp.int32),
            jnp.sum(self.accepted, dtype=jnp.int32),
            jnp.sum(self.rejected, dtype=jnp.int32),
            failures[first],
            layer.astype(jnp.int32),
            jnp.zeros((), jnp.int32),
            self.reached.reshape(-1)[jnp.where(jnp.any(failed), first, last)],
        )

    def reaching(self, horizon: Any) -> "SolverStats":
        """These statistics with `reached` at the horizon, if all solves reached t1."""
        end = jnp.asarray(horizon).astype(float)
        return dataclasses.replace(self, reached=jnp.where(self.success, end, self.reached))

    def at_stage(self, stage: int, h1: State) -> "SolverStats":
        """These statistics for a stage of a network that ended at `h1`, which must be finite."""
        failure = first_failure(self.failure, failure_of_state(h1))
        return dataclasses.replace(self, failure=failure, stage=jnp.asarray(stage, jnp.int32))
