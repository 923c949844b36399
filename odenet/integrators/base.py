"""The contract of an integrator: its capabilities, and the integration of a whole grid."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax

from odenet.arrays import Array, Float, Inexact, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.amplification import Amplification, StepMapAmplification
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.integrators.solver_stats import SolverStats as SolverStats
from odenet.integrators.state_types import (
    carried_type,
    checked_fields,
    checked_state,
    grid_for,
    refuse_other_layers,
)
from odenet.ops.derivative_modes import without_forward_mode

Field = Callable[[Time, State], State]
StepMap = Callable[[Field, Time, Time, State], State]
"""`step(field, t0, tau, h0) -> h1`: from depth-time `t0` to `t0 + tau`."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Advance:
    """State at the end of one interval, and the cost of reaching it."""

    h1: State
    stats: SolverStats


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Integration:
    """Result of an integration over a whole grid.

    Attributes:
        h1: State at the horizon, shape `(batch, *state)`; after a failed solve, the continuation
            from the last state of that solve.
        path: States at all points of the grid, shape `(num_steps + 1, batch, *state)`, or None if
            it was not requested; NaN at the points that a failed solve did not reach, and after
            them.
        stats: Totals over all intervals.
        statistics: Running batch statistics after the integration, with a leading axis
            `num_layers`, or None if the fields use none.
        integrals: Path integrals, shape `(batch, num_integrands)`, or None if there are none.
    """

    h1: State
    path: Inexact[Array, "points batch *state"] | None
    stats: SolverStats
    statistics: Any = None
    integrals: Float[Array, "batch integrands"] | None = None


