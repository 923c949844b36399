"""Paths of states through depth, their vector field, and their crossings."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odenet.analysis.crossings import NEARNESS, Crossings, Orientation, crossings, orientation
from odenet.analysis.field_path import FieldPath, field_paths
from odenet.arrays import Array, Float
from odenet.errors import ConfigError
from odenet.models import Network

_MOST_POINTS, _MOST_DEPTHS, _ARROWS = 129, 24, 15


@dataclasses.dataclass(frozen=True)
class FieldSample:
    """The field at one depth, on points of a line or a plane.

    Attributes:
        step: The step whose weights the field has, from 0.
        t: Start of that step.
        places: The points, shape `(arrows, size)`.
        derivatives: dh/dt at these points, same shape.
    """

    step: int
    t: float
    places: np.ndarray
    derivatives: np.ndarray


@dataclasses.dataclass(frozen=True)
class Trajectories:
    """Paths through one block.

    Attributes:
        size: Size of a state.
        times: Times of all points, shape `(points,)`; layer indices if there are no steps.
        points: Indices of the points that are kept, both ends included.
        plane: The states at these points, shape `(kept, batch, 1 or 2)`: themselves, or their two
            principal components.
        explained: Fractions of the variance of all states of all paths explained by these two;
            None for states of one or two numbers.
        fields: The field at several depths; empty for larger states, whose paths leave the plane,
            and if no field is integrated.
        crossings: Crossings of the paths in all their dimensions.
        orientation: Orientation in all dimensions, or None for a large state.
    """

    size: int
    times: np.ndarray
    points: np.ndarray
    plane: np.ndarray
    explained: tuple[float, float] | None
    fields: tuple[FieldSample, ...]
    crossings: Crossings
    orientation: Orientation | None


def trajectories(
    network: Network, inputs: Float[Array, "batch *inputs"]
) -> tuple[Trajectories, ...]:
    """Compute the paths of examples through every block of a network.

    Args:
        network: Blocks of any kind.
        inputs: Normalised inputs, two or more.

    Raises:
        ConfigError: if a state is not finite.
    """
    return tuple(block_trajectories(path) for path in field_paths(network, inputs))


def block_trajectories(field_path: FieldPath) -> Trajectories:
    """The paths through one block; see `trajectories`."""
    path = np.asarray(field_path.path)
    if not np.isfinite(path).all():
        raise ConfigError(
            "paths are drawn where all states are finite; analyse an earlier checkpoint, or use "
            "shorter steps (odenet refine)"
        )
    points, size = len(path), math.prod(path.shape[2:])
    states = path.reshape(*path.shape[:2], size)
    grid = field_path.grid
    times = np.arange(points) if grid is None else np.asarray(grid.times)
    kept = evenly(points, _MOST_POINTS)
    plane, explained = (states, None) if size <= 2 else principal_plane(states)
    return Trajectories(
        size,
        np.asarray(times, np.float64),
        kept,
        plane[kept],
        explained,
        _fields(field_path, states) if size <= 2 else (),
        crossings(path),
        orientation(field_path),
    )


def principal_plane(states: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The two principal components of all states, and their fractions of the variance.

    Args:
        states: Shape `(points, batch, size)`, of a size above 2.

    Returns:
        Components, shape `(points, batch, 2)`, each with its largest entry of the direction
        positive; and two fractions in [0, 1], zeros if all states are equal.
    """
    rows = states.reshape(-1, states.shape[-1]).astype(np.float64)
    rows = rows - rows.mean(axis=0)
    # The smaller of the two matrices has the same leading eigenvalues.
    if rows.shape[1] <= rows.shape[0]:
        values, vectors = np.linalg.eigh(rows.T @ rows)
        axes = vectors[:, :-3:-1]
    else:
        values, vectors = np.linalg.eigh(rows @ rows.T)
        lengths = np.sqrt(np.maximum(values[:-3:-1], np.finfo(np.float64).tiny))
        axes = rows.T @ (vectors[:, :-3:-1] / lengths)
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, [0, 1]] < 0, -1.0, 1.0)
    total = float(np.sum(rows**2))
    parts = [float(max(v, 0.0)) / total if total else 0.0 for v in values[:-3:-1]]
    return (rows @ axes).reshape(*states.shape[:2], 2), (parts[0], parts[1])


def evenly(number: int, most: int) -> np.ndarray:
    """At most `most` of the indices below `number`, both ends included."""
    return np.unique(np.linspace(0, number - 1, min(number, most)).round().astype(int))


def _fields(field_path: FieldPath, states: np.ndarray) -> tuple[FieldSample, ...]:
    """The field at several steps, on points that cover the paths."""
    if field_path.fields is None or field_path.grid is None:
        return ()
    size, grid, shape = states.shape[-1], field_path.grid, field_path.path.shape[2:]
    # A line shows all depths at once; a plane, the states at both ends of one step.
    steps = evenly(grid.num_steps, _MOST_DEPTHS if size == 1 else 3)
    covered = [states if size == 1 else states[step : step + 2] for step in steps]
    places = [_places(each) for each in covered]
    inputs = [jnp.asarray(each, field_path.path.dtype).reshape(-1, *shape) for each in places]
    fields, per_layer = field_path.fields.prepared(inputs[0]), grid.steps_per_layer

    @jax.jit
    def derivatives(step, h):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf)[step // per_layer], fields.params)
        return fields.apply(params, grid.times[step].astype(h.dtype), h)

    return tuple(
        FieldSample(
            int(step),
            float(grid.times[step]),
            place,
            np.asarray(derivatives(jnp.asarray(step), h)).reshape(place.shape),
        )
        for step, place, h in zip(steps, places, inputs, strict=True)
    )


def _places(states: np.ndarray) -> np.ndarray:
    """A lattice over the states, shape `(arrows, size)`."""
    low, high = states.min(axis=(0, 1)), states.max(axis=(0, 1))
    margin = 0.08 * np.maximum(high - low, 1e-3)
    sides = [np.linspace(a - m, b + m, _ARROWS) for a, b, m in zip(low, high, margin, strict=True)]
    return np.stack([side.ravel() for side in np.meshgrid(*sides)], axis=-1)


def plain(found: Trajectories) -> dict[str, Any]:
    """The result as numbers, lists and dicts."""
    crossed, turned = found.crossings, found.orientation
    return {
        "size": found.size,
        "times": _list(found.times),
        "points": found.points.tolist(),
        "plane": [[_list(state) for state in point] for point in found.plane],
        "explained": found.explained,
        "fields": [
            {
                "step": sample.step,
                "t": sample.t,
                "places": [_list(place) for place in sample.places],
                "slopes": [_list(derivative) for derivative in sample.derivatives],
            }
            for sample in found.fields
        ],
        "crossings": {
            "nearness": NEARNESS if found.size > 1 else 0.0,
            "in_step": crossed.in_step.tolist(),
            "pairs": crossed.pairs,
            "all_pairs": crossed.all_pairs,
        },
        "orientation": None
        if turned is None
        else {
            "in_step": turned.in_step.tolist(),
            "reversed_examples": turned.reversed_examples,
            "unresolved": turned.unresolved,
        },
    }


def _list(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in np.asarray(values).tolist()]
