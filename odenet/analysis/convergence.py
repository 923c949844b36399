"""Convergence of a trained network in the step size, its cost, and the ODE verdict."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from odenet.analysis.halving import Halving
from odenet.errors import ConfigError
from odenet.integrators import AdaptiveConfig, ExplicitConfig
from odenet.models import DepthBlockConfig, Discretisation

ADAPTIVE = "dopri5"
SOLVERS = ("euler", "midpoint", "rk4", ADAPTIVE)
"""The solvers that a network is compared under, besides its own integrator."""
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
OWN = "own"
"""Name of the network's own integrator among the solvers."""


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to integrate a trained network.

    Attributes:
        solver: Name of the solver; `own` is the integrator that the network was trained with.
        factor: Number of steps, as a multiple of the network's own; None for adaptive solvers.
        tolerance: Relative and absolute tolerance of adaptive solvers, else None.
        discretisation: The same choice as an argument of a block.
    """

    solver: str
    factor: float | None
    tolerance: float | None
    discretisation: Discretisation


@dataclasses.dataclass(frozen=True)
class Cost:
    """Results and cost of one way to integrate a trained network.

    Attributes:
        solver: Name of the solver.
        factor: Number of steps, as a multiple of the network's own; None for adaptive solvers.
        tolerance: Tolerance of adaptive solvers, else None.
        error: Error of the outputs, relative to the reference solve.
        nfe: Field evaluations per batch, mean over the batches.
        seconds: Median time of one batch.
        accuracy: Accuracy; None for regression.
        loss: Mean loss.
        solver_ok: Whether every solve reached t1.
    """

    solver: str
    factor: float | None
    tolerance: float | None
    error: float
    nfe: float
    seconds: float
    accuracy: float | None
    loss: float
    solver_ok: bool


@dataclasses.dataclass(frozen=True)
class Criticality:
    """The step size above which a network is no ODE (Ott et al. 2021, arXiv:2007.15386).

    Attributes:
        threshold: Largest change of accuracy that counts as none.
        reference_accuracy: Accuracy under the reference solve.
        change: Accuracy as trained minus that under the reference solve.
        is_ode: Whether the absolute value of that change is at most the threshold.
        critical_factor: The smallest measured multiple of the network's own number of steps from
            which on its own integrator has the accuracy of the reference solve, within the
            threshold, at two or more numbers of steps; None if there is none.
        critical_step: The largest step size at `critical_factor`.
    """

    threshold: float
    reference_accuracy: float
    change: float
    is_ode: bool
    critical_factor: float | None
    critical_step: float | None


@dataclasses.dataclass(frozen=True)
class Convergence:
    """The result of the convergence instrument.

    Attributes:
        integrator: The kind of the network's own integrator.
        num_steps: Steps of every block, in order.
        largest_step: The largest step size as trained.
        reference: Name of the reference solve for errors.
        reference_ok: Whether that solve reached t1; if not, nothing is judged.
        halvings: From the coarsest to the finest, in double precision; empty for an adaptive
            integrator.
        observed_order: Observed order at the smallest steps, or None.
        costs: Cost of every solver, in the network's own precision.
        criticality: None for a regression, for an adaptive integrator, and if the reference solve
            did not reach t1.
    """

    integrator: str
    num_steps: list[int]
    largest_step: float
    reference: str
    reference_ok: bool
    halvings: list[Halving]
    observed_order: float | None
    costs: list[Cost]
    criticality: Criticality | None


def factors_of(blocks: Sequence[DepthBlockConfig], finest: int, coarsest: int = 8) -> list[float]:
    """Numbers of steps possible in every block, as multiples of its own, each twice the previous.

    Args:
        blocks: The blocks of a network.
        finest: The last multiple, a power of 2.
        coarsest: The first multiple is 1 over this or over a smaller power of 2.

    Raises:
        ConfigError: if `finest` is no power of 2, or below 2.
    """
    if finest < 2 or finest & (finest - 1):
        raise ConfigError(
            f"steps are halved repeatedly, so the finest multiple of them is a power of 2, for "
            f"instance 4; got {finest}"
        )
    coarser = [1 / 2**k for k in range(int(math.log2(coarsest)), 0, -1)]
    finer = [float(2**k) for k in range(int(math.log2(finest)) + 1)]
    fitting = []
    for factor in reversed(coarser):
        if not _fits(blocks, factor):
            break
        fitting.insert(0, factor)
    return fitting + finer


def _fits(blocks: Sequence[DepthBlockConfig], factor: float) -> bool:
    try:
        for block in blocks:
            block.check_discretisation(Discretisation(step_factor=Fraction(factor)))
    except ConfigError:
        return False
    return True


def ways_of(
    blocks: Sequence[DepthBlockConfig], factors: Sequence[float], solvers: Sequence[str] = SOLVERS
) -> list[Way]:
    """The ways to integrate a network: its own integrator first, then others of its equation.

    Args:
        blocks: The blocks of the network.
        factors: Numbers of steps, as multiples of its own.
        solvers: The other solvers, from `SOLVERS`.

    Raises:
        ConfigError: if a solver is not among them.
    """
    for solver in solvers:
        if solver not in SOLVERS:
            raise ConfigError(
                f"a network is compared under the solvers {', '.join(SOLVERS)}, besides its own; "
                f"got {solver!r}"
            )
    own = [block.integrator for block in blocks]
    chooses = any(integrator.chooses_steps for integrator in own)
    ways = [
        Way(OWN, factor, None, Discretisation(step_factor=Fraction(factor)))
        for factor in ([1.0] if chooses else factors)
    ]
    named = {integrator.kind for integrator in own}
    for solver in solvers:
        if solver == ADAPTIVE:
            ways += _adaptive_ways(blocks)
            continue
        config = ExplicitConfig.model_validate({"kind": solver})
        if solver in named or not _same_equation(blocks, config):
            continue
        ways += [
            Way(solver, factor, None, Discretisation(config.build(), Fraction(factor)))
            for factor in factors
        ]
    return ways


def _adaptive_ways(blocks: Sequence[DepthBlockConfig]) -> list[Way]:
    ways = []
    for tolerance in TOLERANCES:
        config = AdaptiveConfig(rtol=tolerance, atol=tolerance, max_steps=1024)
        if _same_equation(blocks, config):
            ways.append(Way(ADAPTIVE, None, tolerance, Discretisation(config.build())))
    return ways


def _same_equation(blocks: Sequence[DepthBlockConfig], config: Any) -> bool:
    return all(block.integrator.equation == config.equation for block in blocks)


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that no change of accuracy could meet, or every change would.

    Raises:
        ConfigError: unless it is above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(
            f"the threshold is a change of accuracy, above 0 and at most 1; got {threshold}"
        )


def judge_steps(
    own: Mapping[float, float], steps: Mapping[float, float], reference: float, threshold: float
) -> Criticality:
    """Find the step size above which a network is no ODE.

    Args:
        own: Accuracy under the network's own integrator, by the multiple of its number of steps;
            the multiple 1 is included.
        steps: The largest step size at each multiple.
        reference: Accuracy under the reference solve.
        threshold: Largest change of accuracy that counts as none, in (0, 1].
    """
    change = own[1.0] - reference
    finest = max(own)
    critical = None
    for factor in sorted(own, reverse=True):
        if abs(own[factor] - reference) > threshold:
            break
        # Near the threshold the finest steps alone may agree by chance, without a second number.
        critical = None if factor == finest else factor
    return Criticality(
        threshold,
        reference,
        change,
        abs(change) <= threshold,
        critical,
        None if critical is None else steps[critical],
    )
