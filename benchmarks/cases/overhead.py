"""The package's training, with files and metrics, against a loop written by hand."""

import functools
import itertools
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.declaration import Comparison, Ratio, Settings, Side, Timing, Work
from odenet.data import normalize
from odenet.experiment.build import build as build_experiment
from odenet.experiment.config import ExperimentConfig, parse_config
from odenet.experiment.run import run
from odenet.training.callbacks import Callback, Info

_MODULE = "benchmarks.cases.overhead"
_TINY = {"width": 16, "layers": 4, "batch": 32}
_MEDIUM = {"width": 256, "layers": 16, "batch": 256}

BENCHMARK = Comparison(
    name="overhead",
    about="time per step of fit against a loop written by hand: same model, data and optimiser",
    sides=tuple(
        Side(f"{loop}, {size}", _MODULE, {"loop": loop, "model": model}, keeps_memory=True)
        for size, model in (("tiny", _TINY), ("medium", _MEDIUM))
        for loop in ("fit", "by hand")
    ),
    ratios=tuple(
        Ratio(f"a loop by hand, {size}", f"fit, {size}", f"by hand, {size}", bar=1.03)
        for size in ("tiny", "medium")
    ),
    settings={"steps": {"tiny": 4000, "medium": 200}, "log_every": 10},
    full=Timing(rounds=7, warm_up=1, settle=0),
    quick=Timing(rounds=1, warm_up=0, settle=0),
    quick_settings={"steps": {"tiny": 40, "medium": 20}},
    note=(
        "Compilation is excluded on both sides. The time of fit is that from the first step to the "
        "last line of metrics, with metrics and event files."
    ),
)


class StopWatch(Callback):
    """Measures the time from the start to the last line of metrics."""

    when = frozenset({"start", "log"})

    def __init__(self):
        self.started = self.seconds = 0.0

    def __call__(self, info: Info) -> None:
        """Start the clock, or record the seconds per step so far."""
        now = time.perf_counter()
        if info.event == "start":
            self.started = now
        else:
            self.seconds = (now - self.started) / info.step


def build(settings: Settings, double: bool) -> Work:
    """One of the two loops."""
    del double
    size = "tiny" if settings["model"] == _TINY else "medium"
    config = experiment_config(settings["model"], settings["steps"][size], settings["log_every"])
    if settings["loop"] == "by hand":
        return Work(by_hand(config))
    folder = tempfile.TemporaryDirectory(prefix="odenet-overhead-")
    numbers = itertools.count()

    def step(_folder=folder) -> float:
        watch = StopWatch()
        run(config, Path(_folder.name) / str(next(numbers)), callbacks=[watch])
        return watch.seconds

    return Work(step)


def experiment_config(model: dict[str, int], steps: int, log_every: int) -> ExperimentConfig:
    """A residual network on the digits, evaluated and saved only after the last step."""
    return parse_config(
        {
            "name": "overhead",
            "data": {"kind": "digits"},
            "model": {
                "kind": "classifier",
                "stem": {"kind": "linear"},
                "stages": [{"width": model["width"]}],
                "block": {"num_steps": model["layers"]},
            },
            "training": {
                "num_steps": steps,
                "batch_size": model["batch"],
                "log_every": log_every,
                "evaluate_every": steps,
                "optimizer": {"kind": "adamw", "learning_rate": 1e-3},
            },
        }
    )


def by_hand(config: ExperimentConfig) -> Any:
    """Training without a framework: one jitted step, a loop, and logging every few steps."""
    experiment, training = build_experiment(config), config.training
    train, optimizer = experiment.dataset.train, optax.adamw(1e-3, weight_decay=0.0)
    inputs = normalize(jnp.asarray(train.inputs), experiment.dataset.normalization)
    targets = jnp.asarray(train.targets)
    graphdef, statistics = experiment.graphdef, experiment.start.statistics

    def loss(params, rows):
        logits, _ = nnx.merge(graphdef, params, statistics)(inputs[rows])
        labels = targets[rows]
        value = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return value, jnp.mean(jnp.argmax(logits, axis=-1) == labels)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train_step(params, moments, rows):
        (value, accuracy), grads = jax.value_and_grad(loss, has_aux=True)(params, rows)
        updates, moments = optimizer.update(grads, moments, params)
        metrics = {"loss": value, "accuracy": accuracy, "gradient_norm": optax.tree.norm(grads)}
        return optax.apply_updates(params, updates), moments, metrics

    def rows_of_steps():
        rng, size = np.random.default_rng(0), training.batch_size
        while True:
            order = rng.permutation(len(train)).astype(np.int32)
            for first in range(0, len(order) - size + 1, size):
                yield order[first : first + size]

    def loop(steps: int) -> float:
        params = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), experiment.start.params)
        moments, history = jax.jit(optimizer.init)(params), []
        start = time.perf_counter()
        for step, rows in enumerate(itertools.islice(rows_of_steps(), steps), start=1):
            params, moments, metrics = train_step(params, moments, rows)
            if step % training.log_every == 0:
                history.append({name: float(value) for name, value in metrics.items()})
        return (time.perf_counter() - start) / steps

    loop(training.log_every)  # compiles
    return lambda: loop(training.num_steps)
