"""Adjoints: gradient methods of a diffrax solve."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import diffrax
import jax
import jax.numpy as jnp
from pydantic import PositiveInt

from odenet.arrays import Scalar
from odenet.integrators.continuous.controllers import ControllerConfig
from odenet.integrators.continuous.derivatives import differentiated_no_more
from odenet.integrators.continuous.solvers import evaluations
from odenet.integrators.shared_control import batch_rms
from odenet.part import PartConfig


class AdjointConfig(PartConfig, abc.ABC, family="adjoint"):
    """Options of an adjoint; `build` makes it.

    Attributes:
        solves_backwards: Whether it solves the adjoint equation, from the end of the interval.
        has_second_derivatives: Whether its gradient can be differentiated again.
    """

    kind: str

    solves_backwards: ClassVar[bool] = False
    has_second_derivatives: ClassVar[bool] = False

    @property
    def chooses_norm(self) -> bool:
        """Whether it sets the norm by which backward steps are chosen."""
        return False

    @abc.abstractmethod
    def build(self, controller: ControllerConfig) -> diffrax.AbstractAdjoint:
        """Make the adjoint.

        Args:
            controller: The step-size controller of the solver.
        """


class CheckpointedAdjointConfig(AdjointConfig):
    """Exact gradients by recomputing from checkpoints (discretise-then-optimise)."""

    kind: Literal["checkpointed"] = "checkpointed"
    checkpoints: PositiveInt | None = None
    """Number of states kept; without it, diffrax's choice from `max_steps`."""

    def build(self, controller: ControllerConfig) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.RecursiveCheckpointAdjoint(self.checkpoints)


class DirectAdjointConfig(AdjointConfig):
    """Exact gradients by storing every step; allows forward mode; slow for large `max_steps`."""

    has_second_derivatives: ClassVar[bool] = True

    kind: Literal["direct"] = "direct"

    def build(self, controller: ControllerConfig) -> diffrax.AbstractAdjoint:
        """Make the adjoint."""
        del controller
        return diffrax.DirectAdjoint()


class _Backsolve(diffrax.BacksolveAdjoint):
    """diffrax's adjoint with NaN gradients if the backward solve fails, instead of wrong ones.

    It also returns the number of backward evaluations as the cotangent of a counter, if there is
    one (see `backward_count`).
    """

    def __init__(self, **options: Any):
        super().__init__(**options)

    @property
    def _diffeqsolve(self):
        solve = super()._diffeqsolve

        def checked(**options: Any) -> diffrax.Solution:
            options["y0"] = differentiated_no_more(options["y0"])
            options["args"] = differentiated_no_more(options["args"])
            solution = solve(**options)
            succeeded = solution.result == diffrax.RESULTS.successful
            ys: Any = jax.tree.map(lambda y: jnp.where(succeeded, y, jnp.nan), solution.ys)
            state, a_state, (*a_args, counted), a_terms = _split_counter(ys)
            if counted is not None:
                per_step, before = evaluations(options["solver"])
                count = solution.stats["num_steps"] * per_step + before
                a_args.append(counted + jnp.asarray(count, counted.dtype))
            return dataclasses.replace(solution, ys=(state, a_state, tuple(a_args), a_terms))

        return checked


def _split_counter(adjoint: Any) -> Any:
    """The backward state, with four arguments: the last is that of the counter, or None."""
    state, a_state, a_args, a_terms = adjoint
    return state, a_state, (*a_args, *[None] * (4 - len(a_args))), a_terms


def _whole_norm(adjoint: tuple[Any, Any, Any, Any]) -> Scalar:
    """The norm of state, its adjoint and the integrals of the gradient, without a counter."""
    state, a_state, (*a_args, _), a_terms = _split_counter(adjoint)
    return batch_rms((state, a_state, a_args, a_terms))


def _seminorm(adjoint: tuple[Any, Any, Any, Any]) -> Scalar:
    """The norm of state and its adjoint; the other two are quadrature components."""
    return batch_rms(adjoint[:2])


class BacksolveAdjointConfig(AdjointConfig):
    """Approximate gradients by a backward solve of the adjoint equation (optimise-then-discretise).

    Chen et al. 2018, eqs. 4 and 5. Memory does not grow with the number of steps; the gradient has
    the error of a second solve, and is NaN if that solve fails. If `pmap` splits the batch over
    devices, the adjoints of each device are those of its own mean loss, so that the backward steps,
    not the accuracy, depend on the number of devices.
    """

    solves_backwards: ClassVar[bool] = True

    kind: Literal["backsolve"] = "backsolve"
    seminorm: bool = False
    """Whether backward steps are chosen without the error of the gradient with respect to the
    weights: it is an integral without feedback, and steps are longer without it (Kidger et al.
    2021, arXiv:2009.09457)."""

    def build(self, controller: ControllerConfig) -> diffrax.AbstractAdjoint:
        """Make the adjoint, with the same step-size control in the backward pass."""
        if not controller.chooses_steps:
            return _Backsolve()
        return _Backsolve(stepsize_controller=controller.build(self.norm))

    @property
    def chooses_norm(self) -> bool:
        """Whether it sets the norm by which backward steps are chosen."""
        return self.seminorm

    @property
    def norm(self) -> Callable[[Any], Scalar]:
        """The norm of the scaled backward error: of the whole tree, or of its first two parts."""
        return _seminorm if self.seminorm else _whole_norm
