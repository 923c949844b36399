"""Is a trained network an ODE? The same weights under other solvers, and a verdict.

A network whose depth is time was trained under one solver. If it is a discretised ODE, a solver
with a smaller error gives the same predictions; if it is not, its accuracy belongs to the solver
(Ott et al. 2021, arXiv:2007.15386).
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from odenet.integrators import DiffraxConfig, ExplicitConfig, IntegratorConfig
from odenet.models import Discretisation
from odenet.part import PartConfig
from odenet.training.evaluate import Evaluation

TRAINED = "as trained"
"""Name of the evaluation with the network's own integrator and steps."""

REFERENCE_NAME = "reference"
"""Name of the reference evaluation for errors."""

REFERENCE = Discretisation(
    DiffraxConfig.model_validate(
        {"solver": "dopri8", "controller": {"rtol": 1e-6, "atol": 1e-6}, "max_steps": 4096}
    ).build()
)
"""The reference solve for errors: order 8, at the tolerance that float32 allows."""


OTHER_LOSS, OTHER_OUTPUTS = 2.0, 0.1
"""A loss ratio, or relative change of the outputs, above these contradicts the verdict that a
network is independent of its solver. Not from a publication."""

SAME_LOSS, SAME_OUTPUTS = 1.1, 0.01
"""Values below these contradict the verdict that it depends on its solver."""


class EvaluationConfig(PartConfig):
    """One way to integrate a trained network, its weights untouched."""

    integrator: IntegratorConfig = ExplicitConfig()
    step_factor: float = Field(default=1.0, gt=0, le=4096, allow_inf_nan=False)
    """Number of steps as a multiple of those in training: 2 halves every step, 0.5 joins pairs."""

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if self.integrator.chooses_steps and self.step_factor != 1.0:
            raise ValueError(
                "an adaptive integrator would ignore step_factor; remove it, or "
                "set integrator.controller.kind=constant"
            )
        return self

    def build(self) -> Discretisation:
        """Make the discretisation."""
        factor = Fraction(self.step_factor).limit_denominator(4096)
        return Discretisation(self.integrator.build(), factor)


