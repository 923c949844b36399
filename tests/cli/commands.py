"""The command line as a user runs it: another process, its exit code and its two streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
