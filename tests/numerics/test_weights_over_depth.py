"""Blocks whose weights are functions of depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from flax import nnx
from numerics.finite_differences import check_gradient
from numerics.precision import drawn
from numpy.polynomial import legendre
from pydantic import ValidationError

from odenet import DepthBlockConfig
from odenet.analysis.chain import chain_of
from odenet.depth.basis import Basis
from odenet.errors import ConfigError
from odenet.models import Discretisation

WIDTH = 3
H0 = jnp.asarray(np.random.default_rng(5).normal(size=(4, WIDTH)))
SMOOTH = ("piecewise_linear", "legendre", "chebyshev", "fourier")


def configured(basis="legendre", num_basis=3, num_steps=8, **options):
    weights = {"kind": "basis", "basis": basis, "num_basis": num_basis}
    return DepthBlockConfig.model_validate({"num_steps": num_steps, "weights": weights} | options)


def built(config, shape=(WIDTH,), scale=0.6):
    """The block with all coefficients drawn, in double precision."""
    block = drawn(lambda: config.build(shape, rngs=nnx.Rngs(0)), seed=1, scale=scale)
    # Running variances that were drawn with the rest may be negative.
    statistics = jax.tree.map(
        lambda leaf: jnp.asarray(np.abs(leaf)), nnx.state(block, nnx.BatchStat)
    )
    nnx.update(block, statistics)
    return block


@pytest.mark.parametrize("basis", SMOOTH)
def test_euler_steps_evaluate_the_expansion_at_their_starts(basis):
    taus = (0.5, 0.1, 0.3, 0.6)
    block = built(configured(basis, 3, 4, step_sizes={"taus": taus}))
    kernel, bias = block.weights.stacked.affine[0].kernel, block.weights.stacked.affine[0].bias
    h, t = np.asarray(H0), 0.0
    for tau in taus:
        values = Basis(basis, 3)(np.asarray(t / sum(taus)), np)
        w, b = np.tensordot(values, kernel[...], 1), np.tensordot(values, bias[...], 1)
        h, t = h + tau * np.tanh(h @ w + b), t + tau
    np.testing.assert_allclose(block(H0).h1, h, rtol=1e-12)


@pytest.mark.parametrize(
    ("integrator", "rtol"),
    [
        ({"kind": "rk4"}, 1e-6),
        ({"kind": "dopri5", "rtol": 1e-9, "atol": 1e-9}, 1e-7),
        ({"kind": "diffrax", "controller": {"rtol": 1e-9, "atol": 1e-9}}, 1e-7),
    ],
)
def test_any_solver_integrates_the_same_continuous_weights(integrator, rtol):
    block = built(configured(num_steps=64, step_sizes={"horizon": 2.0}, integrator=integrator))
    kernel, bias = (
        np.asarray(part[...])
        for part in (
            block.weights.stacked.affine[0].kernel,
            block.weights.stacked.affine[0].bias,
        )
    )

    def derivative(t, h):
        values = legendre.legvander(np.asarray([t - 1.0]), 2)[0]
        w, b = np.tensordot(values, kernel, 1), np.tensordot(values, bias, 1)
        return np.tanh(h.reshape(-1, WIDTH) @ w + b).ravel()

    exact = scipy.integrate.solve_ivp(
        derivative, (0, 2), np.asarray(H0).ravel(), rtol=1e-11, atol=1e-12, method="DOP853"
    ).y[:, -1]
    np.testing.assert_allclose(np.ravel(block(H0).h1), exact, rtol=rtol, atol=1e-8)


def test_number_of_steps_is_free_and_converges_at_the_order_of_the_method():
    block = built(configured(num_steps=8, step_sizes={"horizon": 1.0}))
    fine = built(configured(num_steps=8, step_sizes={"horizon": 1.0}, integrator={"kind": "rk4"}))
    exact = fine(H0, Discretisation(step_factor=16)).h1
    errors = [
        float(jnp.max(jnp.abs(block(H0, Discretisation(step_factor=factor)).h1 - exact)))
        for factor in (4, 8, 16)
    ]
    np.testing.assert_allclose(np.log2(np.divide(errors[:-1], errors[1:])), 1.0, atol=0.1)


@pytest.mark.parametrize("basis", SMOOTH)
def test_gradients_of_coefficients_and_step_sizes_equal_finite_differences(basis):
    sizes = {"kind": "learned", "parametrisation": "positive", "horizon": 1.5}
    block = built(configured(basis, 3, 4, step_sizes=sizes, integrator={"kind": "midpoint"}))
    graphdef, params = nnx.split(block)
    check_gradient(lambda p: jnp.sum(nnx.merge(graphdef, p)(H0).h1 ** 2), params)


def test_cells_are_layers():
    cells = configured("piecewise_constant", 4).build((WIDTH,), rngs=nnx.Rngs(3))
    layers = configured(weights={"kind": "per_layer", "num_layers": 4}).build(
        (WIDTH,), rngs=nnx.Rngs(3)
    )
    h0 = H0.astype(jnp.float32)
    np.testing.assert_array_equal(cells(h0).h1, layers(h0).h1)


@pytest.mark.parametrize("basis", ["legendre", "chebyshev", "fourier"])
def test_weights_do_not_depend_on_depth_before_training(basis):
    block = configured(basis, 5).build((WIDTH,), rngs=nnx.Rngs(0))
    kernel = block.weights.stacked.affine[0].kernel[...]
    assert np.all(np.asarray(kernel[1:]) == 0)
    assert np.all(np.asarray(kernel[0]) != 0)


def test_every_knot_of_hats_is_drawn():
    block = configured("piecewise_linear", 5).build((WIDTH,), rngs=nnx.Rngs(0))
    kernel = np.asarray(block.weights.stacked.affine[0].kernel[...])
    assert len(np.unique(kernel)) == kernel.size


NORMED = {"field": {"kind": "residual"}}


def test_running_statistics_of_a_knot_move_to_the_weighted_mean_of_what_its_steps_saw():
    config = configured("legendre", 3, 6, step_sizes={"horizon": 0.5}, **NORMED)
    block = built(config, (4, 4, 2))
    images = jnp.asarray(np.random.default_rng(7).normal(size=(8, 4, 4, 2)))
    norm = block.weights.stacked.norms[0]
    before = np.asarray(norm.mean[...]), np.asarray(norm.variance[...])
    path = block(images, save_path=True, training=True).path
    # Full pre-activation: the first norm sees the state itself.
    seen = np.asarray(path)[:-1].reshape(6, -1, 2)
    hats = np.maximum(0, 1 - np.abs(np.arange(6)[None] / 6 * 2 - np.arange(3)[:, None]))
    shares = hats / hats.sum(axis=1, keepdims=True)
    after = [
        0.9 * old + 0.1 * shares @ new
        for old, new in zip(before, (seen.mean(axis=1), seen.var(axis=1, ddof=1)), strict=True)
    ]
    np.testing.assert_allclose(norm.mean[...], after[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(norm.variance[...], after[1], rtol=1e-6)


def test_statistics_that_do_not_depend_on_depth_are_those_of_shared_weights():
    images = jnp.asarray(np.random.default_rng(7).normal(size=(8, 4, 4, 2)), jnp.float32)
    shared = DepthBlockConfig.model_validate(
        {"num_steps": 4, "weights": {"kind": "shared"}, "step_sizes": {"horizon": 0.5}} | NORMED
    ).build((4, 4, 2), rngs=nnx.Rngs(0))
    ours = configured("legendre", 2, 4, step_sizes={"horizon": 0.5}, **NORMED).build(
        (4, 4, 2), rngs=nnx.Rngs(0)
    )
    for _ in range(2):
        shared(images, training=True)
        ours(images, training=True)
    for norm, other in zip(shared.weights.stacked.norms, ours.weights.stacked.norms, strict=True):
        # The mean over all steps is not that of any knot, but lies between them.
        low, high = np.min(other.mean[...], axis=0), np.max(other.mean[...], axis=0)
        assert np.all((low <= norm.mean[0]) & (norm.mean[0] <= high))


def test_gradient_flow_goes_through_the_weights_of_every_step():
    block = built(configured("chebyshev", 3, 5, step_sizes={"horizon": 1.0}))
    chain = chain_of(block)
    h, step = H0, jax.jit(chain.step)
    t0s, taus = np.asarray(chain.t0s), np.asarray(chain.taus)
    for k in range(5):
        params, fixed = (
            jax.tree.map(lambda leaf, k=k: np.asarray(leaf)[k], part)
            for part in (chain.params, chain.fixed)
        )
        h = step(params, fixed, t0s[k, 0], taus[k, 0], h)
    np.testing.assert_allclose(h, block(H0).h1, rtol=1e-12)
    other = built(configured(integrator={"kind": "rk4"}))
    with pytest.raises(ConfigError, match=r"weights.kind=basis.*integrator.kind=euler"):
        chain_of(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_sizes": {"kind": "learned"}}, r"basis.*above 0.*positive or simplex"),
        ({"step_sizes": {"taus": [1.0, 0.0, 1, 1, 1, 1, 1, 1]}}, r"basis.*above 0"),
        ({"field": {"kind": "residual", "arrangement": "original"}}, "a layer has no time"),
        ({"weights": {"kind": "basis", "num_basis": 1}}, "at least 2.*kind=shared"),
        ({"integrator": {"kind": "fractional"}, "step_sizes": {"kind": "learned"}}, "above 0"),
        (
            {"integrator": {"kind": "fractional", "memory_gradient": False}},
            "memory_gradient=false would be ignored",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        configured(**options)


def test_more_functions_than_steps_are_refused():
    with pytest.raises(ConfigError, match="num_basis is at most 8; got 9"):
        configured(num_basis=9).build((WIDTH,), rngs=nnx.Rngs(0))
