"""Scaling of the time of a gradient step with steps, batch, width and tolerance."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.clock import seconds_per_call
from benchmarks.declaration import Settings, Survey, Table
from benchmarks.spread import exponent
from odenet.models import DepthBlockConfig

BENCHMARK = Survey(
    name="nfe_scaling",
    about="time of a gradient step by number of steps, batch, width and tolerance; first steps",
    module="benchmarks.cases.nfe_scaling",
    settings={
        "steps": [16, 32, 64, 128, 256],
        "batch": [64, 256, 1024, 4096],
        "width": [32, 64, 128, 256],
        "tolerance": [1e-2, 1e-3, 1e-4, 1e-5],
        "start": {"steps": 32, "batch": 256, "width": 64},
        "repeats": 7,
        "first_step": ["auto", 0.01, 0.1, 1.0],
        "weights": [1, 3, 10],
    },
    quick_settings={
        "steps": [2, 4],
        "batch": [4, 8],
        "width": [4, 8],
        "tolerance": [1e-2, 1e-3],
        "start": {"steps": 4, "batch": 8, "width": 8},
        "repeats": 1,
        "first_step": ["auto", 1.0],
        "weights": [1],
    },
)


def survey(settings: Settings) -> list[Table]:
    """One table of measurements and one of the exponents fitted to them."""
    rows, exponents = [], []
    for name in ("steps", "batch", "width", "tolerance"):
        values = settings[name]
        found = []
        for value in values:
            work = settings["start"] | {name: value}
            seconds, nfe = gradient_step(**work, repeats=settings["repeats"])
            rows.append([name, value, nfe, seconds])
            found.append((nfe, seconds))
        times = [seconds for _, seconds in found]
        exponents.append([name, exponent(values, times), min(values), max(values)])
    return [
        Table(
            "exponents",
            ["of", "exponent", "from", "to"],
            exponents,
            "The time is proportional to the quantity to the power of the exponent, by linear "
            "regression of the logarithms.",
        ),
        Table(
            "measurements",
            ["varied", "value", "nfe", "step (s)"],
            rows,
            f"RK4 with fixed steps, dopri5 for several tolerances; other settings: "
            f"{settings['start']}.",
        ),
        _first_steps(settings),
    ]


def _first_steps(settings: Settings) -> Table:
    """Field evaluations by the first step size of an adaptive solver."""
    tolerance, names = min(settings["tolerance"]), settings["first_step"]
    batch, width = settings["start"]["batch"], settings["start"]["width"]
    columns = []
    for name in names:
        options = {"rtol": tolerance, "atol": tolerance, "first_step": name, "max_steps": 4096}
        graphdef, params = _block(1, width, {"kind": "dopri5"} | options)
        h0 = jax.random.normal(jax.random.key(1), (batch, width))
        solve = jax.jit(lambda params, h0, made=graphdef: nnx.merge(made, params)(h0).stats)
        column = []
        for factor in settings["weights"]:
            stats = solve(jax.tree.map(lambda leaf, by=factor: by * leaf, params), h0)
            assert stats.success, "the solve did not reach t1"
            column.append(int(stats.nfe))
        columns.append(column)
    return Table(
        "field evaluations by first step",
        ["weights times", *map(str, names)],
        [list(row) for row in zip(settings["weights"], *columns, strict=True)],
        f"dopri5 at rtol = atol = {tolerance:g}, first steps as fractions of the interval; larger "
        "weights make a faster field. An automatic first step costs one evaluation.",
    )


@functools.cache  # the start settings are measured for every varied quantity
def gradient_step(
    steps: int, batch: int, width: int, repeats: int, tolerance: float | None = None
) -> tuple[float, int]:
    """Median seconds of a gradient step, and the field evaluations of its forward pass."""
    integrator = {"kind": "rk4"}
    if tolerance is not None:
        integrator = {"kind": "dopri5", "rtol": tolerance, "atol": tolerance}
    graphdef, params = _block(steps, width, integrator)
    h0 = jax.random.normal(jax.random.key(1), (batch, width))

    def loss(params):
        solve = nnx.merge(graphdef, params)(h0)
        return jnp.mean(jnp.square(solve.h1)), solve.stats

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, stats), _ = step(params)
    return seconds_per_call(lambda: step(params), repeats), int(stats.nfe)


def _block(steps: int, width: int, integrator: dict[str, Any]) -> Any:
    """A field on shared weights, integrated to 8: its definition and its parameters."""
    block = DepthBlockConfig(
        num_steps=steps,
        field={"kind": "mlp", "form": "between", "hidden": [width]},
        weights={"kind": "shared"},
        step_sizes={"kind": "fixed", "horizon": 8.0},
        integrator=integrator,
    ).build((width,), rngs=nnx.Rngs(0))
    return nnx.split(block)
