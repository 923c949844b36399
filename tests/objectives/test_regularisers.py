"""Regularisers along the depth against closed forms, and through every adjoint."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from flax import nnx
from numerics.finite_differences import check_gradient
from numerics.methods import adaptive_diffrax, fixed_diffrax
from numerics.precision import drawn, in_float64
from pydantic import TypeAdapter

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.fields import ConvFieldConfig
from odenet.integrators import IntegratorConfig
from odenet.integrators.quadrature import integrate_with_integrals
from odenet.models import RegressorConfig, init_network
from odenet.models.path_integrals import PathIntegrals
from odenet.objectives import MeanSquaredErrorConfig, Objective, ObjectiveConfig
from odenet.objectives.jacobian import JacobianNorm
from odenet.objectives.kinetic import KineticEnergy
from odenet.objectives.regularisers import build_regularisers
from odenet.objectives.taylor import TaylorDerivative, path_derivative
from odenet.ops.batch_axis import batch_axis

CONFIG, LOSS = TypeAdapter(IntegratorConfig), TypeAdapter(ObjectiveConfig)
A = np.array([[-0.6, 1.2], [-0.9, -0.4]])
H0 = np.array([[1.0, -0.5], [0.25, 0.75], [0.3, 0.4]])
HORIZON = 1.3
METHODS = {
    "rk4": {"kind": "rk4", "remat": "sqrt"},
    "dopri5": {"kind": "dopri5", "rtol": 1e-9, "atol": 1e-9},
    "diffrax_fixed": fixed_diffrax("dopri5").model_dump(),
    "diffrax_adaptive": adaptive_diffrax("tsit5", 1e-9).model_dump(),
}


def linear(t, h):
    del t
    return h @ A.T


def integrals(field, integrands, method="rk4", h0=H0, probe=None, steps=64):
    integrator = CONFIG.validate_python(METHODS[method]).build()
    grid = DepthGrid(jnp.full(steps, HORIZON / steps))
    h0 = jnp.asarray(h0)
    probe = jnp.ones_like(h0) if probe is None else probe
    fields = LayerFields.from_function(field)
    return integrate_with_integrals(integrator, fields, grid, h0, tuple(integrands), probe)


@pytest.mark.parametrize("method", METHODS)
def test_integrals_are_those_of_the_exact_solution_and_the_state_is_untouched(method):
    found = integrals(lambda t, h: -h, [KineticEnergy(), TaylorDerivative(2)], method)
    expected = np.sum((1 - np.exp(-2 * HORIZON)) * H0**2 / 2, axis=1)
    for column in range(2):  # h'' = h, and |h''| = |h'|
        np.testing.assert_allclose(found.integrals[:, column], expected, rtol=1e-7)
    np.testing.assert_allclose(found.h1, H0 * np.exp(-HORIZON), rtol=1e-7)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_path_derivatives_of_a_linear_field_are_powers_of_its_matrix(order):
    found = path_derivative(linear, jnp.asarray(0.2), jnp.asarray(H0), order)
    expected = H0 @ np.linalg.matrix_power(A, order).T
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    # Int |A^K e^{At} h0|^2 dt by the exponential of a block matrix (Van Loan 1978).
    power = np.linalg.matrix_power(A, order)
    block = np.block([[-A.T, power.T @ power], [np.zeros((2, 2)), A]])
    whole = scipy.linalg.expm(HORIZON * block)
    gram = whole[2:, 2:].T @ whole[:2, 2:]
    expected = np.einsum("bi,ij,bj->b", H0, gram, H0)
    found = integrals(linear, [TaylorDerivative(order)]).integrals[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_hutchinson_is_exact_for_diagonal_jacobians_and_signs():
    rate = np.array([0.7, -1.3])
    field = lambda t, h: h * rate[None, :]  # noqa: E731
    signs = jnp.asarray([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]])
    found = integrals(field, [JacobianNorm()], probe=signs).integrals[:, 0]
    np.testing.assert_allclose(found, np.sum(rate**2) * HORIZON, rtol=1e-12)


def test_hutchinson_estimate_is_the_frobenius_norm_on_average():
    probes = 4000
    h0 = jnp.asarray(np.tile(H0[:1], (probes, 1)))
    probe = PathIntegrals((), 0.0, jax.random.key(3)).probe(h0)
    values = np.asarray(integrals(linear, [JacobianNorm()], "rk4", h0, probe, 4).integrals)
    expected = HORIZON * np.sum(A**2)
    error = values.std(ddof=1) / np.sqrt(probes)
    assert 0.01 * expected < error < 0.05 * expected
    assert abs(values.mean() - expected) < 3 * error


def test_probe_belongs_to_the_example_wherever_it_is_placed():
    path_integrals = PathIntegrals((), 0.0, jax.random.key(3)).at_stage(1)
    h0 = jnp.zeros((4, 2, 3))
    whole = path_integrals.probe(h0)
    assert len(np.unique(np.asarray(whole))) == whole.size

    def shard(part):
        with batch_axis("devices"):
            return path_integrals.probe(part)

    parts = jax.vmap(shard, axis_name="devices")(h0.reshape(2, 2, 2, 3))
    np.testing.assert_array_equal(parts.reshape(whole.shape), whole)
    other = dataclasses.replace(path_integrals, key=jax.random.key(3)).probe(h0)
    assert not np.any(np.asarray(other) == np.asarray(whole))


def test_random_ends_are_uniform_in_their_range():
    grid = DepthGrid(jnp.asarray([0.5, 1.5]))
    ends = np.asarray(
        jax.vmap(lambda key: PathIntegrals((), 0.25, key).ending(grid).taus)(
            jax.random.split(jax.random.key(0), 2000)
        )
    )
    np.testing.assert_allclose(ends[:, 1], 3 * ends[:, 0], rtol=1e-12)
    total = ends.sum(axis=1)
    assert 1.5 <= total.min() < 1.51
    assert 2.49 < total.max() <= 2.5
    counts = np.histogram(total, 10, (1.5, 2.5))[0]
    assert scipy.stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("method", ["dopri5", "diffrax_adaptive"])
def test_integrals_do_not_change_the_steps(method):
    integrator = CONFIG.validate_python(METHODS[method]).build()
    grid, h0 = DepthGrid(jnp.asarray([HORIZON])), jnp.asarray(H0)
    fields = LayerFields.from_function(lambda t, h: jnp.sin(3 * t) * h)
    alone = integrator.integrate(fields, grid, h0)
    found = integrate_with_integrals(
        integrator, fields, grid, h0, (lambda f, t, h, e: 1e6 * h[:, 0],), h0
    )
    for a, b in zip(jax.tree.leaves(alone.stats), jax.tree.leaves(found.stats), strict=True):
        assert int(a) == int(b)
    np.testing.assert_allclose(found.h1, alone.h1, rtol=1e-13)


STAGES = [{"width": 2}, {"width": 3, "projection": {"kind": "linear"}}]


def network(integrator, stages=STAGES):
    block = {
        "num_steps": 3,
        "field": {"kind": "mlp", "form": "between", "hidden": [3]},
        "weights": {"kind": "per_layer"},
        "step_sizes": {"kind": "learned", "parametrisation": "positive", "horizon": 1.2},
        "integrator": integrator,
    }
    config = RegressorConfig.model_validate({"stages": stages, "block": block})
    return drawn(lambda: config.build((2,), 1, rngs=nnx.Rngs(0)), 1)


ALL = [
    {"kind": "kinetic", "weight": 0.3},
    {"kind": "jacobian", "weight": 0.2},
    {"kind": "taylor", "order": 3, "weight": 0.1},
    {"kind": "steer", "width": 0.2},
]


def objective_of(*given):
    config = LOSS.validate_python({"kind": "mean_squared_error", "regularisers": list(given)})
    return Objective(config.build(), build_regularisers(config.regularisers))


BACKSOLVE = adaptive_diffrax("dopri8", 1e-10, adjoint={"kind": "backsolve"}).model_dump()
GRADIENTS = {
    "rk4": (METHODS["rk4"], STAGES[:1], 2, 2e-6),
    "rk4_two_stages": (METHODS["rk4"], STAGES, 3, 2e-6),
    "dopri5": (METHODS["dopri5"], STAGES[:1], 2, 2e-6),
    "diffrax_fixed": (METHODS["diffrax_fixed"], STAGES[:1], 2, 2e-6),
    "diffrax_adaptive": (METHODS["diffrax_adaptive"], STAGES[:1], 2, 1e-5),
    "diffrax_backsolve": (BACKSOLVE, STAGES[:1], 2, 1e-5),
}
"""Method, stages, order of the Taylor derivative, tolerance."""
LIKE_OTHERS = {"rk4_two_stages", "diffrax_fixed", "diffrax_adaptive"}
"""Cases whose integrals and backward passes other cases test one by one."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.product if name in LIKE_OTHERS else ())
        for name in GRADIENTS
    ],
)
def test_gradient_of_the_regularised_objective_equals_finite_differences(name):
    integrator, stages, order, rtol = GRADIENTS[name]
    graphdef, params = nnx.split(network(integrator, stages))
    objective = objective_of(*ALL[:2], ALL[2] | {"order": order}, ALL[3])
    weights = jnp.asarray([1.0, 0.5, 2.0])

    def value(params):
        model = nnx.merge(graphdef, params)
        targets = jnp.ones((3, 1))
        return objective(model, jnp.asarray(H0), targets, weights, key=jax.random.key(4))[0]

    check_gradient(value, params, rtol=rtol)


