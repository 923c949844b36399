"""A residual network of 32 layers with learned step sizes, against the same in PyTorch."""

import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.declaration import Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy, training
from odenet.models import DepthBlockConfig
from odenet.training.state import split_network

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
)


def build(settings: Settings, double: bool) -> Work:
    """The odenet side: a block of the package, its weights stacked, in one scan."""
    layers, width = settings["layers"], settings["width"]
    block = DepthBlockConfig(
        num_steps=layers,
        field={"kind": "mlp", "form": "inside", "activation": "tanh"},
        weights={"kind": "per_layer"},
        step_sizes={"kind": "learned"},
        integrator={"kind": "euler"},
    ).build((width,), rngs=nnx.Rngs(0))
    graphdef, _, statistics = split_network(block)

    def stacked(params, leaf):
        return jnp.stack([params[f"layers.{layer}.{leaf}"] for layer in range(layers)])

    def loss(params, batch):
        affine = {leaf: stacked(params, leaf) for leaf in ("kernel", "bias")}
        placed = {
            "weights": {"stacked": {"affine": {0: affine}}},
            "step_sizes": {"raw": stacked(params, "tau")},
        }
        h1 = nnx.merge(graphdef, placed, statistics)(batch[0]).h1
        logits = h1 @ params["head.kernel"] + params["head.bias"]
        return cross_entropy(logits, batch[1]), {"outputs": logits}

    batch = weights.vectors(settings["batch"], width, 10, double)
    return training(loss, weights.euler_mlp(layers, width, double), batch, optax.sgd(0.1, 0.9))
