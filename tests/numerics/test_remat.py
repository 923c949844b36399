"""Every policy of recomputation: the same numbers, in the memory that it promises."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.cases import cases
from numerics.methods import KUTTA_3

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import ExplicitConfig
from odenet.integrators.remat import segments
from odenet.models import DepthBlockConfig
from odenet.training.parallel import peak_bytes

DEPTH, WIDTH, HIDDEN, BATCH = 64, 8, 64, 32


def lowered(integrator, depth=DEPTH, batch=BATCH, hidden=(HIDDEN, HIDDEN), weights="per_layer"):
    """Value and gradient of a deep block, lowered, with its arguments."""
    field = {"kind": "mlp", "hidden": hidden, "form": "between" if hidden else "inside"}
    if integrator["kind"] in ("symplectic_euler", "verlet"):
        field = {"kind": "hamiltonian"}
    config = DepthBlockConfig(
        field=field,
        num_steps=depth,
        weights={"kind": weights},
        step_sizes={"horizon": 1.0},
        integrator=integrator,
    )
    graphdef, params = nnx.split(nnx.eval_shape(lambda: config.build((WIDTH,), rngs=nnx.Rngs(0))))
    h0 = jax.ShapeDtypeStruct((batch, WIDTH), jnp.float32)

    def loss(params, h0):
        return jnp.sum(nnx.merge(graphdef, params)(h0).h1 ** 2)

    return jax.jit(jax.value_and_grad(loss)).lower(params, h0), (params, h0)


INTEGRATORS = {"euler": {"kind": "euler"}, "rk4": {"kind": "rk4"}, "tableau": KUTTA_3.model_dump()}
POLICIES = [(name, remat) for name in INTEGRATORS for remat in ("step", "sqrt")]


@functools.cache
def recomputed(name, remat):
    """Value, gradient and bytes of a deep block under one policy."""
    program, shapes = lowered(INTEGRATORS[name] | {"remat": remat})
    draw = np.random.default_rng(0)
    arguments = jax.tree.map(
        lambda leaf: np.asarray(0.1 * draw.normal(size=leaf.shape), leaf.dtype), shapes
    )
    compiled = program.compile()
    return *compiled(*arguments), compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize(
    ("name", "remat"),
    cases(POLICIES, set(POLICIES) - {("rk4", "step"), ("tableau", "step")}),
)
def test_remat_gives_the_same_numbers_in_less_memory(name, remat):
    value, gradient, plain_bytes = recomputed(name, "none")
    value_again, gradient_again, remat_bytes = recomputed(name, remat)
    np.testing.assert_allclose(value, value_again, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(gradient_again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    # What a step stores beside its state: two hidden layers of 64 against a state of 8.
    assert remat_bytes < plain_bytes / 2


def growth(integrator, weights):
    """Peak bytes of a gradient at 1024 layers, as a multiple of those at 64; states dominate."""
    peaks = [
        peak_bytes(lowered(integrator, depth, 1 << 16, (), weights)[0].compile())
        for depth in (64, 1024)
    ]
    assert peaks[0] > 4 * WIDTH * (1 << 16)
    return peaks[1] / peaks[0]


GROWTH = [
    ({"kind": "euler"}, 15.0, 16.0),
    ({"kind": "euler", "remat": "step"}, 14.0, 16.0),
    ({"kind": "euler", "remat": "sqrt"}, 3.0, 4.5),
    ({"kind": "leapfrog", "remat": "none"}, 15.0, 16.0),
    ({"kind": "leapfrog", "remat": "sqrt"}, 3.0, 4.5),
    ({"kind": "leapfrog"}, 1.0, 1.2),
    ({"kind": "leapfrog", "form": "kick_drift"}, 1.0, 1.2),
    ({"kind": "symplectic_euler"}, 1.0, 1.2),
    ({"kind": "verlet"}, 1.0, 1.2),
    ({"kind": "two_step_midpoint"}, 1.0, 1.2),
    ({"kind": "momentum"}, 1.0, 1.2),
    ({"kind": "asynchronous_leapfrog"}, 1.0, 1.2),
    ({"kind": "reversible_rk"}, 1.0, 1.2),
]
WITH_SHARED_WEIGHTS = [{"kind": "euler", "remat": "sqrt"}, {"kind": "leapfrog"}]
"""What is always tried on shared weights too: the policies that save most."""
LIKE_OTHERS = [
    {"kind": "leapfrog", "remat": "none"},
    {"kind": "leapfrog", "remat": "sqrt"},
    {"kind": "leapfrog", "form": "kick_drift"},
    {"kind": "symplectic_euler"},
    {"kind": "momentum"},
    {"kind": "asynchronous_leapfrog"},
]


@pytest.mark.parametrize(
    ("integrator", "least", "most", "weights"),
    [
        pytest.param(
            *case,
            weights,
            id="_".join([*case[0].values(), weights]),
            marks=()
            if (case[0] in WITH_SHARED_WEIGHTS)
            or (weights == "per_layer" and case[0] not in LIKE_OTHERS)
            else pytest.mark.product,
        )
        for case in GROWTH
        for weights in ("per_layer", "shared_with_time")
    ],
)
def test_peak_memory_grows_with_depth_as_promised(integrator, weights, least, most):
    assert least <= growth(integrator, weights) <= most


def recorded(remat, num_layers, per_layer):
    """Path, value and gradients of a small time-dependent network in double precision."""
    draw = np.random.default_rng(0)
    params = jnp.asarray(draw.normal(size=(num_layers, 2, 2)))
    taus = jnp.asarray(draw.uniform(-0.1, 0.2, num_layers * per_layer))
    h0 = jnp.asarray(draw.normal(size=(3, 2)))
    integrator = ExplicitConfig(kind="heun", remat=remat).build()

    def loss(params, taus, h0):
        fields = LayerFields(lambda w, t, h: jnp.tanh(h @ w + t), params, num_layers)
        found = integrator.integrate(fields, DepthGrid(taus, num_layers), h0, save_path=True)
        return jnp.sum(found.path**2) + jnp.sum(found.h1**3), (found.path, found.stats)

    return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, taus, h0)


SHAPES = [(1, 1), (12, 1), (1, 13), (5, 23)]
MORE = [(5, 1), (3, 2), (2, 1), (3, 1), (7, 1), (13, 1), (31, 1), (36, 1)]
MORE += [(1, 2), (1, 36), (2, 3), (4, 4), (7, 11), (13, 2)]


@pytest.mark.parametrize(("num_layers", "per_layer"), cases(SHAPES + MORE, SHAPES))
def test_segments_of_any_number_of_layers_and_steps_change_no_number(num_layers, per_layer):
    found, expected = (recorded(remat, num_layers, per_layer) for remat in ("sqrt", "none"))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_segments_keep_about_twice_the_square_root_of_the_steps():
    for layers in (*range(1, 200), 997, 1000, 1021, 1024):
        for steps in (1, 2, 3, 5, 7, 16, 101, 1024):
            of_layers, of_steps = segments(layers, steps)
            assert (of_layers is None) != (of_steps is None)
            if of_layers is not None:
                assert 1 <= of_layers <= layers
                stored, again = math.ceil(layers / of_layers), of_layers * steps
            else:
                assert 1 <= of_steps <= steps
                stored, again = layers * math.ceil(steps / of_steps), of_steps
            assert stored + again <= 3 * math.sqrt(layers * steps) + 2, (layers, steps)
