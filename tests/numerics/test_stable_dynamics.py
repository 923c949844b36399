"""What stable fields promise, under the integrators that keep it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.precision import drawn, in_float64

from odenet.fields.transposed import apply_kernel
from odenet.models import DepthBlockConfig

SHAPES = {"vectors": (4,), "images": (3, 4, 4)}

# Haber and Ruthotto 2017, Example 1: rows y K, tanh, ten steps of 0.1, no bias.
EXAMPLE = {
    "growing": ([[2.0, -2.0], [0.0, 2.0]], [(0.53826, -0.27308), (0.0, 1.41522)]),
    "shrinking": ([[-2.0, 0.0], [2.0, -2.0]], [(0.03781, 0.01084), (0.15040, 0.06632)]),
    "rotating": ([[0.0, -1.0], [1.0, 0.0]], [(0.14553, -0.03039), (0.41791, 0.30521)]),
}


def made(field, num_steps, tau, integrator="euler", shape=(2,)):
    """A block of one shared field, in double precision."""
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": num_steps,
            "field": field,
            "weights": {"kind": "shared"},
            "step_sizes": {"kind": "fixed", "tau": tau},
            "integrator": {"kind": integrator},
        }
    )
    return in_float64(config.build(shape, rngs=nnx.Rngs(0)))


def with_kernel(block, kernel):
    field = block.weights.stacked
    param = field.kernel if hasattr(field, "kernel") else field.affine[0].kernel
    param[...] = jnp.asarray(kernel)[None]
    return block


@pytest.mark.parametrize(
    ("name", "kind"),
    [("growing", "mlp"), ("shrinking", "mlp"), ("rotating", "mlp"), ("rotating", "antisymmetric")],
)
def test_example_of_haber_and_ruthotto_ends_where_it_should(name, kind):
    K, ends = EXAMPLE[name]
    block = with_kernel(made({"kind": kind}, 10, 0.1), K)
    h0 = jnp.asarray([[0.1, 0.1], [-0.1, -0.1], [0.0, 0.5]])
    found = block(h0).h1
    expected = [ends[0], (-ends[0][0], -ends[0][1]), ends[1]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("gamma", "mu"), [(0.5, 2.0), (0.1, 1.0)])
def test_euler_on_a_damped_rotation_turns_unstable_at_the_step_of_theory(gamma, mu):
    limit = 4 * gamma / (gamma**2 + mu**2)
    field = {"kind": "antisymmetric", "gamma": gamma, "activation": "identity"}
    h0 = jnp.asarray([[1.0, 0.5]])
    sizes = []
    for tau in (limit * (1 - 1e-3), limit, limit * (1 + 1e-3)):
        block = with_kernel(made(field, 2000, tau), [[0.0, mu / 2], [-mu / 2, 0.0]])
        sizes.append(float(jnp.linalg.norm(block(h0).h1) / jnp.linalg.norm(h0)))
    assert sizes[0] < 0.99
    assert sizes[1] == pytest.approx(1, abs=1e-10)
    assert sizes[2] > 1.01


def test_euler_on_a_rotation_without_damping_always_grows():
    field = {"kind": "antisymmetric", "activation": "identity"}
    block = with_kernel(made(field, 100, 0.1), [[0.0, 1.0], [-1.0, 0.0]])
    h0 = jnp.asarray([[1.0, 0.5]])
    growth = float(jnp.linalg.norm(block(h0).h1) / jnp.linalg.norm(h0))
    assert growth == pytest.approx((1 + 0.1**2) ** 50, rel=1e-10)


def energy(field, h):
    """The sum of S(K z + b1) and S(K^T y + b2), or of the two layers; S = log cosh, S' = tanh."""
    y, z = jnp.split(h, 2, axis=-1)
    b1, b2 = (
        bias.bias[...].reshape((1,) * (h.ndim - 1) + (-1,)) for bias in (field.bias_y, field.bias_z)
    )
    if hasattr(field, "kernel_y"):
        maps = apply_kernel(field.kernel_y[...][0], z), apply_kernel(field.kernel_z[...][0], y)
    else:
        kernel = field.kernel[...][0]
        transposed = jax.linear_transpose(lambda x: apply_kernel(kernel, x), y)
        maps = apply_kernel(kernel, z), transposed(y)[0]
    potentials = (jnp.log(jnp.cosh(m + b)) for m, b in zip(maps, (b1, b2), strict=True))
    return sum(jnp.sum(p, axis=tuple(range(1, h.ndim))) for p in potentials)


def drift(kind, shape, integrator, num_steps, tau):
    """Largest change of the energy on a path, and in its first half."""
    block = drawn(lambda: made({"kind": kind}, num_steps, tau, integrator, shape), seed=4)
    h0 = jax.random.normal(jax.random.key(5), (1, *shape))
    path = block(h0, save_path=True).path[:, 0]
    change = jnp.abs(energy(block.weights.stacked, path) - energy(block.weights.stacked, h0))
    return float(change.max()), float(change[: num_steps // 2].max())


FIELDS = [(kind, states) for kind in ("hamiltonian", "two_layer_hamiltonian") for states in SHAPES]


@pytest.mark.parametrize(
    ("kind", "states"),
    cases(FIELDS, {("hamiltonian", "images"), ("two_layer_hamiltonian", "vectors")}),
)
def test_energy_does_not_drift_under_symplectic_methods(kind, states):
    shape = SHAPES[states]
    by_euler, _ = drift(kind, shape, "euler", 4000, 0.1)
    for integrator, order in (("symplectic_euler", 1), ("verlet", 2)):
        whole, early = drift(kind, shape, integrator, 4000, 0.1)
        assert whole < 1.2 * early, integrator
        assert whole < 0.2 * by_euler, integrator
        finer, _ = drift(kind, shape, integrator, 4000, 0.05)
        assert finer < 1.25 * whole / 2**order, integrator


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_states_of_a_parabolic_field_never_move_apart(shape):
    block = drawn(lambda: made({"kind": "parabolic"}, 200, 0.05, "rk4", shape), seed=4)
    pair = jax.random.normal(jax.random.key(5), (2, *shape))
    path = block(pair, save_path=True).path
    apart = np.asarray(jnp.linalg.norm((path[:, 0] - path[:, 1]).reshape(201, -1), axis=1))
    assert np.all(np.diff(apart) <= 0)
    assert apart[-1] < 0.95 * apart[0]