def kinetic_energy_by_hand(slope, h, tau):
    """The state after `tau`, and the kinetic energy of its path, by 200 steps of midpoint."""

    def step(_, carry):
        h, energy = carry
        k1 = slope(jnp.asarray(0.0), h)
        k2 = slope(jnp.asarray(0.0), h + tau / 400 * k1)
        return h + tau / 200 * k2, energy + tau / 200 * jnp.sum(k2**2, axis=1)

    return jax.lax.fori_loop(0, 200, step, (h, jnp.zeros(len(h))))


def test_objective_adds_the_weighted_means_and_names_them():
    model, key = network({"kind": "rk4"}), jax.random.key(4)
    weights = jnp.asarray([1.0, 0.0, 2.0])
    arguments = (model, jnp.asarray(H0), jnp.ones((3, 1)), weights)
    of_all = jax.jit(lambda key: objective_of(*ALL)(*arguments, key=key))
    value, metrics = of_all(key)
    parts = {"kinetic": 0.3, "jacobian": 0.2, "taylor_3": 0.1}
    total = sum(weight * float(metrics[name]) for name, weight in parts.items())
    assert float(metrics["regularisation"]) == pytest.approx(total, rel=1e-12)
    assert float(value) == pytest.approx(float(metrics["loss"]) + total, rel=1e-12)
    assert float(of_all(key)[0]) == float(value)
    assert float(of_all(jax.random.key(5))[0]) != float(value)

    # By hand, without STEER: the kinetic energy of both stages, by a fine sum over their paths.
    @jax.jit
    def found_and_expected():
        _, metrics = objective_of(ALL[0])(*arguments, key=key)
        h, energies = jnp.asarray(H0), []
        for projection, block in zip(model.projections, model.blocks, strict=True):
            fields, grid = block.weights.fields(), block.grid()
            h = projection(h)
            for layer in range(3):
                field = fields.field(jax.tree.map(lambda leaf, k=layer: leaf[k], fields.params))
                h, energy = kinetic_energy_by_hand(field, h, grid.taus[layer])
                energies.append(energy)
        return metrics["kinetic"], jnp.sum(sum(energies) * weights) / 3

    found, expected = map(float, found_and_expected())
    assert found == pytest.approx(expected, rel=2e-3)


