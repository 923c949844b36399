"""Steps made of invertible stages, each a derivative of the field and an update by it."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from odenet.arrays import State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.amplification import Amplification
from odenet.integrators.base import Field, Integration, Integrator, SolverStats
from odenet.integrators.config import IntegratorConfig
from odenet.integrators.cotangents import add_cotangents
from odenet.integrators.gradient_methods import by_remat
from odenet.integrators.path import path_through
from odenet.integrators.remat import Remat, scan_depth
from odenet.integrators.reversible import scan_reversibly
from odenet.integrators.staged_amplification import StagedAmplification

StagesRemat = Remat | Literal["reversible"]
"""`reversible` stores the last state alone, and computes the earlier ones backwards from it:
the memory of a gradient does not grow with depth, and its cost is that of `step`. In exact
arithmetic the states, and so the gradient, are the same; in floating point the reconstruction
has round-off, which grows if the flow contracts or expands fast, like the error of a solve
backwards in time. `reconstruction.reconstruction_error` measures it; training does at every step
(`reconstruction_error`), and fails above 1e-2. It has no forward mode (`jax.jvp`); the other values
have one and store states as for Euler."""

Carry = tuple[State, ...]
"""The variables before and after a step: the state first, then further variables of the method."""


def _once(field: Field, t: Time, h: State, tau: Time) -> State:
    del tau
    return field(t, h)


class Stage(NamedTuple):
    """One derivative within a step, and the update of the carry by it.

    Attributes:
        point: `point(carry, t0, tau) -> (t, h)`: the point of the derivative.
        move: `move(carry, derivative, tau, *extra) -> carry`.
        point_after: The same point as `point`, computed from the carry after the stage.
        invert: `invert(end, derivative, tau, *extra) -> carry`, the inverse of `move`.
        evaluate: `evaluate(field, t, h, tau) -> derivative`; by default the field at the point.
    """

    point: Callable[..., tuple[Time, State]]
    move: Callable[..., Carry]
    point_after: Callable[..., tuple[Time, State]]
    invert: Callable[..., Carry]
    evaluate: Callable[[Field, Time, State, Time], State] = _once


class StagedConfig(IntegratorConfig):
    """Base of the configs of integrators made of stages."""

    remat: StagesRemat = "reversible"
    """Storage for the backward pass: `reversible` keeps the last state, from which the others are
    reconstructed; `none` everything, `step` one state per step (layer of a residual network),
    `sqrt` about `2 sqrt(num_steps)` steps."""

    @property
    def can_reconstruct(self) -> bool:
        """Whether a step can be inverted, so that `remat` may be `reversible`."""
        return True

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """The values of `remat`: everything, states, segments, or the last state alone."""
        del is_step, learns_steps
        last = ("reversible",) if self.can_reconstruct else ()
        return by_remat(self, ("none", "step", "sqrt", *last))


@dataclasses.dataclass(frozen=True)
class StagedIntegrator(Integrator):
    """An integrator whose steps consist of stages: updates of a carry, with their inverses.

    Args:
        remat: Storage for the backward pass; see `StagesRemat`.
    """

    zero_step_is_identity: ClassVar[bool] = True

    remat: StagesRemat = "reversible"

    @property
    @abc.abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages of a step, in the order in which they are taken."""

    @property
    def reconstructs(self) -> bool:
        """Whether its backward pass computes the states from the last."""
        return self.remat == "reversible"

    @property
    def forward_mode_instead(self) -> str | None:
        """Options with forward-mode derivatives: stored states."""
        return "remat=none, step or sqrt" if self.reconstructs else None

    def with_forward_mode(self) -> Integrator:
        """This integrator with stored states; `remat` does not change the numbers."""
        return dataclasses.replace(self, remat="none")

    def amplification(self, grid: DepthGrid) -> Amplification:
        """The spectral radius of a step on its carry."""
        return StagedAmplification(self, grid)

    def start(self, fields: LayerFields, h0: State) -> Carry:
        """The carry of the first step, from prepared fields; the state comes first."""
        del fields
        return (h0, jnp.zeros_like(h0))

    def extra(self, grid: DepthGrid) -> tuple[Any, ...]:
        """Arrays with a leading axis `num_steps`; every stage receives its row."""
        del grid
        return ()

    def nfe(self, num_steps: int) -> int:
        """Number of evaluations of the field in `num_steps` steps."""
        return num_steps * len(self.stages)

    def step(self, field: Field, carry: Carry, t0: Time, tau: Time, *extra: Any) -> Carry:
        """The carry after a step from `t0` to `t0 + tau`.

        Args:
            field: The vector field of the layer.
            carry: The carry before the step.
            t0: Start of the step.
            tau: Its length.
            extra: The step's row of the result of `extra`.
        """
        return take_step(self.stages, field, carry, t0, tau, *extra)

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Integrate `h0` over the whole grid; `path` holds the states alone."""
        assert not fields.uses_batch_statistics
        fields = fields.prepared(h0)
        stages, start, extra = self.stages, self.start(fields, h0), self.extra(grid)

        def step(field, carry, t0, tau, *extra):
            carry = take_step(stages, field, carry, t0, tau, *extra)
            return carry, carry[0] if save_path else None

        def reverse(field, end, t0, tau, cotangent, *extra):
            return reverse_step(stages, field, end, t0, tau, cotangent, *extra)

        if self.remat == "reversible":
            (h1, *_), states = scan_reversibly(step, reverse, start, fields, grid, extra)
        else:
            (h1, *_), states = scan_depth(step, start, fields, grid, self.remat, extra)
        path = path_through(h0, states) if save_path else None
        steps = grid.num_steps
        return Integration(h1, path, SolverStats.of(self.nfe(steps), steps))


def take_step(
    stages: tuple[Stage, ...], field: Field, carry: Carry, t0: Time, tau: Time, *extra: Any
) -> Carry:
    """The carry after a step from `t0` to `t0 + tau`.

    Args:
        stages: The stages of the step, in their order.
        field: The vector field of the layer.
        carry: The carry before the step.
        t0: Start of the step.
        tau: Its length.
        extra: The step's row of the result of the integrator's `extra`.
    """
    for stage in stages:
        t, h = stage.point(carry, t0, tau)
        carry = stage.move(carry, stage.evaluate(field, t, h, tau), tau, *extra)
    return carry


def reverse_step(
    stages: tuple[Stage, ...],
    field: Field,
    end: Carry,
    t0: Time,
    tau: Time,
    cotangent: Carry,
    *extra: Any,
) -> tuple[Carry, tuple[Any, ...]]:
    """The start of the step that ended at `end`, and the cotangents of its arguments.

    One evaluation of the field per stage serves both the reconstruction and the gradient.

    Args:
        stages: The stages of the step, in the order in which they were taken.
        field: The vector field of the layer.
        end: The carry after the step.
        t0: Start of the step.
        tau: Its length.
        cotangent: Cotangent of `end`.
        extra: Further arguments of the stages.

    Returns:
        The carry before the step, and the cotangents of `(field, start, t0, tau, *extra)`.
    """
    totals: Any = None
    for stage in reversed(stages):
        t, h = stage.point_after(end, t0, tau)
        derivative, pull_derivative = jax.vjp(stage.evaluate, field, t, h, tau)
        start = stage.invert(end, derivative, tau, *extra)
        _, pull_move = jax.vjp(stage.move, start, derivative, tau, *extra)
        _, pull_point = jax.vjp(stage.point, start, t0, tau)

        a_moved, a_derivative, a_tau, *a_extra = pull_move(cotangent)
        a_field, a_t, a_h, a_tau_of_derivative = pull_derivative(a_derivative)
        a_looked, a_t0, a_tau_of_point = pull_point((a_t, a_h))
        cotangent = add_cotangents(a_moved, a_looked)
        these = (a_field, a_t0, a_tau + a_tau_of_derivative + a_tau_of_point, *a_extra)
        totals = these if totals is None else add_cotangents(totals, these)
        end = start
    a_field, a_t0, *others = totals
    return end, (a_field, cotangent, a_t0, *others)
