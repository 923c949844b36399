"""First training step of a network of 1001 layers against one of 29: trace, compile, run."""

import time

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.declaration import Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy
from odenet.fields.residual import Arrangement
from odenet.models import ResNetConfig, init_network
from odenet.training.state import split_network

_MODULE = "benchmarks.cases.compile_depth"

_DEPTHS = (1001, 29)
_ARRANGEMENTS = ("original", "full_preactivation")


def _name(depth: int, arrangement: str) -> str:
    return f"depth {depth}, {arrangement.replace('_', ' ')}"


BENCHMARK = Comparison(
    name="compile_depth",
    about=(
        "first training step of the bottleneck CIFAR networks with 9n + 2 layers and batch norm "
        "(He et al. 2016), with either unit"
    ),
    sides=tuple(
        Side(
            _name(depth, arrangement),
            _MODULE,
            {"depth": depth, "arrangement": arrangement},
            keeps_memory=True,
        )
        for arrangement in _ARRANGEMENTS
        for depth in _DEPTHS
    ),
    ratios=tuple(
        Ratio(
            arrangement.replace("_", " "),
            *(_name(depth, arrangement) for depth in _DEPTHS),
            bar=1.5,
        )
        for arrangement in _ARRANGEMENTS
    ),
    settings={"batch": 2, "side": 8, "width": 16},
    full=Timing(rounds=3, warm_up=1, settle=0),
    quick=Timing(rounds=1, warm_up=0, settle=0),
    quick_settings={"width": 4},
    note=(
        "Every step is traced, compiled and run again. The process has compiled before, so that "
        "XLA's work once per process counts for neither side. Images are small, so that "
        "compilation dominates. Initialisation is timed separately."
    ),
)


def config(depth: int, arrangement: Arrangement, width: int) -> ResNetConfig:
    """The configuration of the network of a depth and unit."""
    return ResNetConfig(depth=depth, unit="bottleneck", arrangement=arrangement, width=width)


def build(settings: Settings, double: bool) -> Work:
    """A network of `depth` layers."""
    side, facts = settings["side"], {}
    inputs, labels = weights.images(settings["batch"], (side, side, 3), 10, double)
    optimizer = optax.sgd(0.1, 0.9)

    def step() -> float:
        jax.clear_caches()
        start = time.perf_counter()
        model = config(settings["depth"], settings["arrangement"], settings["width"])
        network = init_network(model, (side, side, 3), 10, jax.random.key(0))
        graphdef, params, statistics = split_network(network)
        moments = jax.block_until_ready(jax.jit(optimizer.init)(params))
        facts["init_seconds"] = time.perf_counter() - start

        def train(params, statistics, moments, inputs, labels):
            def loss(params):
                network = nnx.merge(graphdef, params, statistics)
                value = cross_entropy(network(inputs, training=True)[0], labels)
                return value, split_network(network)[2]

            (value, moved), grads = jax.value_and_grad(loss, has_aux=True)(params)
            updates, moments = optimizer.update(grads, moments, params)
            return optax.apply_updates(params, updates), moved, moments, value

        start = time.perf_counter()
        compiled = jax.jit(train, donate_argnums=(0, 1, 2))
        state = params, statistics, moments
        *state, value = jax.block_until_ready(compiled(*state, inputs, labels))
        first = time.perf_counter() - start
        assert np.isfinite(value)
        start = time.perf_counter()
        jax.block_until_ready(compiled(*state, inputs, labels))
        facts["second_step_seconds"] = time.perf_counter() - start
        return first

    return Work(step, facts=lambda: facts)