def test_without_regularisers_the_objective_is_what_it_was():
    model = network({"kind": "rk4"})
    arguments = (model, jnp.asarray(H0), jnp.ones((3, 1)), jnp.ones(3))
    key = jax.random.key(0)
    narrow = objective_of({"kind": "steer", "width": 1e-12})
    (plain, metrics), (keyed, _), (close, _) = jax.jit(
        lambda key: (
            Objective(MeanSquaredErrorConfig().build())(*arguments),
            objective_of()(*arguments, key=key),
            narrow(*arguments, key=key),
        )
    )(key)
    assert float(plain) == float(keyed)
    assert "regularisation" not in metrics
    assert float(close) == pytest.approx(float(plain), rel=1e-9)


@pytest.mark.parametrize("kind", ["second_order", "data_controlled", "depth_adaptive"])
def test_forms_of_field_are_regularised(kind):
    block = {"num_steps": 2, "field": {"kind": kind}, "integrator": {"kind": "rk4"}}
    config = RegressorConfig.model_validate({"stages": [{"width": 2}], "block": block})
    model = in_float64(init_network(config, (2,), 1, jax.random.key(0)))
    arguments = (model, jnp.asarray(H0), jnp.ones((3, 1)), jnp.ones(3))
    _, metrics = jax.jit(lambda key: objective_of(*ALL)(*arguments, key=key))(jax.random.key(4))
    assert all(float(metrics[name]) > 0 for name in ("kinetic", "jacobian", "taylor_3"))


def test_images_are_regularised():
    config = ConvFieldConfig(activation="tanh", norm="none")
    field = drawn(lambda: config.build((3, 3, 2), True, rngs=nnx.Rngs(0)), 2)
    h0 = np.random.default_rng(0).normal(size=(2, 3, 3, 2))
    three = [KineticEnergy(), JacobianNorm(), TaylorDerivative(2)]
    found = jax.jit(lambda h0: integrals(field, three, h0=h0, steps=2))(h0)
    assert found.h1.shape == h0.shape
    assert found.integrals.shape == (2, 3)
