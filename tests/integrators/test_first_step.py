"""The choice of the first step, against the same algorithm written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import ValidationError

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import DiffraxConfig
from odenet.integrators.first_step import first_step
from odenet.integrators.shared_control import batch_rms
from odenet.ops.batch_axis import batch_axis

H0 = np.array([[0.3, -1.0], [2.0, 0.5]], np.float32)
FIELDS = {
    "oscillation": lambda xp, t, h: 3 * xp.cos(2 * h) + t,
    "fast": lambda xp, t, h: -300.0 * h,
    "slow": lambda xp, t, h: 1e-3 * h,
    "zero": lambda xp, t, h: 0 * h,
    "at rest": lambda xp, t, h: t * (h + 1),
}


def hairer(field, t0, y0, order, rtol, atol):
    """Steps (a) to (f) of Hairer, Nørsett and Wanner 1993, p. 169, the result at most 1."""

    def norm(x):
        return np.sqrt(np.mean((x / (atol + rtol * np.abs(y0))) ** 2))

    f0 = field(np, t0, y0)
    d0, d1 = norm(y0), norm(f0)
    guess = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, 1.0)
    d2 = norm(field(np, t0 + guess, y0 + guess * f0) - f0) / guess
    if max(d1, d2) <= 1e-15:
        last = max(1e-6, guess * 1e-3)
    else:
        last = (0.01 / max(d1, d2)) ** (1 / order)
    return min(100 * guess, last, 1.0)


@functools.partial(jax.jit, static_argnames=("name", "order"))
def chosen(name, h0, order=5, rtol=1e-4, atol=1e-6, t0=0.0):
    def field(t, h):
        return FIELDS[name](jnp, t, h)

    t0 = jnp.asarray(t0, h0.dtype)
    return first_step(field, t0, h0, field(t0, h0), order, rtol, atol, batch_rms)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("order", [2, 5])
@pytest.mark.parametrize("h0", [H0, 0 * H0], ids=["away", "origin"])
def test_first_step_is_that_of_the_book(name, order, h0):
    expected = hairer(FIELDS[name], 0.0, h0.astype(np.float64), order, 1e-4, 1e-6)
    # The difference f1 - f0 loses half of single precision.
    np.testing.assert_allclose(chosen(name, jnp.asarray(h0), order), expected, rtol=2e-2)


def test_first_step_passes_no_gradient():
    h0 = jnp.asarray(H0)
    assert not np.any(jax.jit(jax.grad(lambda h0: chosen("oscillation", h0)))(h0))


def test_first_step_of_a_mapped_batch_is_that_of_the_whole():
    def of_a_shard(h0):
        with batch_axis("shards"):
            return chosen("oscillation", h0)

    parts = jax.jit(jax.vmap(of_a_shard, axis_name="shards"))(jnp.asarray(H0)[:, None])
    np.testing.assert_allclose(parts, [chosen("oscillation", jnp.asarray(H0))] * 2, rtol=1e-5)


def evaluations(solver, first, adjoint):
    times = []

    def field(t, h):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return jnp.cos(3 * h)

    controller = {"kind": "pid", "first_step": first}
    config = DiffraxConfig.model_validate(
        {"solver": solver, "controller": controller, "adjoint": {"kind": adjoint}}
    )
    fields, grid = LayerFields.from_function(field), DepthGrid(jnp.ones(1))
    run = jax.jit(lambda h0: config.build().integrate(fields, grid, h0).stats)
    stats = jax.block_until_ready(run(jnp.asarray(H0)))
    jax.effects_barrier()
    return int(stats.nfe), times


@pytest.mark.parametrize(
    ("solver", "extra"),
    [("tsit5", 1), ("heun", 2), pytest.param("bosh3", 1, marks=pytest.mark.product)],
)
def test_choice_is_counted_and_evaluates_the_start_once(solver, extra):
    nfe, times = evaluations(solver, "auto", "checkpointed")
    assert nfe == len(times)
    steps = {"tsit5": 6, "bosh3": 3, "heun": 2}[solver]
    assert (nfe - extra - (solver != "heun")) % steps == 0
    if solver != "heun":
        assert times.count(0.0) == 1


def test_choice_under_backsolve_is_counted():
    nfe, times = evaluations("tsit5", "auto", "backsolve")
    assert nfe == len(times)


@pytest.mark.parametrize("value", [0, 2, "automatic"])
def test_other_first_steps_are_refused(value):
    with pytest.raises(ValidationError):
        DiffraxConfig.model_validate({"controller": {"kind": "pid", "first_step": value}})
