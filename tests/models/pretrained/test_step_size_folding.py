"""Step sizes folded into weights: the same network, with step sizes of 1."""

import jax
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx

from odenet.models.given_taus import with_taus
from odenet.models.pretrained import (
    ARCHITECTURES,
    convert,
    export,
    flatten,
    fold_step_sizes,
    shapes_of,
)
from odenet.models.resnet import ResNetConfig
from odenet.training.state import split_network

COMMON = {"depth": 14, "width": 2}


@pytest.mark.parametrize(
    "given",
    [
        {"zeros": "around"},
        {"shortcut": "projection"},
        {"arrangement": "full_preactivation"},
        {"depth": 20, "unit": "bottleneck", "strided_weight": 2},
    ],
    ids=str,
)
def test_folded_network_computes_the_same_with_step_sizes_of_one(given):
    model = ResNetConfig(**(COMMON | given))
    abstract = nnx.eval_shape(lambda: model.build((8, 8, 3), 4, rngs=nnx.Rngs(0)))
    network = drawn(abstract)  # biases that matter
    nnx.update(network, jax.tree.map(lambda leaf: leaf.astype(np.float32), nnx.state(network)))
    rng = np.random.default_rng(0)
    network = with_taus(network, [rng.uniform(-1, 2, len(taus)) for taus in network.taus()])
    _, params, statistics = split_network(network)
    ours = {**flatten(params), **flatten(statistics)}
    ours = {path: array for path, array in ours.items() if ".step_sizes." not in path}
    family = ARCHITECTURES["resnet20"]
    names = family.weight_map(4, 3, model)
    taus = [np.asarray(stage) for stage in network.taus()]
    named = fold_step_sizes(export(ours, names), family.arrays_in(model, 4, 3), taus)

    abstract = nnx.eval_shape(lambda: model.build((8, 8, 3), 4, rngs=nnx.Rngs(1)))
    structure, weights, running = split_network(abstract)
    filled = convert(named, names, {**shapes_of(weights), **shapes_of(running)})
    plain = nnx.merge(structure, _taken(weights, filled), _taken(running, filled))
    x = rng.normal(size=(3, 8, 8, 3)).astype(np.float32)
    expected, found = jax.jit(lambda x: (network(x).outputs, plain(x).outputs))(x)
    scale = np.ptp(expected)
    assert scale > 1e-3
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)


def _taken(tree, arrays):
    if not isinstance(tree, dict):
        return jax.numpy.asarray(arrays, tree.dtype)
    return {key: _taken(part, arrays[key]) for key, part in tree.items()}
