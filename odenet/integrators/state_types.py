"""Types of states and times: accepted types, and the precision of an integration.

`Integrator.integrate` applies this to every integration. States are floating-point or complex
numbers. Times and step sizes are real, and never of lower precision than float32. A state in half
precision is carried in float32 from step to step: its field is evaluated in half precision, but
increments smaller than half a unit in the last place of the state are not lost.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from odenet.arrays import State, StepSizes, Time, common_type
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError, StateTypeError

HALF = 2
"""Bytes of a number in half precision, bfloat16 or float16."""


def checked_state(h0: Any) -> State:
    """The initial state as a JAX array.

    Args:
        h0: A JAX or NumPy array of floating-point or complex numbers.

    Raises:
        StateTypeError: if its numbers are integers or booleans, which no step can change.
    """
    given = jnp.asarray(h0)
    if not jnp.issubdtype(given.dtype, jnp.inexact):
        raise StateTypeError(
            f"a state is made of floating-point numbers: in {given.dtype} every step would be "
            f"rounded to an integer; got h0 of type {given.dtype}; use h0.astype(jnp.float32)"
        )
    return jax.lax.convert_element_type(given, given.dtype)  # a weak type would change at a step


def time_type(state: Any) -> Any:
    """The type of times and step sizes for a state of type `state`: real, float32 or wider."""
    return common_type(jnp.finfo(state).dtype, jnp.float32)


def carried_type(state: Any) -> Any:
    """The type in which a state of type `state` is carried from step to step: float32 or wider."""
    half = jnp.dtype(state).itemsize <= HALF
    return jnp.dtype(jnp.float32) if half else jnp.dtype(state)


def grid_for(grid: DepthGrid, state: Any) -> DepthGrid:
    """The grid with step sizes of the type that belongs to a state of type `state`."""
    taus: StepSizes = grid.precise_taus
    return DepthGrid(taus.astype(time_type(state)), grid.num_layers)


def checked_fields(fields: LayerFields, state: Any) -> LayerFields:
    """The fields with derivatives that are checked and converted to the carried type.

    Args:
        fields: The fields of all layers.
        state: Type of the user's state. The fields are evaluated at states of this type, and
            return derivatives of the carried type.
    """
    carried, apply, prepare = carried_type(state), fields.apply, fields.prepare

    def checked(params: Any, *at: Any) -> Any:
        *initial_state, t, h = at
        h = h.astype(state)
        found = apply(params, *initial_state, t, h)
        derivative, *statistics = found if fields.uses_batch_statistics else (found,)
        derivative = jnp.asarray(derivative)
        if not fits(jax.typeof(derivative), state) and not _widened_by_time(
            fields, params, initial_state, t, h
        ):
            raise StateTypeError(_other_type(derivative.dtype, state))
        if derivative.shape != h.shape:
            raise StateTypeError(
                f"a field returns dh/dt in the shape of the state; got {derivative.shape} for a "
                f"state of shape {h.shape}; use jnp.broadcast_to(derivative, h.shape) if that is "
                f"meant"
            )
        derivative = derivative.astype(carried)
        return (derivative, *statistics) if fields.uses_batch_statistics else derivative

    def prepared(params: Any, h: State) -> Any:
        assert prepare is not None
        return prepare(params, h.astype(state))

    return dataclasses.replace(fields, apply=checked, prepare=None if prepare is None else prepared)


def fits(derivative: Any, state: Any) -> bool:
    """Whether a derivative can be added to a state of type `state` without changing its type."""
    return derivative.weak_type or common_type(derivative.dtype, state) == state


def _widened_by_time(
    fields: LayerFields, params: Any, initial_state: list[Any], t: Time, h: State
) -> bool:
    """Whether only the time's precision makes a derivative wider than the state.

    With a state in half precision, `t` is float32, and so is `t * h`.
    """
    if jnp.dtype(h.dtype).itemsize > HALF:
        return False

    def derivative(params, initial_state, t, h):
        found = fields.apply(params, *initial_state, t, h)
        return found[0] if fields.uses_batch_statistics else found

    narrow = jax.ShapeDtypeStruct(t.shape, h.dtype)
    return fits(jax.eval_shape(derivative, params, initial_state, narrow, h), h.dtype)


def _other_type(derivative: Any, state: Any) -> str:
    return (
        f"a field returns dh/dt in the type of the state; got {derivative} for a state of type "
        f"{state}, which cannot represent it: some weights, or constants of the field, are wider "
        f"than the state; use h0.astype(jnp.{derivative}), or cast them to {state}"
    )


def refuse_other_layers(fields: LayerFields, grid: DepthGrid) -> None:
    """Refuse fields and a grid of different numbers of layers.

    Raises:
        ConfigError: if they differ.
    """
    if fields.num_layers != grid.num_layers:
        raise ConfigError(
            f"fields and grid must have as many layers; got {fields.num_layers} fields and "
            f"num_layers={grid.num_layers} of the grid; use DepthGrid(taus, {fields.num_layers})"
        )
