"""How the time of a gradient step grows with steps, batch, width and tolerance."""

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.clock import seconds_per_call
from benchmarks.declaration import Settings, Survey, Table
from benchmarks.spread import exponent
from odenet.models import DepthBlockConfig

BENCHMARK = Survey(
    name="nfe_scaling",
    about="time of a gradient step by number of steps, batch, width and tolerance",
    module="benchmarks.cases.nfe_scaling",
    settings={
        "steps": [16, 32, 64, 128, 256],
        "batch": [64, 256, 1024, 4096],
        "width": [32, 64, 128, 256],
        "tolerance": [1e-2, 1e-3, 1e-4, 1e-5],
        "start": {"steps": 32, "batch": 256, "width": 64},
        "repeats": 7,
    },
    quick_settings={
        "steps": [2, 4],
        "batch": [4, 8],
        "width": [4, 8],
        "tolerance": [1e-2, 1e-3],
        "start": {"steps": 4, "batch": 8, "width": 8},
        "repeats": 1,
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
            "Slopes of straight lines through the logarithms: time grows like the quantity to the "
            "power of its exponent.",
        ),
        Table(
            "measurements",
            ["varied", "value", "nfe", "step (s)"],
            rows,
            f"RK4 with fixed steps, dopri5 where the tolerance varies; all else as in "
            f"{settings['start']}.",
        ),
    ]


def gradient_step(
    steps: int, batch: int, width: int, repeats: int, tolerance: float | None = None
) -> tuple[float, int]:
    """Median seconds of a gradient step, and the field evaluations of its way forward."""
    integrator = {"kind": "rk4"}
    if tolerance is not None:
        integrator = {"kind": "dopri5", "rtol": tolerance, "atol": tolerance}
    block = DepthBlockConfig(
        num_steps=steps,
        field={"kind": "mlp", "form": "between", "hidden": [width]},
        weights={"kind": "shared"},
        step_sizes={"kind": "fixed", "horizon": 8.0},
        integrator=integrator,
    ).build((width,), rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(block)
    h0 = jax.random.normal(jax.random.key(1), (batch, width))

    def loss(params):
        solve = nnx.merge(graphdef, params)(h0)
        return jnp.mean(jnp.square(solve.h1)), solve.stats

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (_, stats), _ = step(params)
    return seconds_per_call(lambda: step(params), repeats), int(stats.nfe)
