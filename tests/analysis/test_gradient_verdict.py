"""Verdicts on networks that are built so that the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from odenet.analysis.flow_probe import FlowProbe, evenly_chosen
from odenet.analysis.gradient_verdict import judge_flow
from odenet.data import Normalization, Split
from odenet.errors import ConfigError
from odenet.models import DepthBlockConfig, FeedForwardBlockConfig, RegressorConfig
from odenet.objectives import MeanSquaredErrorConfig, Objective

WIDTH, DEPTH = 4, 12
RNG = np.random.default_rng(7)
EXAMPLES = Split(
    RNG.normal(size=(6, WIDTH)).astype(np.float32), RNG.normal(size=(6, 2)).astype(np.float32)
)
AS_IT_IS = Normalization(np.zeros(WIDTH, np.float32), np.ones(WIDTH, np.float32))
LINEAR = {"kind": "mlp", "activation": "identity"}


def orthogonal():
    return np.linalg.qr(RNG.normal(size=(WIDTH, WIDTH)))[0]


def measured(block, weights, examples=6, threshold=2.0):
    """The flow through a linear network with the given weights and no biases."""
    config = RegressorConfig(stem={"kind": "flatten"}, stages=[{"width": WIDTH}], block=block)
    network = config.build((WIDTH,), 2, rngs=nnx.Rngs(0))
    affine = network.blocks[0].weights.stacked.affine[0]
    affine.kernel[...] = jnp.asarray(np.asarray(weights), jnp.float32)
    affine.bias[...] = jnp.zeros_like(affine.bias[...])
    graphdef, params = nnx.split(network)
    loss = Objective(MeanSquaredErrorConfig().build())
    with jax.numpy_dtype_promotion("standard"):
        return FlowProbe(graphdef, loss, AS_IT_IS, EXAMPLES, examples, threshold)(params, {})


def plain(weights, **options):
    block = FeedForwardBlockConfig(num_layers=len(weights), field=LINEAR)
    return measured(block, weights, **options)


def residual(weights, tau=1.0, **options):
    sizes = {"kind": "fixed", "tau": tau}
    block = DepthBlockConfig(num_steps=len(weights), field=LINEAR, step_sizes=sizes)
    return measured(block, weights, **options)


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.5, "vanishing"), (1.0, "healthy"), (2.0, "exploding")]
)
def test_scaled_orthogonal_layers_have_exactly_that_factor(factor, verdict):
    report = plain([factor * orthogonal() for _ in range(DEPTH)])
    found = report.verdict
    assert found.verdict == verdict
    assert found.rule == "change over depth"
    assert found.factor_per_layer == pytest.approx(factor, rel=1e-5)
    extreme = DEPTH * np.log10(factor)
    assert found.lowest == pytest.approx(min(extreme, 0), abs=1e-5)
    assert found.highest == pytest.approx(max(extreme, 0), abs=1e-5)
    if factor != 1.0:
        assert found.fit == pytest.approx(1.0)
        assert found.layers_to_threshold == pytest.approx(2 / abs(np.log10(factor)), rel=1e-4)
        assert f"from layer {DEPTH} back to layer 0 the norm changes by {extreme:+.2f}" in (
            found.reason
        )
    (block,) = report.statistics.blocks
    for values in (block.factors.largest, block.factors.mean, block.factors.smallest):
        np.testing.assert_allclose(values, np.full(DEPTH, factor), rtol=1e-5)
    assert report.identity == (None,)


def test_identity_term_does_not_prevent_vanishing():
    """`h - h / 2`: every factor of the product is a half, with an identity in each of them."""
    report = residual([-0.5 * np.eye(WIDTH)] * DEPTH)
    assert report.verdict.verdict == "vanishing"
    assert report.verdict.factor_per_layer == pytest.approx(0.5, rel=1e-5)
    (bound,) = report.identity
    assert bound.branch == pytest.approx(0.5)
    # The bound holds, and is attained: it is a bound on the fall and no promise against it.
    assert bound.decades == pytest.approx(DEPTH * np.log10(0.5), rel=1e-4)
    assert report.verdict.lowest >= bound.decades - 1e-4


def test_nothing_follows_from_the_identity_where_a_branch_is_as_large_as_it():
    report = residual([-np.eye(WIDTH) * (1.25 if k == 3 else 0.1) for k in range(DEPTH)])
    (bound,) = report.identity
    assert bound.decades is None
    assert bound.layer == 3
    assert bound.branch == pytest.approx(1.25)


def test_small_steps_bound_the_fall():
    weights = [orthogonal() for _ in range(DEPTH)]
    report = residual(weights, tau=0.05)
    assert report.verdict.verdict == "healthy"
    (bound,) = report.identity
    assert bound.decades == pytest.approx(DEPTH * np.log10(0.95), rel=1e-4)
    assert report.verdict.lowest >= bound.decades


def test_residual_network_can_explode():
    report = residual([np.eye(WIDTH)] * DEPTH)
    assert report.verdict.verdict == "exploding"
    assert report.verdict.factor_per_layer == pytest.approx(2.0, rel=1e-5)


def test_gradients_of_weights_are_judged_apart():
    """Linear layers of factor 1/2: states shrink forwards as gradients do backwards, so dL/dW is
    the same in every layer while dL/dy vanishes (Glorot and Bengio 2010)."""
    report = plain([0.5 * orthogonal() for _ in range(DEPTH)])
    assert report.verdict.verdict == "vanishing"
    assert report.weights_verdict.verdict == "healthy"
    (block,) = report.statistics.blocks
    norms = np.asarray(block.weights["norm"])
    np.testing.assert_allclose(norms, np.full(DEPTH, norms[0]), rtol=1e-4)
    np.testing.assert_allclose(block.weights["rms"] * WIDTH, norms, rtol=1e-5)
    biases = block.others["norm"]
    assert biases[0] / biases[-1] == pytest.approx(0.5 ** (DEPTH - 1), rel=1e-3)
    assert f"from layer {DEPTH} back to layer" in report.weights_verdict.reason


def test_gradient_that_is_cut_off_vanishes():
    weights = [orthogonal() for _ in range(4)]
    weights[1] = np.zeros((WIDTH, WIDTH))
    found = plain(weights).verdict
    assert (found.verdict, found.rule) == ("vanishing", "gradient of zero")
    assert found.reason == "the gradient is exactly 0 at layer 1"


def test_one_layer_alone_can_make_the_verdict():
    """A line through the logarithms would miss it; the rule looks at every layer."""
    found = judge_flow([1.0] * 10 + [1e5] + [1.0] * 10)
    assert found.verdict == "exploding"
    assert found.layer == 10
    assert found.factor_per_layer == pytest.approx(1.0)


def test_threshold_decides():
    norms = 10.0 ** np.linspace(-1.5, 0, 4)
    assert judge_flow(norms.tolist()).verdict == "healthy"
    assert judge_flow(norms.tolist(), 1.0).verdict == "vanishing"
    assert judge_flow(norms[::-1].tolist(), 1.0).verdict == "exploding"


@pytest.mark.parametrize(
    ("norms", "verdict"),
    [
        ([1.0], "not judged: there is one layer"),
        ([1.0, 0.0], "not judged: the loss has no gradient"),
        ([np.inf, 1.0], "exploding"),
        ([np.nan, 1.0], "exploding"),
    ],
)
def test_gradients_that_have_no_change(norms, verdict):
    assert judge_flow(norms).verdict == verdict


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, np.inf])
def test_threshold_must_be_positive(threshold):
    with pytest.raises(ConfigError, match="positive number of decades"):
        judge_flow([1.0, 2.0], threshold)


def test_examples_are_spread_over_the_split():
    split = Split(np.arange(10.0, dtype=np.float32)[:, None], np.arange(10, dtype=np.int32))
    assert evenly_chosen(split, 4).targets.tolist() == [0, 3, 6, 9]
    assert len(evenly_chosen(split, 99)) == 10
    with pytest.raises(ConfigError, match="at least one example"):
        evenly_chosen(split, 0)


def test_statistics_are_moments_over_batch_and_state():
    weights = [orthogonal() for _ in range(2)]
    report = residual(weights, tau=0.5)
    (block,) = report.statistics.blocks
    y0 = np.asarray(EXAMPLES.inputs, np.float64)
    y1 = y0 + 0.5 * y0 @ weights[0]
    y2 = y1 + 0.5 * y1 @ weights[1]
    states = [y0, y1, y2]
    np.testing.assert_allclose(block.states["std"], [y.std() for y in states], rtol=1e-5)
    np.testing.assert_allclose(block.states["mean"], [y.mean() for y in states], rtol=1e-4)
    added = [(y1 - y0).std(), (y2 - y1).std()]
    np.testing.assert_allclose(block.responses["std"], added, rtol=1e-5)
    sizes = np.sqrt(y0.size)
    root = np.sqrt(np.square(block.gradients["std"]) + np.square(block.gradients["mean"]))
    np.testing.assert_allclose(block.gradients["norm"], sizes * root, rtol=1e-5)


def test_plain_report_is_json_with_none_for_what_is_not_finite():
    import json

    values = plain([1e30 * np.eye(WIDTH)] * 4).plain()
    assert values["verdict"]["verdict"] == "exploding"
    assert values["blocks"][0]["gradients"]["norm"][0] is None
    json.dumps(values, allow_nan=False)
