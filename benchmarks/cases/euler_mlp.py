"""A residual network of 32 layers with learned step sizes, against the same network in PyTorch."""

import numpy as np
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.blocks import structure
from benchmarks.declaration import Arrays, Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy, training
from odenet.models import DepthBlockConfig

_LEAVES = ("kernel", "bias", "tau")

BENCHMARK = Comparison(
    name="euler_mlp",
    about="32-layer MLP ResNet, width 64, batch 128, learned tau, one SGD-momentum step",
    sides=(
        Side("odenet", "benchmarks.cases.euler_mlp", keeps_memory=True),
        Side("torch", "benchmarks.cases.euler_mlp_torch"),
    ),
    ratios=(Ratio("PyTorch", "odenet", "torch", bar=0.3),),
    settings={"layers": 32, "width": 64, "batch": 128},
    full=Timing(rounds=15, steps=40, settle=5),
    quick=Timing(rounds=1, steps=2),
    checks=(Check({"batch": 8}),),
    note=(
        "The matrix products, three in each layer and too small for two cores, and their dispatch "
        "take the time. A version by hand, with the gradients of all weights as one batched "
        "product after the backward pass, was faster, but also far from the bar. Tried without "
        "gain: unrolling the loop, states in one carried array, segments of layers, the batch on "
        "two devices."
    ),
)


def build(settings: Settings, double: bool) -> Work:
    """The odenet side: a block of the package with stacked weights, in one scan."""
    layers, width = settings["layers"], settings["width"]
    config = DepthBlockConfig(
        num_steps=layers,
        field={"kind": "mlp", "form": "inside", "activation": "tanh"},
        weights={"kind": "per_layer"},
        step_sizes={"kind": "learned"},
        integrator={"kind": "euler"},
    )
    graphdef = structure(config, (width,))

    def loss(params, batch):
        affine = {leaf: params[f"layers.{leaf}"] for leaf in ("kernel", "bias")}
        placed = {
            "weights": {"stacked": {"affine": {0: affine}}},
            "step_sizes": {"raw": params["layers.tau"]},
        }
        h1 = nnx.merge(graphdef, placed)(batch[0]).h1
        logits = h1 @ params["head.kernel"] + params["head.bias"]
        return cross_entropy(logits, batch[1]), {"outputs": logits}

    batch = weights.vectors(settings["batch"], width, 10, double)
    stacked = _stacked(weights.euler_mlp(layers, width, double), layers)
    return training(loss, stacked, batch, optax.sgd(0.1, 0.9), by_name=_by_layer)


def _stacked(by_layer: Arrays, layers: int) -> Arrays:
    """The weights in the package's layout: one array for all layers."""
    head = {name: array for name, array in by_layer.items() if name.startswith("head")}
    return head | {
        f"layers.{leaf}": np.stack([by_layer[f"layers.{k}.{leaf}"] for k in range(layers)])
        for leaf in _LEAVES
    }


def _by_layer(stacked: Arrays) -> Arrays:
    head = {name: array for name, array in stacked.items() if name.startswith("head")}
    return head | {
        f"layers.{k}.{leaf}": layer
        for leaf in _LEAVES
        for k, layer in enumerate(stacked[f"layers.{leaf}"])
    }
