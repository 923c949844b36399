import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import Failure, IntegratorConfig, SolverStats
from odenet.integrators.equation import FIRST_ORDER, SECOND_ORDER
from odenet.integrators.explicit import TABLEAUS
from odenet.integrators.failure import failure_of_state
from odenet.ops.batch_axis import batch_axis

CONFIG = TypeAdapter(IntegratorConfig)
BACKWARDS_IN_HALVES = {
    "kind": "diffrax",
    "solver": "semi_implicit_euler",
    "controller": {"kind": "constant"},
    "adjoint": {"kind": "backsolve"},
}


@pytest.mark.parametrize("name", TABLEAUS)
def test_tableau_is_explicit_and_consistent(name):
    tableau = TABLEAUS[name]
    assert [len(row) for row in tableau.a] == list(range(tableau.num_stages))
    assert tableau.c == tuple(sum(row) for row in tableau.a)
    assert sum(tableau.b) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "euler", "rtol": 1e-3}, "rtol"),
        ({"kind": "euler", "remat": "layer"}, "remat"),
        ({"kind": "euler", "remat": "reversible"}, "remat"),
        ({"kind": "leapfrog", "remat": "layer"}, "remat"),
        ({"kind": "leapfrog", "solver": "tsit5"}, "solver"),
        ({"kind": "leapfrog", "form": "kick"}, "form"),
        ({"kind": "verlet", "form": "kick_drift"}, "form"),
        ({"kind": "momentum", "gamma": 1.0}, "less than 1"),
        ({"kind": "momentum", "gamma": -0.1}, "greater than or equal to 0"),
        ({"kind": "momentum", "gamma": 0.0}, "cannot be inverted; use remat=none"),
        ({"kind": "two_step_midpoint", "gamma": 0.5}, "gamma"),
        ({"kind": "reversible_rk", "coupling": 0.0}, "greater than 0"),
        ({"kind": "reversible_rk", "coupling": 1.5}, "less than or equal to 1"),
        ({"kind": "reversible_rk", "method": "dopri5"}, "method"),
        ({"kind": "yoshida"}, "yoshida"),
        ({"kind": "diffrax", "solver": "euler"}, "has no error estimate"),
        ({"kind": "diffrax", "solver": "semi_implicit_euler"}, "has no error estimate"),
        (BACKWARDS_IN_HALVES, "use adjoint.kind=checkpointed or direct"),
        (
            {"kind": "diffrax", "controller": {"kind": "constant"}, "max_steps": 8},
            "would ignore max_steps",
        ),
        ({"kind": "diffrax", "controller": {"kind": "constant", "rtol": 1e-3}}, "rtol"),
        ({"kind": "diffrax", "controller": {"rtol": 0.0}}, "greater than 0"),
        ({"kind": "dopri5", "min_step": 0.1, "first_step": 0.01}, "no step is shorter.*lower"),
        ({"kind": "dopri5", "min_step": 0.1, "max_step": 0.01}, "no step is shorter.*max_step"),
        ({"kind": "bosh3", "max_step": 0.1, "first_step": 0.2}, "no step is longer.*lower"),
        ({"kind": "bosh3", "break_points": [0.5, 0.5]}, r"increasing order.*\[0.5, 0.5\]"),
        ({"kind": "diffrax", "adjoint": {"kind": "direct", "checkpoints": 4}}, "checkpoints"),
        ({"kind": "diffrax", "remat": "step"}, "remat"),
        ({"kind": "tableau", "a": [[], [0.5]], "b": [0.5, 0.4]}, "must sum to 1"),
        ({"kind": "tableau", "a": [[0.5], [0.5]], "b": [0.5, 0.5]}, "has rows of 0, 1"),
        ({"kind": "tableau", "a": [[]], "b": [0.5, 0.5]}, "has rows of 0, 1"),
        ({"kind": "tableau", "a": [[]]}, "b"),
    ],
)
def test_options_that_would_be_ignored_or_break_a_rule_are_refused(mapping, message):
    with pytest.raises(ValidationError, match=message):
        CONFIG.validate_python(mapping)


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "rk4", "remat": "step"},
        {"kind": "leapfrog"},
        {"kind": "leapfrog", "remat": "sqrt"},
        {"kind": "leapfrog", "form": "kick_drift"},
        {"kind": "symplectic_euler"},
        {"kind": "verlet", "remat": "step"},
        {"kind": "two_step_midpoint"},
        {"kind": "momentum", "gamma": 0.5},
        {"kind": "momentum", "gamma": 0.0, "remat": "none"},
        {"kind": "reversible_rk", "method": "rk4", "coupling": 1.0, "remat": "sqrt"},
        {"kind": "tableau", "a": [[], [1.0]], "b": [0.25, 0.75]},
        {"kind": "diffrax"},
        {"kind": "diffrax", "solver": "dopri8", "max_steps": 32, "adjoint": {"kind": "backsolve"}},
        {"kind": "diffrax", "solver": "euler", "controller": {"kind": "constant"}},
        {"kind": "diffrax", "controller": {"kind": "pid", "rtol": 1e-5, "pcoeff": 0.3}},
    ],
)
def test_integrators_are_hashable_and_equal_by_value(mapping):
    first, again = (CONFIG.validate_python(mapping).build() for _ in range(2))
    assert hash(first) == hash(again)
    assert first == again
    assert first != CONFIG.validate_python({"kind": "midpoint"}).build()


