"""The command line as a user runs it: another process, its exit code and its two streams."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from odenet.training.callbacks import read_metrics

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"
SMALL = (
    "training.num_steps=20",
    "training.evaluate_every=10",
    "training.optimizer.warmup_steps=0",
    "model.block.num_steps=4",
    "model.stages.0.width=8",
)
"""Overrides that make the quickstart a matter of seconds."""


def environment():
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "COLUMNS": "100",
    }


def command(*words):
    return [sys.executable, "-m", "odenet", *map(str, words)]


def odenet(*words, cwd=ROOT, **options):
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(),
        timeout=300,
        check=False,
        **options,
    )


def answer(*words, **options):
    """The JSON object that a command prints, after it ended well."""
    done = odenet(*words, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_for_step(process, path, step, pause=0.05):
    """Wait until the run in `path` has logged `step`, or has ended.

    Before its first step a run is not yet asked to stop by a signal, but killed by it.
    """
    while process.poll() is None and last_step(path) < step:
        time.sleep(pause)


def last_step(path):
    """The step of the newest record of metrics, 0 before there is one."""
    records = read_metrics(path / "metrics.jsonl")
    return records[-1]["step"] if records else 0
