"""Densely connected layers: features concatenated, each scaled by the step size of its layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pydantic import ValidationError

from odenet.experiment.refinement.prune import select_layers
from odenet.models import DepthBlockConfig, RegressorConfig

BEFORE, GROWTH, LAYERS = 3, 2, 4
TAUS = (0.5, -0.3, 1.0, 0.2)
X = jnp.asarray(np.random.default_rng(7).normal(size=(5, 2)))


def values(width=BEFORE + LAYERS * GROWTH, **block):
    stage = {"width": width, "projection": {"kind": "zero_pad"}}
    field = {"kind": "dense", "growth": GROWTH}
    steps = {"kind": "learned"}
    return {
        "stem_width": BEFORE,
        "stages": [stage],
        "block": {"num_steps": LAYERS, "field": field, "step_sizes": steps} | block,
    }


@pytest.fixture
def network():
    """Every parameter drawn, in double precision; what is no parameter as it is."""
    made = RegressorConfig.model_validate(values()).build((2,), 2, rngs=nnx.Rngs(0))
    graphdef, params, rest = nnx.split(made, nnx.Param, ...)
    rng = np.random.default_rng(1)
    drawn = jax.tree.map(lambda leaf: jnp.asarray(0.7 * rng.normal(size=leaf.shape)), params)
    made = nnx.merge(graphdef, drawn, rest)
    made.blocks[0].step_sizes.raw[...] = jnp.asarray(TAUS)
    return made


def concatenated(params, x, layers=range(LAYERS)):
    """Written out: every layer sees all features before it, and adds its own."""
    stem = params["projections"][0]["operation"]["stem"]["operation"]["linear"]
    affine = params["blocks"][0]["weights"]["stacked"]["affine"]
    y = x @ stem["kernel"] + stem["bias"][None]
    seen = list(range(BEFORE))
    for k in layers:
        W = affine["kernel"][k][jnp.asarray(seen)]
        features = params["blocks"][0]["step_sizes"]["raw"][k] * jnp.tanh(
            y @ W + affine["bias"][k][None]
        )
        y = jnp.concatenate([y, features], axis=1)
        seen += range(BEFORE + k * GROWTH, BEFORE + (k + 1) * GROWTH)
    head = params["head"]["linear"]
    return y @ head["kernel"][jnp.asarray(seen)] + head["bias"][None]


def test_network_concatenates_scaled_features(network):
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    plain = nnx.to_pure_dict(params)

    def derivatives(outputs, params):
        value, pull = jax.vjp(outputs, params)
        return value, pull(2 * value)[0]

    @jax.jit
    def both(params, plain):
        ours = derivatives(lambda p: nnx.merge(graphdef, p, rest)(X).outputs, params)
        return ours, derivatives(lambda p: concatenated(p, X), plain)

    (value, found), (known, expected) = both(params, plain)
    np.testing.assert_allclose(value, known, rtol=1e-12)
    found = nnx.to_pure_dict(found)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    steps = found["blocks"][0]["step_sizes"]["raw"]
    assert np.min(np.abs(steps)) > 1e-6


def test_layers_that_are_pruned_leave_their_channels_empty(network):
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    plain = nnx.to_pure_dict(params)
    kept = np.array([0, 2, 3])
    arrays = {
        f"params/blocks/0/weights/stacked/{name}": np.asarray(leaf)
        for name, leaf in (("place", network.blocks[0].weights.stacked.place[...]),)
    }
    places = select_layers(arrays, {0: kept})["params/blocks/0/weights/stacked/place"]
    block = DepthBlockConfig.model_validate(values()["block"] | {"num_steps": 3})
    small = block.build((BEFORE + LAYERS * GROWTH,), rngs=nnx.Rngs(0))
    _, old, _ = nnx.split(network.blocks[0], nnx.Param, ...)
    structure, _, _ = nnx.split(small, nnx.Param, ...)
    pruned = nnx.merge(
        structure,
        jax.tree.map(lambda leaf: leaf[kept], old),
        nnx.state(small, nnx.filterlib.Not(nnx.Param)),
    )
    pruned.weights.stacked.place[...] = jnp.asarray(places)
    whole = nnx.merge(graphdef, params, rest)

    @jax.jit
    def both(x):
        outputs = whole.head(pruned(whole.projections[0](x)).h1)
        return outputs, concatenated(plain, x, kept)

    np.testing.assert_allclose(*both(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (values(width=10), r"growth=2 features in each of 4 layers to the 3 before.*is 11; got 10"),
        ({"stages": [{"width": 11}], "block": values()["block"]}, "projection.kind=zero_pad"),
        (values(weights={"kind": "shared"}), "each needs its own"),
        (values(num_steps=8, weights={"kind": "per_layer", "num_layers": 4}), "each needs its own"),
        ({"stages": [{"width": 4}],
          "block": {"kind": "feedforward", "field": {"kind": "dense"}}}, "keeps none"),
    ],
)  # fmt: skip
def test_layers_without_channels_of_their_own_are_refused(model, message):
    with pytest.raises((ValidationError, ValueError), match=message):
        RegressorConfig.model_validate(model)
