"""The ODE-Net of torchdiffeq's MNIST example, against torchdiffeq with and without its adjoint."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.blocks import structure
from benchmarks.declaration import Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy, training
from benchmarks.networks import conv
from odenet.models import DepthBlockConfig
from odenet.ops.norm import group_norm

_TORCH = "benchmarks.cases.odenet_mnist_torch"
_EPSILON, _GROUPS = 1e-5, 32  # torch's, and those of the example

BENCHMARK = Comparison(
    name="odenet_mnist",
    about="ODE-Net for MNIST, batch 128, dopri5, rtol = atol = 1e-3, one SGD-momentum step",
    sides=(
        Side("odenet", "benchmarks.cases.odenet_mnist", keeps_memory=True),
        Side("torchdiffeq", _TORCH, {"adjoint": False}),
        Side("torchdiffeq adjoint", _TORCH, {"adjoint": True}),
    ),
    ratios=(
        Ratio("torchdiffeq odeint", "odenet", "torchdiffeq", bar=1.0),
        Ratio("torchdiffeq odeint_adjoint", "odenet", "torchdiffeq adjoint", bar=0.7),
    ),
    settings={
        "batch": 128,
        "side": 28,
        "tolerance": 1e-3,
        "learning_rate": 0.1,
        "max_steps": 16,
        "first_step": "auto",
        "fixed_steps": None,
    },
    full=Timing(rounds=7, steps=1),
    quick=Timing(rounds=1, warm_up=1, settle=0),
    quick_settings={"batch": 8},
    # Fixed midpoint steps are the same on both sides. The tests compare the adaptive solve with
    # diffrax's: torchdiffeq steps over the end and interpolates, so its steps always differ.
    checks=(Check({"batch": 2, "side": 12, "fixed_steps": 4}),),
    note=(
        "Field evaluations are those of the forward pass, in the last timed step. The remaining "
        "costs are the recomputation of each step, the small matrix products of Winograd's "
        "algorithm, and the strided convolutions of the stem, which are XLA's (see convolution). "
        "Tried without gain: diffrax's checkpointed adjoint, storage of the intermediate results "
        "of each step, the stem from patches, its input gradients by phases of the stride."
    ),
)


def _integrator(settings: Settings) -> dict[str, Any]:
    if settings["fixed_steps"]:
        return {"kind": "midpoint"}
    names = ("tolerance", "tolerance", "first_step", "max_steps")
    options = zip(("rtol", "atol", "first_step", "max_steps"), names, strict=True)
    return {"kind": "dopri5"} | {option: settings[name] for option, name in options}


def _placed(params: dict[str, jax.Array]) -> dict[str, Any]:
    """Weights by the names of the example as parameters of the block, stacked over one layer."""

    def layer(name, leaves):
        return {leaf: params[f"field.{name}.{leaf}"][None] for leaf in leaves}

    stacked = {
        "norms": {i: layer(f"norm{i + 1}", ("scale", "bias")) for i in range(3)},
        "convolutions": {i: layer(f"conv{i + 1}", ("kernel", "bias")) for i in range(2)},
        "time": {i: {"kernel": params[f"field.conv{i + 1}.time"][None]} for i in range(2)},
    }
    return {"weights": {"stacked": stacked}}


def build(settings: Settings, double: bool) -> Work:
    """The odenet side, with exact gradients by recomputation of each step from its start."""
    side = settings["side"]
    size = (side - 2) // 2 // 2  # after a 3x3 convolution without padding and two of stride 2
    config = DepthBlockConfig(
        num_steps=settings["fixed_steps"] or 1,
        field={
            "kind": "conv",
            "num_groups": _GROUPS,
            "norm_epsilon": _EPSILON,
            "last_norm": True,
        },
        weights={"kind": "shared_with_time"},
        step_sizes={"kind": "fixed", "horizon": 1.0},
        integrator=_integrator(settings),
    )
    graphdef = structure(config, (size, size, 64))

    def loss(params, batch):
        def norm(name, h):
            scale, bias = params[f"{name}.scale"], params[f"{name}.bias"]
            return group_norm(h, scale, bias, _GROUPS, _EPSILON)

        h = conv(batch[0], params["stem.0.kernel"], 1, 0) + params["stem.0.bias"]
        for index in (3, 6):
            h = conv(jax.nn.relu(norm(f"stem.{index - 2}", h)), params[f"stem.{index}.kernel"], 2)
            h = h + params[f"stem.{index}.bias"]
        solve = nnx.merge(graphdef, _placed(params))(h)
        pooled = jnp.mean(jax.nn.relu(norm("head_norm", solve.h1)), axis=(1, 2))
        logits = pooled @ params["head.kernel"] + params["head.bias"]
        return cross_entropy(logits, batch[1]), {"outputs": logits, "stats": solve.stats}

    batch = weights.images(settings["batch"], (side, side, 1), 10, double)
    optimizer = optax.sgd(settings["learning_rate"], 0.9)

    def facts(extras):
        stats = extras["stats"]
        assert np.all(stats.success), "the solve did not reach t1"
        return {"nfe": int(stats.nfe), "rejected_steps": int(stats.rejected)}

    return training(loss, weights.odenet_mnist(double), batch, optimizer, facts)