@dataclasses.dataclass(frozen=True)
class Row:
    """One (trained with, evaluated with) pair.

    Attributes:
        trained_with: Name of the network.
        evaluated_with: Name of the discretisation.
        accuracy: Accuracy on the test split; None for regression.
        loss: Loss on the test split.
        parameters: Number of trainable parameters of the network.
        nfe: Field evaluations per batch, mean over the batches.
        solver_error: Root-mean-square difference of the outputs from those of the reference
            solve, relative to the root mean square of the latter; None for a network without
            continuous counterpart.
        solver_ok: Whether every solve reached t1.
        step_seconds: Median time of one batch, forward pass.
        compile_seconds: Time to compile the evaluation.
    """

    trained_with: str
    evaluated_with: str
    accuracy: float | None
    loss: float
    parameters: int
    nfe: float
    solver_error: float | None
    solver_ok: bool
    step_seconds: float
    compile_seconds: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a trained network depends on its solver, with the numbers behind the verdict.

    Attributes:
        network: Name of the network.
        verdict: `solver-independent`, `depends on its solver`, `not an ODE` for a network without
            continuous counterpart, or a text that begins with `not` and gives the reason.
        threshold: Largest change of accuracy that counts as none.
        largest_change: Largest change of accuracy under a solver of smaller error, or None.
        under: Name of the evaluation with this change, or None.
        compared: Names of the evaluations of smaller error, reference included.
        loss: Loss as trained, or None if no solver has a smaller error.
        furthest_loss: Loss, under a solver of smaller error, with the largest ratio to `loss`.
        loss_under: Name of the evaluation with this loss.
        solver_error: Error of the outputs as trained, relative to the reference.
        disagreements: Which of `loss` and `outputs` contradict the verdict: it is
            `solver-independent`, but the loss changes by more than a factor `OTHER_LOSS` or the
            outputs by more than `OTHER_OUTPUTS`; or it is `depends on its solver`, but the loss
            changes by less than a factor `SAME_LOSS` or the outputs by less than `SAME_OUTPUTS`.
    """

    network: str
    verdict: str
    threshold: float
    largest_change: float | None
    under: str | None
    compared: tuple[str, ...]
    loss: float | None = None
    furthest_loss: float | None = None
    loss_under: str | None = None
    solver_error: float | None = None
    disagreements: tuple[str, ...] = ()


def make_row(
    network: str, name: str, found: Evaluation, reference: Evaluation | None, parameters: int
) -> Row:
    """A row of the comparison from an evaluation and the reference solve of the same network."""
    metrics = found.metrics
    return Row(
        network,
        name,
        metrics.get("accuracy"),
        metrics["loss"],
        parameters,
        metrics["nfe"],
        None if reference is None else relative_error(found.outputs, reference.outputs),
        metrics["solver_ok"] == 1.0,
        found.step_seconds,
        found.compile_seconds,
    )


def relative_error(outputs: np.ndarray, reference: np.ndarray) -> float:
    """Root-mean-square difference relative to the root mean square of `reference`.

    Infinite where `outputs` are not finite: the error of a solve that diverged is undefined.
    """
    scale = float(np.sqrt(np.mean(np.square(reference, dtype=np.float64))))
    difference = np.asarray(outputs, np.float64) - np.asarray(reference, np.float64)
    error = float(np.sqrt(np.mean(np.square(difference))))
    if error == 0.0:
        return 0.0
    return error / scale if math.isfinite(error) and scale > 0.0 else math.inf


def not_asked(network: str, threshold: float) -> Verdict:
    """The verdict on a network whose evaluation requested no other solver."""
    verdict = "not judged: no other solver was asked for"
    return Verdict(network, verdict, threshold, None, None, ())


def judge(network: str, rows: Mapping[str, Row], threshold: float) -> Verdict:
    """Judge a network by the criterion of Ott et al. 2021, sec. 4.

    Every solver whose measured error is smaller than that of the training solver is a test: if
    the accuracy changes by more than `threshold` under one of them, the network depends on its
    solver. A solve that did not reach t1 is no test.

    Accuracy depends on the largest output alone. The verdict therefore also records the change of
    the loss under the same solvers, the difference of the outputs from those of the reference, and
    which of the two contradict it.

    Args:
        network: Name of the network.
        rows: Its evaluations by name; `as trained` among them.
        threshold: Largest change of accuracy that counts as none, in (0, 1].
    """
    own = rows[TRAINED]
    if own.solver_error is None:
        return Verdict(network, "not an ODE", threshold, None, None, ())
    finer = {
        name: row
        for name, row in rows.items()
        if name != TRAINED
        and row.solver_ok
        and row.solver_error is not None
        and row.solver_error < own.solver_error
    }
    if REFERENCE_NAME in rows and not rows[REFERENCE_NAME].solver_ok:
        verdict = "not judged: the reference solve did not reach t1"
        return Verdict(network, verdict, threshold, None, None, ())
    if not finer:
        verdict = "not judged: no solver has a smaller error"
        if own.accuracy is None:
            verdict = "not judged: it has no accuracy"
        return Verdict(network, verdict, threshold, None, None, (), solver_error=own.solver_error)
    beside = _beside(own, finer)
    if own.accuracy is None:
        verdict = "not judged: it has no accuracy"
        return Verdict(network, verdict, threshold, None, None, (), **beside)
    changes = {
        name: abs(row.accuracy - own.accuracy)
        for name, row in finer.items()
        if row.accuracy is not None
    }
    under = max(changes, key=lambda name: changes[name])
    dependent = changes[under] > threshold
    found = Verdict(
        network,
        "depends on its solver" if dependent else "solver-independent",
        threshold,
        changes[under],
        under,
        tuple(changes),
        **beside,
    )
    return dataclasses.replace(found, disagreements=_disagreements(found, dependent))


def _beside(own: Row, finer: Mapping[str, Row]) -> dict[str, Any]:
    """The largest change of the loss under finer solvers, as a ratio, with its solver."""

    def distance(name: str) -> float:
        return abs(math.log(_ratio(own.loss, finer[name].loss)))

    under = max(finer, key=distance)
    return {
        "loss": own.loss,
        "furthest_loss": finer[under].loss,
        "loss_under": under,
        "solver_error": own.solver_error,
    }


def _ratio(before: float, after: float) -> float:
    """Ratio of two losses; infinite if it is not finite."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return sys.float_info.max
    tiny = sys.float_info.min
    return max(after, tiny) / max(before, tiny)


def _disagreements(verdict: Verdict, dependent: bool) -> tuple[str, ...]:
    """Which of `loss` and `outputs` contradict a verdict."""
    assert verdict.loss is not None
    assert verdict.furthest_loss is not None
    assert verdict.solver_error is not None
    factor = math.exp(abs(math.log(_ratio(verdict.loss, verdict.furthest_loss))))
    if dependent:
        against = {"loss": factor < SAME_LOSS, "outputs": verdict.solver_error < SAME_OUTPUTS}
    else:
        against = {"loss": factor > OTHER_LOSS, "outputs": verdict.solver_error > OTHER_OUTPUTS}
    return tuple(name for name, contradicts in against.items() if contradicts)
