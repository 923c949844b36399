"""First training step of a network of 1001 layers against one of 29: trace, compile, run."""

import time

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.declaration import Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy
from odenet.models import ClassifierConfig, init_network
from odenet.training.state import split_network

_MODULE = "benchmarks.cases.compile_depth"

BENCHMARK = Comparison(
    name="compile_depth",
    about=(
        "first step of pre-activation bottleneck networks of 9n + 2 layers, per-stage scan, group "
        "norm in the place of batch norm"
    ),
    sides=(
        Side("depth 1001", _MODULE, {"n": 111}, keeps_memory=True),
        Side("depth 29", _MODULE, {"n": 3}, keeps_memory=True),
    ),
    ratios=(Ratio("depth 29", "depth 1001", "depth 29", bar=1.5),),
    settings={"batch": 2, "side": 8, "widths": [64, 128, 256]},
    full=Timing(rounds=3, warm_up=1, settle=0),
    quick=Timing(rounds=1, warm_up=0, settle=0),
    quick_settings={"widths": [16]},
    note=(
        "A step traces, compiles and runs anew, in a process that has compiled before, so that "
        "what XLA does once per process flatters neither side. Images are small, so that the run "
        "does not hide the compiler. Initialisation is timed apart."
    ),
)


def config(n: int, widths: list[int]) -> ClassifierConfig:
    """Stages of `n` bottleneck blocks, one for each of `widths`."""
    stages = []
    for index, width in enumerate(widths):
        field = {
            "kind": "conv",
            "num_convolutions": 3,
            "hidden": [width // 4] * 2,
            "kernel_size": [1, 3, 1],
        }
        block = {"kind": "depth", "num_steps": n, "field": field}
        stage = {"width": width, "block": block}
        if index:
            stage["projection"] = {"kind": "conv", "kernel_size": 1, "stride": 2}
        stages.append(stage)
    return ClassifierConfig(stem={"kind": "conv"}, stages=stages, head={"activation": "relu"})


def build(settings: Settings, double: bool) -> Work:
    """A network of 9n + 2 layers."""
    side, facts = settings["side"], {}
    inputs, labels = weights.images(settings["batch"], (side, side, 3), 10, double)
    optimizer = optax.sgd(0.1, 0.9)

    def step() -> float:
        jax.clear_caches()
        start = time.perf_counter()
        model = config(settings["n"], settings["widths"])
        network = init_network(model, (side, side, 3), 10, jax.random.key(0))
        graphdef, params, statistics = split_network(network)
        moments = jax.block_until_ready(jax.jit(optimizer.init)(params))
        facts["init_seconds"] = time.perf_counter() - start

        def train(params, moments, inputs, labels):
            def loss(params):
                return cross_entropy(nnx.merge(graphdef, params, statistics)(inputs)[0], labels)

            value, grads = jax.value_and_grad(loss)(params)
            updates, moments = optimizer.update(grads, moments, params)
            return optax.apply_updates(params, updates), moments, value

        start = time.perf_counter()
        compiled = jax.jit(train, donate_argnums=(0, 1))
        params, moments, value = jax.block_until_ready(compiled(params, moments, inputs, labels))
        first = time.perf_counter() - start
        assert np.isfinite(value)
        start = time.perf_counter()
        jax.block_until_ready(compiled(params, moments, inputs, labels))
        facts["second_step_seconds"] = time.perf_counter() - start
        return first

    return Work(step, facts=lambda: facts)
