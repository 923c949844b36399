"""The contract of an integrator, and the scan over layers that all one-step methods share."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from odenet.arrays import Array, Float, Inexact, Int, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.equation import FIRST_ORDER, Equation
from odenet.integrators.failure import Failure
from odenet.integrators.remat import Remat, scan_depth
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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Advance:
    """State at the end of one interval, and what it cost."""

    h1: State
    stats: SolverStats


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Integration:
    """Result of an integration over a whole grid.

    Attributes:
        h1: State at the horizon, shape `(batch, *state)`; where a solve has failed, what follows
            from the state that it had reached.
        path: States at all points of the grid, shape `(num_steps + 1, batch, *state)`, or None if
            it was not asked for; not a number at the points that a failed solve did not reach, and
            after them.
        stats: Totals over all intervals.
        statistics: Running batch statistics after it, with a leading axis `num_layers`, or None
            where the fields were not asked to observe any.
        integrals: What was integrated along with the state, shape `(batch, num_integrands)`, or
            None where nothing was.
    """

    h1: State
    path: Inexact[Array, "points batch *state"] | None
    stats: SolverStats
    statistics: Any = None
    integrals: Float[Array, "batch integrands"] | None = None


class Integrator(abc.ABC):
    """`integrate(fields, grid, h0) -> Integration`. Integrators are immutable and hashable.

    Attributes:
        carries_statistics: Whether fields may observe batch statistics while it runs.
        carries_integrals: Whether integrals may be carried along with the state.
        moves_halves: Whether it moves two halves of the state in turn, which the field must have.
        may_fail: Whether a solve may end before its interval does.
        break_points: Depth-times at which a step ends and the next starts anew.
    """

    carries_statistics: ClassVar[bool] = False
    carries_integrals: ClassVar[bool] = False
    moves_halves: ClassVar[bool] = False
    may_fail: ClassVar[bool] = False
    break_points: ClassVar[tuple[float, ...]] = ()

    @property
    def counts_backward(self) -> bool:
        """Whether a gradient is another solve, whose evaluations are counted."""
        return False

    @property
    def reconstructs(self) -> bool:
        """Whether its backward pass computes the states from the last (see `reconstruction`)."""
        return False

    @property
    def forward_mode_instead(self) -> str | None:
        """What has forward-mode derivatives where this has none, as messages name it, or None."""
        return None

    @property
    def forward_mode_refusal(self) -> str | None:
        """What a forward-mode derivative says where there is none, or None."""
        if self.forward_mode_instead is None:
            return None
        return (
            f"this integrator has a gradient of its own, and no forward mode (jax.jvp, jax.jacfwd, "
            f"jax.linearize); use {self.forward_mode_instead}, which has one, or reverse mode "
            f"(jax.grad, jax.jacrev)"
        )

    @property
    def equation(self) -> Equation:
        """What is solved."""
        return FIRST_ORDER

    def leaving_out(self, count: int) -> "Integrator":
        """The same for states that are vectors, whose last `count` components choose no step."""
        del count
        return self

    def integrate(
        self, fields: LayerFields, grid: DepthGrid, h0: Any, *, save_path: bool = False
    ) -> Integration:
        """Carry `h0` over the whole grid.

        Times and step sizes are float32, or float64 beside a state in double precision. A state in
        half precision is carried in float32 between evaluations of its field, and comes back in
        its own type.

        Args:
            fields: The vector fields of all layers.
            grid: Step sizes and layers; `grid.num_layers` must equal `fields.num_layers`.
            h0: State at depth-time 0, shape `(batch, *state)`, a JAX or NumPy array of
                floating-point or complex numbers.
            save_path: Whether to return the states at all points of the grid too.

        Raises:
            StateTypeError: if the state is made of integers, or a field gives a derivative of
                another shape, or of a type that the state cannot hold.
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
        found = dataclasses.replace(found, stats=found.stats.arriving_at(grid.horizon))
        if start.dtype == h0.dtype:
            return found
        path = None if found.path is None else found.path.astype(h0.dtype)
        return dataclasses.replace(found, h1=found.h1.astype(h0.dtype), path=path)

    def for_states_of(self, dtype: Any) -> "Integrator":
        """The same for states that the user gave in a type, whatever they are carried in."""
        del dtype
        return self

    def backwards_alone(
        self, fields: LayerFields, grid: DepthGrid, h0: State
    ) -> tuple[LayerFields, DepthGrid, State]:
        """The same, through which no forward-mode derivative passes where the method has none."""
        refusal = self.forward_mode_refusal
        if refusal is None:
            return fields, grid, h0
        known = (fields.params, fields.given, grid.taus, h0)
        params, given, taus, h0 = without_forward_mode(known, refusal)
        fields = dataclasses.replace(fields, params=params, given=given)
        return fields, DepthGrid(taus, grid.num_layers), h0

    def check_state(self, h0: State) -> None:
        """Refuse a first state, of the type that the user gave, that the method cannot carry.

        Raises:
            OdenetError: saying why.
        """
        del h0

    @abc.abstractmethod
    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """What `integrate` does once the types of state, times and fields are checked.

        Args:
            fields: The vector fields of all layers, whose derivatives have the type of `h0`.
            grid: Steps of the type that `state_types.time_type` gives for `h0`.
            h0: State at depth-time 0, shape `(batch, *state)`, in float32 or a wider type.
            save_path: Whether to return the states at all points of the grid too.
        """


