"""Reversible methods against hand-written recursions, their inverses, and stored states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.precision import drawn
from pydantic import TypeAdapter

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import IntegratorConfig
from odenet.integrators.stages import reverse_step, take_step
from odenet.models import DepthBlockConfig

METHODS = {
    "leapfrog": {"kind": "leapfrog"},
    "kick_drift": {"kind": "leapfrog", "form": "kick_drift"},
    "symplectic_euler": {"kind": "symplectic_euler"},
    "verlet": {"kind": "verlet"},
    "two_step_midpoint": {"kind": "two_step_midpoint"},
    "momentum": {"kind": "momentum", "gamma": 0.7},
    "asynchronous_leapfrog": {"kind": "asynchronous_leapfrog"},
    "reversible_rk": {"kind": "reversible_rk", "method": "midpoint", "coupling": 0.95},
}
CONFIG = TypeAdapter(IntegratorConfig)
EQUAL, UNEQUAL = np.full(6, 0.3), np.array([0.3, 0.5, 0.2, 0.25, -0.4, 0.3])


def made(name, **options):
    return CONFIG.validate_python(METHODS[name] | options).build()


def partitioned_apply(params, t, h):
    """A partitioned field."""
    y, z = jnp.split(h, 2, axis=-1)
    derivatives = [jnp.tanh(z @ params["w"] + t), -jnp.sin(y @ params["v"] + 2 * t)]
    return jnp.concatenate(derivatives, axis=-1)


def layers(num_layers, half=2):
    draw = np.random.default_rng(0)
    shape = (num_layers, half, half)
    params = {name: jnp.asarray(draw.normal(size=shape)) for name in ("w", "v")}
    return LayerFields(partitioned_apply, params, num_layers)


def by_hand(name, fields, taus, h):
    """The states at the points of the grid, in NumPy, as the papers write them."""
    w, v = (np.asarray(fields.params[key]) for key in ("w", "v"))

    def f_y(k, t, z):
        return np.tanh(z @ w[k] + t)

    def f_z(k, t, y):
        return -np.sin(y @ v[k] + 2 * t)

    def f(k, t, h):
        y, z = np.split(h, 2, axis=-1)
        return np.concatenate([f_y(k, t, z), f_z(k, t, y)], axis=-1)

    path, t = [h], 0.0
    y, z = np.split(h, 2, axis=-1)
    velocity = np.zeros_like(h)
    for k, tau in enumerate(taus):
        if name == "symplectic_euler":
            z = z + tau * f_z(k, t, y)
            y = y + tau * f_y(k, t, z)
            path.append(np.concatenate([y, z], axis=-1))
        elif name == "verlet":
            middle = z + tau / 2 * f_z(k, t, y)
            y = y + tau * f_y(k, t + tau / 2, middle)
            z = middle + tau / 2 * f_z(k, t + tau, y)
            path.append(np.concatenate([y, z], axis=-1))
        elif name == "two_step_midpoint" and k == 0:
            path.append(h + tau * f(0, 0.0, h))
        elif name == "two_step_midpoint":
            r = tau / taus[k - 1]
            derivative = f(k, t, path[-1])
            path.append((1 - r**2) * path[-1] + r**2 * path[-2] + (1 + r) * tau * derivative)
        elif name == "momentum":
            kept = 0.7**tau
            velocity = kept * velocity + (1 - kept) * f(k, t, path[-1])
            path.append(path[-1] + tau * velocity)
        elif name == "reversible_rk":

            def change(t, tau, h, k=k):
                return tau * f(k, t + tau / 2, h + tau / 2 * f(k, t, h))

            behind = path[-1] if k == 0 else behind
            path.append(0.95 * path[-1] + 0.05 * behind + change(t, tau, behind))
            behind = behind - change(t + tau, -tau, path[-1])
        t += tau
    return np.stack(path)


@functools.cache
def by_every_policy(name):
    """Integrations by steps of given sizes, one for every policy of recomputation."""
    integrators = [made(name, remat=remat) for remat in ("reversible", "none", "sqrt")]

    @jax.jit
    def run(taus, h0):
        grid = DepthGrid(taus, 6)
        return [each.integrate(layers(6), grid, h0, save_path=True) for each in integrators]

    return run


@pytest.mark.parametrize("taus", [EQUAL, UNEQUAL, np.ones(6)], ids=["equal", "unequal", "one"])
@pytest.mark.parametrize(
    "name", ["symplectic_euler", "verlet", "two_step_midpoint", "momentum", "reversible_rk"]
)
def test_path_is_that_of_the_recursion_by_hand(name, taus):
    h0 = np.random.default_rng(1).normal(size=(2, 4))
    expected = by_hand(name, layers(6), taus, h0)
    for found in by_every_policy(name)(taus, h0):
        np.testing.assert_allclose(found.path, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(found.h1, np.asarray(found.path)[-1])
        assert int(found.stats.accepted) == 6
        assert int(found.stats.nfe) == {"verlet": 9, "reversible_rk": 24}.get(name, 6)


def run(integrator, fields, taus, h0):
    """An integration as one program, with its path."""
    grid = DepthGrid(jnp.asarray(taus), fields.num_layers)
    return jax.jit(lambda h0: integrator.integrate(fields, grid, h0, save_path=True))(h0)


def test_momentum_with_steps_of_one_is_that_of_sander():
    fields, h0 = layers(5), np.random.default_rng(1).normal(size=(2, 4))
    step = jax.jit(partitioned_apply)
    x, v = h0, np.zeros_like(h0)
    for k in range(5):
        params = jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], fields.params)
        v = 0.7 * v + (1 - 0.7) * np.asarray(step(params, float(k), x))
        x = x + v
    np.testing.assert_allclose(run(made("momentum"), fields, np.ones(5), h0).h1, x, rtol=1e-13)


def test_two_step_midpoint_with_equal_steps_jumps_over_one():
    fields, h0 = layers(5), np.random.default_rng(1).normal(size=(2, 4))
    step = jax.jit(partitioned_apply)
    path = np.asarray(run(made("two_step_midpoint"), fields, np.full(5, 0.2), h0).path)
    for k in range(1, 5):
        params = jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], fields.params)
        derivative = np.asarray(step(params, 0.2 * k, path[k]))
        jump = path[k + 1] - path[k - 1]
        np.testing.assert_allclose(jump, 2 * 0.2 * derivative, rtol=1e-12, atol=1e-14)


def end_and_slope(integrator, fields, taus):
    """A number made of the end of an integration, with its derivative by step sizes."""
    h0 = np.random.default_rng(1).normal(size=(2, 4))

    def end(taus):
        grid = DepthGrid(taus, fields.num_layers)
        return jnp.sum(integrator.integrate(fields, grid, jnp.asarray(h0)).h1 ** 2)

    return jax.jit(jax.value_and_grad(end))(taus)


def test_momentum_without_memory_is_euler():
    euler = CONFIG.validate_python({"kind": "euler"}).build()
    forgetful = made("momentum", gamma=0.0, remat="none")
    found, expected = (end_and_slope(each, layers(6), UNEQUAL) for each in (forgetful, euler))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_steps_are_inverted_to_twelve_digits(name):
    draw = np.random.default_rng(2)
    integrator, fields = made(name), layers(64)
    taus = jnp.asarray(draw.uniform(0.03, 0.09, 64) * np.where(draw.random(64) < 0.2, -1, 1))
    grid = DepthGrid(taus, 64)
    start = integrator.start(fields, jnp.asarray(draw.normal(size=(2, 4))))
    extra = integrator.extra(grid)

    @jax.jit
    def there(k, carry):
        params, more = jax.tree.map(lambda leaf: leaf[k], (fields.params, extra))
        field = jax.tree_util.Partial(partitioned_apply, params)
        return take_step(integrator.stages, field, carry, grid.times[k], taus[k], *more)

    @jax.jit
    def back(k, carry):
        params, more = jax.tree.map(lambda leaf: leaf[k], (fields.params, extra))
        field = jax.tree_util.Partial(partitioned_apply, params)
        where = grid.times[k], taus[k]
        return reverse_step(integrator.stages, field, carry, *where, carry, *more)[0]

    carry = start
    for k in range(64):
        carry = there(k, carry)
    assert float(jnp.max(jnp.abs(carry[0] - start[0]))) > 0.1
    for k in reversed(range(64)):
        carry = back(k, carry)
    np.testing.assert_allclose(carry[0], start[0], rtol=0, atol=1e-12)


def gradient(name, field, shape, num_layers, remat, save_path=False):
    """Of a loss by weights, step sizes and first states, with what it is taken at."""
    config = DepthBlockConfig.model_validate(
        {
            "num_steps": 12,
            "field": {"kind": field},
            "weights": {"kind": "per_layer", "num_layers": num_layers},
            "step_sizes": {"kind": "learned"},
            "integrator": METHODS[name] | {"remat": remat},
        }
    )
    block = drawn(lambda: config.build(shape, rngs=nnx.Rngs(0)), seed=1)
    raw = block.step_sizes.raw
    raw[...] = jnp.asarray(0.2 + 0.1 * np.tanh(raw[...]))
    graphdef, params = nnx.split(block)
    h0 = np.random.default_rng(2).normal(size=(2, *shape))

    def loss(params, h0):
        found = nnx.merge(graphdef, params)(h0, save_path=save_path)
        seen = found.h1 if found.path is None else found.path
        return jnp.sum(jnp.cos(jnp.arange(seen.size)).reshape(seen.shape) * seen**2)

    return loss, (params, h0)


FIELDS = {"symplectic_euler": "hamiltonian", "verlet": "two_layer_hamiltonian"}


SHAPES = {"vectors": ((4,), True), "images": ((3, 4, 2), False)}
ALL = [(name, shape) for name in METHODS for shape in SHAPES]
ALWAYS = {("leapfrog", "images"), *((name, "vectors") for name in METHODS)}


@pytest.mark.parametrize(("name", "states"), cases(ALL, ALWAYS))
def test_gradients_of_inverted_steps_equal_those_of_stored_states(name, states):
    shape, save_path = SHAPES[states]
    field = FIELDS.get(name, "antisymmetric")
    loss, at = gradient(name, field, shape, 6, "reversible", save_path)
    stored, _ = gradient(name, field, shape, 6, "none", save_path)
    ours, theirs = (jax.jit(jax.grad(f, argnums=(0, 1)))(*at) for f in (loss, stored))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.max(np.abs(b)) > 1e-3
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * np.max(np.abs(b)))


@pytest.mark.parametrize("name", ["two_step_midpoint", "momentum"])
def test_steps_inside_a_layer_and_one_set_of_weights_are_one_chain(name):
    fields = layers(1)
    params = jax.tree.map(lambda leaf: jnp.asarray(np.repeat(leaf, 6, 0)), fields.params)
    repeated = LayerFields(partitioned_apply, params, 6)
    (_, inside), (_, over) = (end_and_slope(made(name), f, UNEQUAL) for f in (fields, repeated))
    np.testing.assert_allclose(inside, over, rtol=1e-11)
