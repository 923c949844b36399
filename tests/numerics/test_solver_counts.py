"""Reported statistics against evaluations of the field that really ran."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilation import AS_USERS_DO
from numerics.cases import cases
from numerics.methods import (
    DIFFRAX,
    DIFFRAX_ORDERS,
    EXPLICIT,
    IMPLICIT,
    adaptive_diffrax,
)

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.backward_count import counting_backward

STAGES = {
    "euler": 1,
    "midpoint": 2,
    "heun": 2,
    "ralston": 2,
    "rk4": 4,
    "kutta_3": 3,
    "three_eighths": 4,
    "diffrax_euler": 1,
    "diffrax_midpoint": 2,
    "diffrax_heun": 2,
    "diffrax_ralston": 2,
    "diffrax_bosh3": 4,
    "diffrax_tsit5": 7,
    "diffrax_dopri5": 7,
    "diffrax_dopri8": 14,
}
STEERED = [*(solver for solver in DIFFRAX_ORDERS if solver != "euler"), "reversible_heun"]
ALWAYS_STEERED = {"heun", "tsit5", "reversible_heun"}
"""Which stand in the table of adaptive steps, the others in that of fixed ones."""
LIKE_HEUN = {"diffrax_midpoint", "diffrax_ralston"}
"""Other numbers in a tableau of the same form."""
H0 = np.array([[0.3, 1.0], [-0.7, 0.2]])


def gentle(t, h):
    return 0.01 * h


def rough(t, h):
    return 3 * jnp.cos(6 * h) + jnp.sin(30 * t) * h


def counted(integrator, field_of):
    """Runs with counts: a function of what makes the field, and of the step sizes."""
    times = []

    @jax.jit
    def run(made_of, taus, h0):
        def counting(t, h):
            jax.debug.callback(lambda t: times.append(float(t)), t)
            return field_of(made_of)(t, h)

        fields = LayerFields.from_function(counting)
        return integrator.integrate(fields, DepthGrid(taus), h0).stats

    def count(made_of, taus):
        """The statistics, and the times at which the field was evaluated in the forward pass."""
        times.clear()
        stats = jax.block_until_ready(run(made_of, jnp.asarray(taus), jnp.asarray(H0)))
        jax.effects_barrier()
        return stats, list(times)

    return count


def count(integrator, field, taus):
    """Statistics and times of one field; see `counted`."""
    return counted(integrator, lambda _: field)(None, taus)


@pytest.mark.parametrize(
    "name",
    cases(STAGES, set(STAGES) - LIKE_HEUN - {f"diffrax_{name}" for name in ALWAYS_STEERED}),
)
def test_fixed_steps_report_every_evaluation(name):
    taus = [0.5, -0.3, 0.8]
    stats, times = count((EXPLICIT | DIFFRAX)[name][0].build(), rough, taus)
    assert int(stats.nfe) == len(times) == STAGES[name] * len(taus)
    assert int(stats.accepted) == len(taus)
    assert int(stats.rejected) == 0
    assert bool(stats.success)


def test_bank_of_stages_covers_every_method():
    assert set(STAGES) == set(EXPLICIT) | set(DIFFRAX)


ADAPTIVE = [(solver, "checkpointed") for solver in STEERED] + [("tsit5", "direct")]
ALWAYS_ADAPTIVE = {pair for pair in ADAPTIVE if pair[0] in ALWAYS_STEERED}


def rough_or_gentle(is_rough):
    return lambda t, h: jnp.where(is_rough, rough(t, h), gentle(t, h))


@pytest.mark.parametrize(("solver", "adjoint"), cases(ADAPTIVE, ALWAYS_ADAPTIVE))
def test_adaptive_steps_report_every_evaluation(solver, adjoint):
    options = {"adjoint": {"kind": adjoint}, "max_steps": 64}
    count = counted(adaptive_diffrax(solver, 1e-3, **options).build(), rough_or_gentle)
    for is_rough in (False, True):
        stats, times = count(is_rough, [1.5, 1.0])
        assert int(stats.nfe) == len(times)
        assert (int(stats.rejected) > 0) == is_rough


def test_step_rejected_before_any_was_accepted_is_counted():
    def steep_at_start(t, h):
        return jnp.where(t < 0.05, 1e4, 1.0) * jnp.cos(40 * h)

    integrator = adaptive_diffrax("tsit5", 1e-6, max_steps=8).build()
    stats, times = count(integrator, steep_at_start, [4.0])
    assert int(stats.rejected) > 1
    assert int(stats.nfe) == len(times)
    assert times.count(0.0) == 1


@pytest.mark.parametrize(
    ("name", "stages", "before"),
    cases(
        [("implicit_euler", 2, 0), ("kvaerno3", 3, 1), ("kvaerno4", 4, 1), ("kvaerno5", 6, 1)],
        [("implicit_euler", 2, 0), ("kvaerno4", 4, 1)],
    ),
)
def test_implicit_stages_count_as_one_whatever_their_equations_cost(name, stages, before):
    taus = [0.1, -0.05]
    stats, times = count(IMPLICIT[f"diffrax_{name}"][0].build(), gentle, taus)
    assert int(stats.nfe) == (stages + before) * len(taus) < len(times)
    assert bool(stats.success)


def solve_by_backsolve(num_layers, seminorm):
    """A loss with the statistics of its solve, and the list of times of all evaluations."""
    adjoint = {"kind": "backsolve", "seminorm": seminorm}
    integrator = adaptive_diffrax("tsit5", 1e-4, adjoint=adjoint).build()
    grid, times = DepthGrid(jnp.asarray([0.5, 0.4])[:num_layers], num_layers), []

    def counting(params, t, h):
        jax.debug.callback(lambda t: times.append(float(t)), t)
        return params * rough(t, h)

    fields = LayerFields(counting, jnp.ones(num_layers), num_layers)

    def loss(h0):
        found = integrator.integrate(fields, grid, h0)
        return jnp.sum(found.h1**2), found.stats

    return loss, times


@functools.cache
def counted_backwards(num_layers, seminorm):
    """The gradient, the count, the statistics, and the number of all evaluations."""
    loss, times = solve_by_backsolve(num_layers, seminorm)

    def with_counter(h0, counter):
        with counting_backward(counter):
            return loss(h0)

    run = jax.grad(with_counter, argnums=(0, 1), has_aux=True)
    run = jax.jit(run, compiler_options=AS_USERS_DO if num_layers == 1 else None)
    (a_h0, count), stats = jax.block_until_ready(run(jnp.asarray(H0), jnp.zeros(())))
    jax.effects_barrier()
    return a_h0, int(count), stats, len(times)


@pytest.mark.parametrize(
    ("num_layers", "seminorm"),
    [
        pytest.param(1, False, id="one"),
        pytest.param(2, True, id="two-seminorm"),
        pytest.param(1, True, id="one-seminorm", marks=pytest.mark.product),
        pytest.param(2, False, id="two", marks=pytest.mark.product),
    ],
)
def test_counter_tells_every_evaluation_of_a_solve_backwards(num_layers, seminorm):
    _, count, stats, evaluations = counted_backwards(num_layers, seminorm)
    assert count == evaluations - int(stats.nfe) > 6 * num_layers


@pytest.mark.parametrize("seminorm", [False, pytest.param(True, marks=pytest.mark.product)])
def test_counter_leaves_every_bit_of_the_gradient(seminorm):
    loss, _ = solve_by_backsolve(1, seminorm)
    plain = jax.jit(jax.grad(loss, has_aux=True), compiler_options=AS_USERS_DO)
    np.testing.assert_array_equal(counted_backwards(1, seminorm)[0], plain(jnp.asarray(H0))[0])
