"""The stability instrument against theory, finite differences and numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import in_float64, randomised

from odenet.analysis import growth as growth_file
from odenet.analysis import spectra as spectra_file
from odenet.analysis.field_path import field_path
from odenet.analysis.growth import growth
from odenet.analysis.spectra import spectra
from odenet.analysis.stability import block_stability, plain, stability
from odenet.errors import ConfigError
from odenet.models import DepthBlockConfig, RegressorConfig


def built(field, integrator="euler", shape=(4,), tau=0.3, num_steps=4, **options):
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": field,
            "step_sizes": {"kind": "fixed", "tau": tau},
            "integrator": integrator if isinstance(integrator, dict) else {"kind": integrator},
            **options,
        }
    )
    return in_float64(config.build(shape, rngs=nnx.Rngs(0)))


def drawn(*args, **options):
    return randomised(built(*args, **options), jax.random.key(3), 0.6)


@pytest.mark.parametrize(("gamma", "mu"), [(0.5, 2.0), (0.1, 1.0), (1.5, 0.3)])
def test_damped_rotation_leaves_the_region_of_euler_at_the_step_of_theory(gamma, mu):
    field = {"kind": "antisymmetric", "gamma": gamma, "activation": "identity"}
    tau = 0.05
    block = built(field, shape=(2,), tau=tau)
    kernel = block.weights.stacked.kernel
    kernel[...] = jnp.broadcast_to(jnp.asarray([[0, mu / 2], [-mu / 2, 0]]), kernel.shape)
    found = block_stability(field_path(block, jnp.asarray([[1.0, 0.5]])))
    assert found.steps.stable.all()
    assert found.steps.critical_scale * tau == pytest.approx(
        4 * gamma / (gamma**2 + mu**2), rel=1e-10
    )
    np.testing.assert_allclose(found.spectra.abscissa, -gamma / 2, rtol=1e-12)
    # The Jacobian is normal, so that nothing grows at once that does not in the long run.
    np.testing.assert_allclose(found.spectra.log_norm, -gamma / 2, rtol=1e-12)
    np.testing.assert_allclose(
        found.growth.largest[-1], abs(1 + tau * (-gamma + 1j * mu) / 2) ** 4, rtol=1e-12
    )


def test_first_layer_that_leaves_is_found_among_others():
    field = {"kind": "antisymmetric", "gamma": 0.5, "activation": "identity"}
    block = built(field, shape=(2,), tau=0.1)
    mus = np.asarray([0.5, 1.0, 3.0, 0.2])
    kernel = block.weights.stacked.kernel
    kernel[...] = jnp.asarray([[[0, mu / 2], [-mu / 2, 0]] for mu in mus])
    steps = block_stability(field_path(block, jnp.ones((1, 2)))).steps
    assert steps.critical_step == 2
    assert steps.critical_scale == pytest.approx(2 / (0.25 + 9) / 0.1, rel=1e-10)
    np.testing.assert_allclose(
        steps.amplification, np.abs(1 + 0.1 * (-0.25 + 0.5j * mus)), rtol=1e-12
    )


BLOCKS = {
    "shared": ({"kind": "mlp"}, "heun", {"weights": {"kind": "shared"}}),
    "time": ({"kind": "mlp"}, "euler", {"weights": {"kind": "shared_with_time"}}),
    "per_layer": ({"kind": "antisymmetric", "gamma": 0.2}, "euler", {}),
    "two_steps_a_layer": (
        {"kind": "mlp"},
        "rk4",
        {"weights": {"kind": "per_layer", "num_layers": 2}},
    ),
    "basis": ({"kind": "mlp"}, "midpoint", {"weights": {"kind": "basis", "num_basis": 3}}),
    "verlet": ({"kind": "hamiltonian"}, "verlet", {}),
    "momentum": ({"kind": "mlp"}, "momentum", {}),
    "leapfrog": ({"kind": "mlp"}, "leapfrog", {}),
    "two_step": ({"kind": "mlp"}, "two_step_midpoint", {}),
    "reversible": ({"kind": "mlp"}, "reversible_rk", {}),
    "fractional": ({"kind": "mlp"}, "fractional", {}),
    "adaptive": ({"kind": "mlp"}, {"kind": "dopri5", "rtol": 1e-9, "atol": 1e-9}, {}),
    "diffrax": (
        {"kind": "mlp"},
        {"kind": "diffrax", "controller": {"rtol": 1e-9, "atol": 1e-9}},
        {"weights": {"kind": "shared"}},
    ),
}


def differences(f, h, eps=1e-6):
    """Jacobian of a map of one vector by central differences."""
    columns = []
    for unit in np.eye(len(h)):
        ahead, behind = (np.asarray(f(jnp.asarray(h + s * eps * unit))) for s in (1, -1))
        columns.append((ahead - behind) / (2 * eps))
    return np.stack(columns, axis=-1)


MORE = {"two_step", "leapfrog", "reversible", "diffrax"}
"""Beside `momentum`, which carries a second state too, and `adaptive`, which chooses its steps."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.product] * (name in MORE)) for name in BLOCKS],
)
def test_eigenvalues_and_growth_are_those_of_finite_differences(name):
    field, integrator, options = BLOCKS[name]
    block = drawn(field, integrator, **options)
    h0 = jax.random.normal(jax.random.key(7), (2, 4))
    path = field_path(block, h0)
    found, grid = spectra(path), block.grid()
    fields = block.weights.over(grid)
    derivative = jax.jit(lambda params, t, h: fields.apply(params, t, h[None])[0])
    for step in range(4):
        layer = step // grid.steps_per_layer
        params = jax.tree.map(lambda leaf, layer=layer: leaf[layer], fields.params)
        for example in range(2):
            at_step = functools.partial(derivative, params, grid.times[step])
            exact = differences(at_step, np.asarray(path.path[step, example]))
            values = found.eigenvalues[step][example]
            expected = np.linalg.eigvals(exact)
            assert sorted(values.real) == pytest.approx(sorted(expected.real), abs=1e-7)
            assert sorted(values.imag) == pytest.approx(sorted(expected.imag), abs=1e-7)
            norm = np.linalg.eigvalsh((exact + exact.T) / 2).max()
            assert found.log_norm[step, example] == pytest.approx(norm, abs=1e-7)

    grown = growth(path)
    run = jax.jit(lambda h: block(h, save_path=True).path[:, 0])
    for example in range(2):
        whole = differences(lambda h: run(h[None]), np.asarray(h0[example]))
        values = np.linalg.svd(whole, compute_uv=False)
        np.testing.assert_allclose(grown.largest[:, example], values[:, 0], rtol=1e-5)
        np.testing.assert_allclose(grown.smallest[:, example], values[:, -1], rtol=1e-5)
        np.testing.assert_allclose(
            grown.typical[:, example], np.linalg.norm(whole, axis=(1, 2)) / 2, rtol=1e-5
        )