class OneStepIntegrator(Integrator):
    """An integrator that needs nothing but the present state: `advance` over one interval.

    The scan over layers is written here once, so that an explicit Euler step *is* a residual
    layer, and a diffrax solve of the same interval *is* its continuous counterpart.
    """

    remat: Remat = "none"

    @abc.abstractmethod
    def advance(self, field: Field, t0: Time, tau: Time, h0: State) -> Advance:
        """Advance `h0` from depth-time `t0` to `t0 + tau`.

        The interval is given by its length, not by its end: `tau` is a parameter, and times are
        sums of it that carry rounding.

        Args:
            field: `field(t, h) -> dh/dt`, a pytree whose leaves are its parameters.
            t0: Start of the interval, scalar.
            tau: Length of the interval, scalar of any sign.
            h0: State at `t0`, shape `(batch, *state)`.
        """

    def intervals(self, grid: DepthGrid) -> DepthGrid:
        """The intervals that `advance` is called on: the steps of the grid."""
        return grid

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Scan `advance` over the layers, and over the steps inside each layer."""
        grid = self.intervals(grid)
        assert not fields.observes or self.carries_statistics

        def step(field, h, t0, tau):
            field, observed = _recorded(field) if fields.observes else (field, None)
            out = self.advance(field, t0, tau, h)
            statistics = _mean(observed) if observed else None
            return out.h1, (out.stats, out.h1 if save_path else None, statistics)

        h1, (stats, states, each) = scan_depth(step, h0, fields, grid, self.remat)
        if save_path and self.may_fail:
            states = without_unreached(states, stats.failure)
        path = path_through(h0, states) if save_path else None
        statistics = fields.collect(each) if fields.observes else None
        return Integration(h1, path, stats.total(), statistics)


def _recorded(field: Callable[[Time, State], tuple[State, Any]]) -> tuple[Field, list[Any]]:
    """The field without its statistics, and the list that they go to as it is evaluated."""
    observed: list[Any] = []

    def evaluate(t: Time, h: State) -> State:
        slope, statistics = field(t, h)
        observed.append(statistics)
        return slope

    return evaluate, observed


def _mean(observed: list[Any]) -> Any:
    """The mean of the statistics of all stages of a step."""
    return jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]) / len(leaves), *observed)


def without_unreached(
    states: Inexact[Array, "layers steps batch *state"], failure: Int[Array, "layers *steps"]
) -> Inexact[Array, "layers steps batch *state"]:
    """The states at the ends of all steps, but not a number at and after one that was not reached.

    Args:
        states: As integrated, every layer from what the one before had reached.
        failure: Of every step, or of every layer, whose last state is then the first to be missing.
    """
    broken = ((failure > 0) & (failure != int(Failure.OUTSIDE))).reshape(len(failure), -1)
    count, each = len(failure), states.shape[1]
    missing = jnp.zeros((count, each), bool).at[:, each - broken.shape[1] :].set(broken)
    missing = jax.lax.cummax(missing.reshape(-1).astype(jnp.int32)) > 0
    missing = missing.reshape(count, each, *(1,) * (states.ndim - 2))
    return jnp.where(missing, jnp.nan, states)


def path_through(
    h0: State, states: Inexact[Array, "layers steps batch *state"]
) -> Inexact[Array, "points batch *state"]:
    """The path from `h0` through the states at the ends of all steps."""
    return jnp.concatenate([h0[None], states.reshape(-1, *h0.shape)])
