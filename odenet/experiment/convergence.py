"""Convergence of a network from its run directory: order, cost, and where it is an ODE."""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.compare import relative_error
from odenet.analysis.convergence import (
    OWN,
    SOLVERS,
    Convergence,
    Cost,
    Way,
    check_threshold,
    factors_of,
    judge_steps,
    ways_of,
)
from odenet.analysis.halving import halvings, observed_order
from odenet.analysis.precision import double_precision, doubled
from odenet.arrays import Array
from odenet.data import Split
from odenet.errors import ConfigError
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, Subject, look_at
from odenet.integrators import DiffraxConfig
from odenet.integrators.equation import FIRST_ORDER
from odenet.models import DepthBlockConfig, Discretisation
from odenet.narration import doing

NUM_EXAMPLES, ORDER_EXAMPLES = 1000, 64
_EXACT = {"solver": "dopri8", "controller": {"rtol": 1e-10, "atol": 1e-10}, "max_steps": 65536}
_BEYOND = 8
"""Where no other solver has the network's equation, the reference takes so many times the finest
number of steps."""


def analyse_convergence(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "test",
    moment: Moment = "last",
    num_examples: int = NUM_EXAMPLES,
    finest: int = 16,
    threshold: float = 0.1,
    solvers: Sequence[str] = SOLVERS,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Halve the steps of a network, exchange its solver, and see what its outputs do.

    The result is also written into the run directory, as `convergence.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples that errors, accuracies and times are measured on; the order, in
            double precision, on the first 64 of them.
        finest: Largest multiple of the network's own number of steps, a power of 2.
        threshold: Largest change of accuracy that counts as none.
        solvers: Under which solvers errors and costs are measured, beside the network's own.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if the network is not made of steps, or a number is out of range.
        OdenetError: as its other children say.
    """
    check_threshold(threshold)
    subject = look_at(directory, overrides, split, moment, data_dir)
    blocks = _blocks(subject)
    factors = factors_of(blocks, finest)
    examples = subject.examples(num_examples)
    steps = {factor: _largest_step(subject, factor) for factor in factors}
    exact, reference, reference_ok, name = _reference(subject, blocks, examples, factors[-1])
    found = []
    chooses = any(block.integrator.chooses_steps for block in blocks)
    if not chooses:
        few = Split(examples.inputs[:ORDER_EXAMPLES], examples.targets[:ORDER_EXAMPLES])
        outputs = [
            _outputs(subject, few, Discretisation(step_factor=Fraction(factor)))[0]
            for factor in factors
        ]
        found = halvings(factors, list(steps.values()), outputs, exact[: len(few)])
    costs = [_cost(subject, way, examples, exact) for way in ways_of(blocks, factors, solvers)]
    own = {
        cost.factor: cost.accuracy
        for cost in costs
        if cost.solver == OWN and cost.factor is not None and cost.accuracy is not None
    }
    judged = own and not chooses and reference_ok and "accuracy" in reference
    criticality = judge_steps(own, steps, reference["accuracy"], threshold) if judged else None
    report = Convergence(
        "/".join(dict.fromkeys(block.integrator.kind for block in blocks)),
        [block.num_steps for block in blocks],
        steps[1.0],
        name,
        reference_ok,
        found,
        observed_order(found),
        costs,
        criticality,
    )
    measured = {"num_examples": len(examples), **dataclasses.asdict(report)}
    return subject.write("convergence", measured)


def _blocks(subject: Subject) -> list[DepthBlockConfig]:
    blocks = subject.experiment.config.model.blocks
    for index, block in enumerate(blocks):
        if block.ode is None:
            raise ConfigError(
                f"convergence is that of a method's steps, but the layers of model.stages.{index} "
                f"are no steps of one; look at a network whose depth is time"
            )
    return [block.ode for block in blocks if block.ode is not None]


def _largest_step(subject: Subject, factor: float) -> float:
    way = Discretisation(step_factor=Fraction(factor))
    blocks = [block.ode for block in subject.network.blocks if block.ode is not None]
    return max(float(jnp.max(jnp.abs(way.steps_of(block.grid()).taus))) for block in blocks)


def _outputs(subject: Subject, examples: Split, way: Discretisation) -> tuple[np.ndarray, bool]:
    """Outputs in double precision, and whether every solve arrived."""
    experiment, state = subject.experiment, subject.state
    inputs = doubled(subject.normalized(examples))
    with double_precision():

        def apply(params: Any, statistics: Any, x: Array):
            return experiment.network(params, statistics)(x, way)

        prediction = jax.jit(apply)(doubled(state.params), doubled(state.statistics), inputs)
        return np.asarray(prediction.outputs), bool(prediction.stats.success)


def _reference(
    subject: Subject, blocks: Sequence[DepthBlockConfig], examples: Split, finest: float
) -> tuple[np.ndarray, dict[str, float], bool, str]:
    """Outputs of the reference solve, their metrics, whether it arrived, and what it was."""
    if all(block.integrator.equation == FIRST_ORDER for block in blocks):
        way = Discretisation(DiffraxConfig.model_validate(_EXACT).build())
        name = "dopri8 at rtol = atol = 1e-10 in double precision"
    else:
        times = int(_BEYOND * finest)
        way = Discretisation(step_factor=Fraction(times))
        name = f"the network's own integrator with {times} times its steps, in double precision"
    with doing("reference solve"):
        outputs, arrived = _outputs(subject, examples, way)
    scores = subject.experiment.objective.loss(
        jnp.asarray(outputs, jnp.float32), jnp.asarray(examples.targets)
    )
    return outputs, {key: float(jnp.mean(score)) for key, score in scores.items()}, arrived, name


def _cost(subject: Subject, way: Way, examples: Split, exact: np.ndarray) -> Cost:
    evaluator = subject.experiment.evaluator(examples, way.discretisation)
    with doing(f"evaluating under {way.solver}"):
        evaluator(subject.state.params, subject.state.statistics)  # so that a warm one is timed
        found = evaluator(subject.state.params, subject.state.statistics)
    return Cost(
        way.solver,
        way.factor,
        way.tolerance,
        relative_error(found.outputs, exact),
        found.metrics["nfe"],
        found.step_seconds,
        found.metrics.get("accuracy"),
        found.metrics["loss"],
        found.metrics["solver_ok"] == 1.0,
    )
