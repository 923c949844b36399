"""An interval and its field in the form that diffrax solves: over [0, 1], in real numbers."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from odenet.arrays import Array, Count, Float, Scalar, State, Time
from odenet.integrators.base import Field
from odenet.integrators.failure import Failure
from odenet.integrators.pieces import Pieces

PRECISION: Any = diffrax.RESULTS.stagnation
"""The result code of a solve whose tolerances are below the resolution of the precision."""


@dataclasses.dataclass(frozen=True)
class Moduli:
    """A norm of the moduli of complex numbers given as pairs of real ones along axis 1.

    Args:
        norm: A norm of real states.
    """

    norm: Callable[[Any], Scalar]

    def __call__(self, h: Any) -> Scalar:
        """The norm of an array of moduli or of pairs."""
        return self.norm(jnp.hypot(h[:, 0], h[:, 1]))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Problem:
    """A field over an interval, normalised to `s` in [0, 1].

    Attributes:
        derivative: `derivative(s, h, args) -> dh/ds`.
        args: Leaves of all differentiable variables: the field, its captured variables, and the
            pieces; adjoint equations differentiate with respect to nothing else.
        y0: The initial state; a complex one has its real and imaginary parts along axis 1.
        pieces: The interval with its sub-intervals.
        is_complex: Whether states are such pairs.
    """

    derivative: Callable[[Time, State, Any], State] = dataclasses.field(metadata={"static": True})
    args: tuple[list[Any], ...]
    y0: State
    pieces: Pieces
    is_complex: bool = dataclasses.field(metadata={"static": True})

    def states(self, path: Any) -> Any:
        """States of the solve, along axis 0, as states of the field."""
        return jax.lax.complex(path[:, :, 0], path[:, :, 1]) if self.is_complex else path

    def norm(self, norm: Callable[[Any], Scalar]) -> Callable[[Any], Scalar]:
        """A norm of states of the field, as one of states of the solve."""
        return Moduli(norm) if self.is_complex else norm


def normalised_problem(field: Field, pieces: Pieces, h0: State) -> Problem:
    """The problem of a field on an interval."""
    is_complex = jnp.iscomplexobj(h0)
    # Variables of an outer differentiation captured by the field are among the arguments.
    given = (field, pieces.t0, h0)
    apply, captured = jax.closure_convert(lambda field, t, h: field(t, h), *given)

    # An empty tuple among the arguments breaks the adjoint equation: lists of leaves do not.
    parts = [jax.tree.flatten(part) for part in (field, captured, pieces)]

    def derivative(s, h, args):
        known = zip(parts, args, strict=False)
        field, captured, pieces = (jax.tree.unflatten(form, leaves) for (_, form), leaves in known)
        t, rate = pieces.at(pieces.index(s), s)
        h = jax.lax.complex(h[:, 0], h[:, 1]) if is_complex else h
        return as_reals(rate.astype(h.dtype) * apply(field, t, h, *captured))

    args = tuple(leaves for leaves, _ in parts)
    return Problem(derivative, args, as_reals(h0), pieces, is_complex)


def as_reals(h: State) -> Any:
    """A real state unchanged; the real and imaginary parts of a complex one along axis 1."""
    return jnp.stack([h.real, h.imag], axis=1) if jnp.iscomplexobj(h) else h


@contextlib.contextmanager
def quiet_about_complex_weights() -> Iterator[None]:
    """Silence diffrax's warning about complex numbers: only weights are, states are pairs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Complex dtype support in Diffrax")
        yield


def states_reached(
    ts: Float[Array, " saved"], ys: Any, parts: Float[Array, " inner"] | None
) -> tuple[Scalar, State, Any]:
    """The time that a solve reached, the state there, and the states at the parts before it.

    diffrax saves these one after the other as it passes them, and the last state after them.

    Args:
        ts: Times of the saved states; infinite where none was saved.
        ys: The saved states.
        parts: The times of the requested states, or None.
    """
    last = jnp.sum(jnp.isfinite(ts), dtype=jnp.int32) - 1
    s, end = jnp.abs(ts[last]), ys[last]
    if parts is None:
        return s, end, None
    behind = (jnp.arange(len(parts), dtype=jnp.int32) < last) & (parts <= s)
    column = behind.reshape(-1, *(1,) * end.ndim)
    return s, end, jnp.where(column, ys[:-1], jnp.nan)


def moved_along(states: Any, derivative: Callable, parts: Any) -> Any:
    """States at parts of an interval, differentiable with respect to the times of these parts."""
    fixed = jax.lax.stop_gradient((states, parts))
    moved = (parts - fixed[1]).reshape(-1, *(1,) * (states.ndim - 1))
    speeds = jax.lax.stop_gradient(jax.vmap(derivative)(fixed[1], fixed[0]))
    return states + moved.astype(states.dtype) * speeds


def failure_of(result: diffrax.RESULTS) -> Count:
    """The reason why a solve did not reach t1; by default, an equation that was not solved."""
    results = diffrax.RESULTS
    known = {
        Failure.NONE: results.successful,
        Failure.MAX_STEPS: results.max_steps_reached,
        Failure.STEP_TOO_SMALL: results.dt_min_reached,
        Failure.NOT_FINITE: results.nonfinite,
        Failure.PRECISION: PRECISION,
    }
    code = jnp.asarray(int(Failure.EQUATION), jnp.int32)
    for failure, value in known.items():
        code = jnp.where(result == value, int(failure), code)
    return code