def test_every_step_multiplies_its_eigenvectors_by_the_reported_factor():
    """The Jacobian of a step of the linear network itself, by finite differences."""
    block = drawn({"kind": "mlp", "activation": "identity"}, "rk4")
    path = field_path(block, jnp.ones((1, 4)))
    steps = block_stability(path).steps
    for step in range(4):
        params = jax.tree.map(lambda leaf, step=step: leaf[step], path.fields.params)
        field = jax.tree_util.Partial(path.fields.apply, params)

        def advance(h, field=field):
            return block.integrator.advance(field, jnp.zeros(()), jnp.asarray(0.3), h[None]).h1[0]

        radius = np.abs(np.linalg.eigvals(differences(advance, np.ones(4)))).max()
        assert steps.amplification[step] == pytest.approx(radius, rel=1e-7)


@pytest.mark.parametrize(
    ("field", "shape"),
    [
        ({"kind": "mlp"}, (32,)),
        pytest.param({"kind": "conv", "hidden": 3}, (4, 4, 2), marks=pytest.mark.slow),
    ],
)
def test_large_states_are_measured_by_their_products_alone(field, shape, monkeypatch):
    block = drawn(field, shape=shape, num_steps=3)
    h0 = jax.random.normal(jax.random.key(7), (2, *shape))
    path = field_path(block, h0)
    dense, grown = spectra(path), growth(path)
    monkeypatch.setattr(spectra_file, "DENSE_SIZE", 16)
    monkeypatch.setattr(spectra_file, "KRYLOV_SIZE", 28)
    monkeypatch.setattr(growth_file, "DENSE_SIZE", 16)
    monkeypatch.setattr(growth_file, "_POWER_ITERATIONS", 300)
    found, by_power = spectra(path), growth(path)
    assert dense.exact
    assert not found.exact
    np.testing.assert_allclose(found.abscissa, dense.abscissa, rtol=1e-3)
    np.testing.assert_allclose(found.log_norm, dense.log_norm, rtol=1e-3)
    np.testing.assert_allclose(by_power.largest[-1], grown.largest[-1], rtol=1e-6)
    assert np.all(by_power.largest <= grown.largest * (1 + 1e-10))
    np.testing.assert_allclose(by_power.typical[-1], grown.typical[-1], rtol=0.5)
    assert by_power.smallest is None


def test_layers_that_are_no_steps_are_refused():
    block = {"kind": "feedforward", "num_layers": 2}
    network = RegressorConfig.model_validate({"stages": [{"width": 3}], "block": block}).build(
        (2,), 1, rngs=nnx.Rngs(0)
    )
    with pytest.raises(ConfigError, match=r"no step h \+ tau f"):
        stability(network, jnp.ones((1, 2), jnp.float32))


def test_state_that_is_not_finite_is_refused():
    block = built({"kind": "mlp"})
    with pytest.raises(ConfigError, match="a state is not finite"):
        block_stability(field_path(block, jnp.full((1, 4), jnp.nan)))


def test_plain_values_are_json(tmp_path):
    import json

    block = drawn({"kind": "hamiltonian"}, "verlet")
    values = plain(block_stability(field_path(block, jnp.ones((2, 4)))))
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["method"] == "verlet"
    assert again["steps"]["region"]["axis_limit"] == pytest.approx(2, abs=1e-3)
    assert all(len(step[0]) == 2 * 4 for step in again["products"])
