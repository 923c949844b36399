"""Group and batch norm: the package's derivative rule against their formulas."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.declaration import Settings, Survey, Table
from benchmarks.turns import in_turns
from odenet.ops.norm import batch_norm, group_norm

_EPSILON = 1e-5

CASES = (
    ("group norm, 6x6x64", (6, 6, 64), 32),
    ("group norm, 16x16x32", (16, 16, 32), 8),
    ("batch norm, 32x32x16", (32, 32, 16), None),
    ("batch norm, 8x8x64", (8, 8, 64), None),
)
"""Label, image, number of groups."""

BENCHMARK = Survey(
    name="norms",
    about="group and batch norm, forward and with their gradients",
    module="benchmarks.cases.norms",
    settings={"cases": CASES, "batch": 128, "repeats": 200},
    quick_settings={"cases": CASES[1:3], "batch": 2, "repeats": 1},
)


def survey(settings: Settings) -> list[Table]:
    """One row for every shape and map."""
    rows = []
    for label, image, groups in settings["cases"]:
        x, g = (jax.random.normal(jax.random.key(i), (settings["batch"], *image)) for i in (0, 1))
        scale, bias = jnp.ones(image[-1]), jnp.zeros(image[-1])

        def ours(x, scale, bias, groups=groups):
            if groups is None:
                return batch_norm(x, scale, bias, _EPSILON)[0]
            return group_norm(x, scale, bias, groups, _EPSILON)

        def formula(x, scale, bias, groups=groups):
            return _formula(x, scale, bias, groups)

        for name, wrapped, operands in (
            ("forward", lambda norm: norm, (x, scale, bias)),
            ("with gradients", _with_gradients, (g, x, scale, bias)),
        ):
            calls = [_compiled(wrapped(norm), operands) for norm in (ours, formula)]
            seconds = in_turns(calls, settings["repeats"])
            rows.append([label, name, *seconds, seconds[0] / seconds[1]])
    columns = ["norm", "map", "odenet (s)", "formula (s)", "ratio"]
    note = (
        f"Batch {settings['batch']}; seconds of one call. The formula is the definition (mean, "
        "variance, quotient), differentiated by JAX."
    )
    return [Table("norms", columns, rows, note)]


def _compiled(function: Any, operands: Any) -> Any:
    compiled = jax.jit(function).lower(*operands).compile()
    return lambda: compiled(*operands)


def _with_gradients(norm: Any) -> Any:
    def run(g, *operands):
        value, pull = jax.vjp(norm, *operands)
        return value, pull(g)

    return run


def _formula(x: Any, scale: Any, bias: Any, groups: int | None) -> Any:
    grouped = x if groups is None else x.reshape(*x.shape[:-1], groups, -1)
    axes = (0, 1, 2) if groups is None else (1, 2, 4)
    centred = grouped - jnp.mean(grouped, axes, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axes, keepdims=True)
    return (centred * lax.rsqrt(variance + _EPSILON)).reshape(x.shape) * scale + bias
