"""Layers left out, merged and counted, against networks written out by hand."""

import itertools

import jax
import numpy as np
import pytest
from flax import nnx
from toy_run import toy_run, toy_values
from user_settings import settings_of_a_user as settings_of_a_user

from odenet import load
from odenet.analysis.effective_depth import BlockDepth, check_lesions
from odenet.analysis.flow_probe import evenly_chosen
from odenet.errors import ConfigError
from odenet.experiment.config import parse_config
from odenet.instruments import measure
from odenet.instruments.base import normalized
from odenet.instruments.effective_depth import EffectiveDepth
from odenet.models import init_network
from odenet.plotting import wording

LAYERS = {
    "num_steps": 3,
    "field": {"kind": "mlp"},
    "weights": {"kind": "per_layer"},
    "step_sizes": {"kind": "fixed", "taus": [0.5, 1.0, 0.25]},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory.mktemp("toy") / "run", **LAYERS)


@pytest.fixture(scope="module")
def found(trained):
    return measure("effective-depth", trained, examples=40)


@pytest.fixture
def by_hand(trained):
    """`losses(layers)`: the mean loss of a network of `(tau, kernel, bias)`, in NumPy."""
    loaded = load(trained)
    examples = evenly_chosen(loaded.dataset.test, 40)
    inputs = np.asarray(normalized(loaded, examples), np.float64)
    (block,), head = loaded.network.blocks, loaded.network.head
    stacked = block.weights.stacked
    kernels, biases = (np.asarray(leaf, np.float64) for leaf in stack_of(stacked))
    linear = head.linear

    def loss(layers):
        h = inputs
        for tau, kernel, bias in layers:
            h = h + tau * np.tanh(h @ kernel + bias)
        logits = h @ np.asarray(linear.kernel[...]) + np.asarray(linear.bias[...])
        logits = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        rows = np.arange(len(logits))
        return -log_probabilities[rows, np.asarray(examples.targets)].mean(), h

    return [(t, k, b) for t, k, b in zip((0.5, 1.0, 0.25), kernels, biases, strict=True)], loss


def stack_of(stacked):
    leaves = {
        jax.tree_util.keystr(path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(nnx.state(stacked))
    }
    kernel = next(leaf for name, leaf in leaves.items() if "kernel" in name)
    bias = next(leaf for name, leaf in leaves.items() if "bias" in name)
    return kernel, bias


def test_layer_left_out_is_a_network_without_it(found, by_hand):
    layers, loss = by_hand
    (block,) = found["blocks"]
    assert found["scores"]["loss"] == pytest.approx(loss(layers)[0], rel=1e-5)
    without = [loss(layers[:k] + layers[k + 1 :])[0] for k in range(3)]
    np.testing.assert_allclose(block["left_out"]["loss"], without, rtol=1e-5)
    cheapest, second, _ = np.argsort(without)
    assert block["order"][:2] == [cheapest, second]
    kept = [layers[k] for k in range(3) if k not in (cheapest, second)]
    np.testing.assert_allclose(
        block["removed"]["loss"], [loss(layers)[0], without[cheapest], loss(kept)[0]], rtol=1e-5
    )


def test_merged_layers_take_both_steps_with_the_mean_of_their_weights(found, by_hand):
    layers, loss = by_hand
    (block,) = found["blocks"]
    merged = []
    for k in range(2):
        (t, kernel, bias), (u, other_kernel, other_bias) = layers[k : k + 2]
        share = t / (t + u)
        one = (
            t + u,
            share * kernel + (1 - share) * other_kernel,
            share * bias + (1 - share) * other_bias,
        )
        merged.append(loss([*layers[:k], one, *layers[k + 2 :]])[0])
    np.testing.assert_allclose(block["merged"]["loss"], merged, rtol=1e-5)


def test_contribution_is_what_a_layer_adds_relative_to_its_state(found, by_hand):
    layers, loss = by_hand
    (block,) = found["blocks"]
    states = [loss(layers[:k])[1] for k in range(4)]
    expected = [
        np.linalg.norm(after - before) / np.linalg.norm(before)
        for before, after in itertools.pairwise(states)
    ]
    np.testing.assert_allclose(block["contributions"], expected, rtol=1e-5)
    assert block["taus"] == [0.5, 1.0, 0.25]
    squares = sum(c**2 for c in expected)
    assert block["participation"] == pytest.approx(sum(expected) ** 2 / squares, rel=1e-5)


def test_table_has_a_row_per_layer_and_a_sentence_names_the_effective_depth(found):
    table = EffectiveDepth.table(found)
    (block,) = found["blocks"]
    assert list(table.columns[1].cells) == ["0", "1", "2"]
    assert [float(tau) for tau in table.columns[2].cells] == [0.5, 1.0, 0.25]
    assert list(table.columns[5].cells)[-1] == wording.NONE, "the last layer has no next"
    (sentence,) = EffectiveDepth.sentences(found)
    assert sentence.startswith(f"block 1: effective depth {block['effective_depth']} of 3: ")
    needed = {**block, "effective_depth": 3}
    (sentence,) = EffectiveDepth.sentences(found | {"blocks": [needed]})
    assert "every layer is needed" in sentence


def test_steps_are_the_layers_of_shared_weights(tmp_path):
    run = toy_run(tmp_path / "run")
    found = measure("effective-depth", run, examples=16)
    (block,) = found["blocks"]
    assert block["num_layers"] == 4
    assert block["merged"] is None


@pytest.mark.parametrize(
    ("scores", "threshold", "depth"),
    [
        ({"accuracy": [0.9, 0.9, 0.89, 0.5]}, 0.01, 2),
        ({"accuracy": [0.9, 0.9, 0.89, 0.5]}, 0.001, 3),
        ({"accuracy": [0.9, 0.8, 0.9, 0.9]}, 0.01, 4),  # once too low, more do not count
        ({"accuracy": [0.9, 0.95, 0.9, 0.9]}, 0.01, 1),
        ({"loss": [1.0, 1.05, 1.2, 3.0]}, 0.1, 3),
    ],
)
def test_effective_depth_is_what_is_left_when_enough_is_kept(scores, threshold, depth):
    removed = {name: np.asarray(values) for name, values in scores.items()}
    ones = np.ones(4)
    block = BlockDepth(ones, ones, {}, None, removed, np.arange(4))
    assert block.effective_depth(threshold) == depth
    assert block.participation == pytest.approx(4)


def test_layers_that_cannot_be_left_out_are_refused(trained):
    values = toy_values(weights={"kind": "per_layer"}, integrator={"kind": "fractional"})
    network = init_network(parse_config(values).model, (2,), 2, jax.random.key(0))
    with pytest.raises(ConfigError, match=r"step of size 0, which Fractional in model.stages.0"):
        check_lesions(network)
    with pytest.raises(ConfigError, match=r"above 0 and below 1; got 1\.0"):
        measure("effective-depth", trained, threshold=1.0)
