"""Time and memory of a gradient through an adaptive solve, by adjoint and number of checkpoints."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.clock import seconds_per_call
from benchmarks.declaration import Settings, Survey, Table
from odenet.models import DepthBlockConfig
from odenet.training.parallel import peak_bytes

VARIANTS = (
    ("checkpointed, by default", 256, {"kind": "checkpointed"}),
    ("checkpointed, by default", 64, {"kind": "checkpointed"}),
    ("checkpointed, 4", 256, {"kind": "checkpointed", "checkpoints": 4}),
    ("checkpointed, 8", 256, {"kind": "checkpointed", "checkpoints": 8}),
    ("checkpointed, 16", 256, {"kind": "checkpointed", "checkpoints": 16}),
    ("checkpointed, 64", 256, {"kind": "checkpointed", "checkpoints": 64}),
    ("direct", 64, {"kind": "direct"}),
    ("backsolve", 256, {"kind": "backsolve"}),
)
"""Label, `max_steps`, adjoint."""

BENCHMARK = Survey(
    name="adjoints",
    about="gradient through dopri5 at rtol = atol = 1e-4, by adjoint and number of checkpoints",
    module="benchmarks.cases.adjoints",
    settings={
        "variants": VARIANTS,
        "channels": 16,
        "side": 8,
        "batch": 64,
        "tolerance": 1e-4,
        "repeats": 5,
    },
    quick_settings={
        "variants": (VARIANTS[2], *VARIANTS[-2:]),  # one of every kind
        "channels": 4,
        "side": 4,
        "batch": 2,
        "tolerance": 1e-2,
        "repeats": 1,
    },
)


def survey(settings: Settings) -> list[Table]:
    """One row for every adjoint."""
    rows, reference = [], None
    for label, max_steps, adjoint in settings["variants"]:
        found, gradient = gradient_step(settings, max_steps, adjoint)
        if reference is None:
            reference = gradient
        error = jnp.linalg.norm(gradient - reference) / jnp.linalg.norm(reference)
        rows.append([label, max_steps, *found, float(error)])
    columns = ["adjoint", "max_steps", "solver steps", "step (s)", "memory (bytes)", "difference"]
    note = (
        "The difference is between the gradient and that of the first row, relative to its norm. "
        f"The field has two 3x3 convolutions on {settings['channels']} channels, images of side "
        f"{settings['side']}, batch {settings['batch']}."
    )
    return [Table("adjoints", columns, rows, note)]


def gradient_step(settings: Settings, max_steps: int, adjoint: dict[str, Any]) -> Any:
    """Solver steps, seconds and bytes of a gradient step, and the gradient as one vector."""
    tolerance, side = settings["tolerance"], settings["side"]
    controller = {"kind": "pid", "rtol": tolerance, "atol": tolerance}
    block = DepthBlockConfig(
        num_steps=1,
        field={"kind": "conv"},
        weights={"kind": "shared_with_time"},
        step_sizes={"kind": "fixed", "horizon": 2.0},
        integrator={
            "kind": "diffrax",
            "solver": "dopri5",
            "controller": controller,
            "adjoint": adjoint,
            "max_steps": max_steps,
        },
    ).build((side, side, settings["channels"]), rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(block)
    h0 = jax.random.normal(jax.random.key(1), (settings["batch"], side, side, settings["channels"]))

    def loss(params):
        solve = nnx.merge(graphdef, params)(h0)
        return jnp.mean(jnp.square(solve.h1)), solve.stats

    compiled = jax.jit(jax.grad(loss, has_aux=True)).lower(params).compile()
    gradient, stats = compiled(params)
    assert stats.success, "the solve did not reach t1"
    steps = int(stats.accepted + stats.rejected)
    seconds = seconds_per_call(lambda: compiled(params), settings["repeats"])
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    return (steps, seconds, peak_bytes(compiled)), flat