class Integrator(abc.ABC):
    """`integrate(fields, grid, h0) -> Integration`. Integrators are immutable and hashable.

    The capabilities of an integrator are declared here, with a default, and nowhere else: its
    config reads the same members (see `IntegratorConfig`), and all other code asks for them.

    Attributes:
        chooses_steps: Whether it takes steps of its own in place of those of the grid.
        needs_positive_steps: Whether step sizes must stay above 0.
        zero_step_is_identity: Whether a step of size 0 changes nothing.
        evaluates_at_start: Whether a step is `h + tau f(t0, h)`, one evaluation at its start.
        carries_statistics: Whether fields may use batch statistics.
        carries_integrals: Whether path integrals may be integrated with the state.
        is_partitioned: Whether it is a partitioned method, for a partitioned field with a state
            `[q; p]`.
        may_fail: Whether a solve may end before t1.
        break_points: Depth-times at which a step ends and the method restarts.
    """

    chooses_steps: ClassVar[bool] = False
    needs_positive_steps: ClassVar[bool] = False
    zero_step_is_identity: ClassVar[bool] = False
    evaluates_at_start: ClassVar[bool] = False
    carries_statistics: ClassVar[bool] = False
    carries_integrals: ClassVar[bool] = False
    is_partitioned: ClassVar[bool] = False
    may_fail: ClassVar[bool] = False
    break_points: ClassVar[tuple[float, ...]] = ()

    @property
    def name(self) -> str:
        """Name in tables and messages: its kind in experiment files, if it has one."""
        return type(self).__name__

    @property
    def choice(self) -> str:
        """The options of this integrator in an experiment file, as written in messages."""
        return f"kind={self.name}"

    @property
    def equation(self) -> Equation:
        """The equation that it solves."""
        return FIRST_ORDER

    @property
    def counts_backward(self) -> bool:
        """Whether its gradient is another solve, whose evaluations are counted."""
        return False

    @property
    def reconstructs(self) -> bool:
        """Whether its backward pass computes the states from the last (see `reconstruction`)."""
        return False

    @property
    def forward_mode_instead(self) -> str | None:
        """Options with forward-mode derivatives if this one has none, for messages; or None."""
        return None

    @property
    def forward_mode_refusal(self) -> str | None:
        """The error message of a forward-mode derivative if there is none, or None."""
        if self.forward_mode_instead is None:
            return None
        return (
            f"this integrator has a gradient of its own, and no forward mode (jax.jvp, jax.jacfwd, "
            f"jax.linearize); use {self.forward_mode_instead}, which has one, or reverse mode "
            f"(jax.grad, jax.jacrev)"
        )

    def with_forward_mode(self) -> "Integrator | None":
        """An integrator of the same numbers that has forward-mode derivatives, or None."""
        return self if self.forward_mode_refusal is None else None

    def step_map(self) -> StepMap | None:
        """One step as a map of the state alone, or None if it depends on other variables.

        Its derivative is that of the step as it is taken. Reverse mode is always available; forward
        mode if the steps are those of the grid.
        """
        return None

    def amplification(self, grid: DepthGrid) -> Amplification | str:
        """The effect of a step on the linear test equation, or a sentence why it has none.

        By default, the step map, a map of the state alone, is applied to the equation.

        Args:
            grid: The steps.
        """
        if self.chooses_steps:
            return "steps are chosen by their error, which keeps them stable"
        step = self.step_map()
        if step is None:
            return "a step depends on more than the state, and so is no matrix on it"
        return StepMapAmplification(self)

    def without_quadrature(self, count: int) -> "Integrator":
        """This integrator for vector states; the last `count` components do not affect steps."""
        del count
        return self

    def integrate(
        self, fields: LayerFields, grid: DepthGrid, h0: Any, *, save_path: bool = False
    ) -> Integration:
        """Integrate `h0` over the whole grid.

        Times and step sizes are float32, or float64 with a state in double precision. A state in
        half precision is carried in float32 between evaluations of its field, and returned in its
        own type.

        Args:
            fields: The vector fields of all layers.
            grid: Step sizes and layers; `grid.num_layers` must equal `fields.num_layers`.
            h0: State at depth-time 0, shape `(batch, *state)`, a JAX or NumPy array of
                floating-point or complex numbers.
            save_path: Whether to return the states at all points of the grid too.

        Raises:
            StateTypeError: if the state has integer numbers, or a field returns a derivative of
                another shape, or of a type that the state cannot represent.
            ConfigError: if fields and grid have different numbers of layers.
        """
        h0 = checked_state(h0)
        refuse_other_layers(fields, grid)
        self.check_state(h0)
        start = h0.astype(carried_type(h0.dtype))
        fields, grid = checked_fields(fields, h0.dtype), grid_for(grid, h0.dtype)
        method = self.for_states_of(h0.dtype)
        fields, grid, start = method.backwards_alone(fields, grid, start)
        found = method.over_grid(fields, grid, start, save_path=save_path)
        found = dataclasses.replace(found, stats=found.stats.reaching(grid.horizon))
        if start.dtype == h0.dtype:
            return found
        path = None if found.path is None else found.path.astype(h0.dtype)
        return dataclasses.replace(found, h1=found.h1.astype(h0.dtype), path=path)

    def for_states_of(self, dtype: Any) -> "Integrator":
        """This integrator for states that the user passed in type `dtype`."""
        del dtype
        return self

    def backwards_alone(
        self, fields: LayerFields, grid: DepthGrid, h0: State
    ) -> tuple[LayerFields, DepthGrid, State]:
        """Fields, grid and state, refusing forward-mode derivatives if the method has none."""
        refusal = self.forward_mode_refusal
        if refusal is None:
            return fields, grid, h0
        known = (fields.params, fields.initial_state, grid.taus, h0)
        params, initial_state, taus, h0 = without_forward_mode(known, refusal)
        fields = dataclasses.replace(fields, params=params, initial_state=initial_state)
        return fields, DepthGrid(taus, grid.num_layers), h0

    def check_state(self, h0: State) -> None:
        """Refuse an initial state, in the user's type, that the method cannot integrate.

        Raises:
            OdenetError: with the reason.
        """
        del h0

    @abc.abstractmethod
    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Integrate after `integrate` has checked the types of state, times and fields.

        Args:
            fields: The vector fields of all layers, whose derivatives have the type of `h0`.
            grid: Steps of the type that `state_types.time_type` gives for `h0`.
            h0: State at depth-time 0, shape `(batch, *state)`, in float32 or a wider type.
            save_path: Whether to return the states at all points of the grid too.
        """