def test_statistics_add_up_and_the_first_failure_is_kept():
    late = SolverStats.of(5, 2, 2, Failure.NOT_FINITE, 1.5)
    late = dataclasses.replace(late, layer=jnp.asarray(4), stage=jnp.asarray(1))
    stats = SolverStats.of(7, 3, 1) + late + SolverStats.of(1, 1, 0, Failure.MAX_STEPS)
    assert [int(number) for number in jax.tree.leaves(stats)] == [
        13,
        6,
        3,
        Failure.NOT_FINITE,
        4,
        1,
        1,
    ]
    assert not bool(stats.success)
    assert bool(SolverStats.of(7, 3).success)
    succeeded = SolverStats.of(7, 3, reached=2.0) + SolverStats.of(1, 1).reaching(3.0)
    assert float(succeeded.reached) == 3.0
    assert float((late + succeeded).reaching(3.0).reached) == 1.5


@pytest.mark.parametrize("steps", [(), (2,)])
def test_total_tells_the_layer_of_the_first_failure(steps):
    shape = (4, *steps)
    failures = np.zeros(shape, int)
    failures[2:] = np.arange(8).reshape(4, 2)[2:, 0].reshape(2, *[1] * len(steps))
    reached = np.where(np.arange(4) == 2, 2.5, 0.0).reshape(4, *[1] * len(steps)) + np.zeros(shape)
    total = SolverStats.of(
        np.full(shape, 3), np.full(shape, 2), np.ones(shape), failures, reached
    ).total()
    size = failures.size
    expected = [3 * size, 2 * size, size, 4, 2, 0, 2.5]
    assert [float(number) for number in jax.tree.leaves(total)] == expected
    assert total.nfe.dtype == total.failure.dtype == total.layer.dtype == jnp.int32


def test_state_that_is_not_finite_is_a_failure_of_its_stage():
    succeeded = SolverStats.of(1, 1)
    fine = succeeded.at_stage(2, jnp.ones((2, 2)))
    broken = succeeded.at_stage(2, jnp.asarray([[1.0, jnp.inf]]))
    assert bool(fine.success)
    assert (int(broken.failure), int(broken.stage)) == (Failure.NOT_FINITE, 2)


def test_one_shard_that_is_not_finite_is_a_failure_of_all():
    def shard(part):
        with batch_axis("devices"):
            return failure_of_state(part)

    parts = jnp.asarray([[1.0, 2.0], [jnp.nan, 0.0], [3.0, 4.0]])
    found = jax.jit(jax.vmap(shard, axis_name="devices"))(parts)
    np.testing.assert_array_equal(found, np.full(3, Failure.NOT_FINITE))


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "euler"},
        {"kind": "tableau", "a": [[]], "b": [1.0]},
        {"kind": "symplectic_euler"},
        {"kind": "verlet"},
        {"kind": "two_step_midpoint"},
        {"kind": "diffrax"},
    ],
)
def test_config_and_integrator_agree_on_the_equation(mapping):
    config = CONFIG.validate_python(mapping)
    leapfrog = CONFIG.validate_python({"kind": "leapfrog"})
    assert config.equation == config.build().equation == FIRST_ORDER
    assert leapfrog.equation == leapfrog.build().equation == SECOND_ORDER
    half, third = (CONFIG.validate_python({"kind": "fractional", "gamma": g}) for g in (0.5, 0.3))
    assert half.equation == half.build().equation != third.equation == third.build().equation
    some, more = (CONFIG.validate_python({"kind": "momentum", "gamma": g}) for g in (0.5, 0.9))
    assert some.equation == some.build().equation != more.equation == more.build().equation


@pytest.mark.parametrize("kind", ["euler", "rk4"])
def test_path_holds_every_state_and_is_left_out_unless_asked_for(kind):
    integrator = CONFIG.validate_python({"kind": kind}).build()
    fields = LayerFields.from_function(lambda t, h: jnp.ones_like(h))
    taus, h0 = jnp.asarray([1.0, 0.5, -0.25]), jnp.zeros((2, 1))

    def run(save_path):
        return jax.jit(
            lambda h0: integrator.integrate(fields, DepthGrid(taus), h0, save_path=save_path).path
        )

    np.testing.assert_allclose(run(True)(h0)[:, 1, 0], [0.0, 1.0, 1.5, 1.25])
    assert jax.eval_shape(run(False), h0) is None


@pytest.mark.parametrize(
    "kind", ["rk4", "leapfrog", "verlet", "two_step_midpoint", "momentum", "reversible_rk"]
)
def test_state_keeps_single_precision(kind):
    integrator = CONFIG.validate_python({"kind": kind}).build()
    fields = LayerFields.from_function(lambda t, h: t * h)
    grid, h0 = DepthGrid(jnp.ones(2)), jax.ShapeDtypeStruct((1, 2), jnp.float32)
    assert (
        jax.eval_shape(lambda h0: integrator.integrate(fields, grid, h0).h1, h0).dtype == h0.dtype
    )
