"""The command line as a user runs it: its exit code and its two streams.

`odenet` calls it in this process, since another one spends seconds on importing jax. What a process
alone shows (signals, locks, full disks) is tested by `odenet_process`.
"""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from unittest import mock

from compilation import environment
from user_settings import as_a_user

from odenet.cli.main import main
from odenet.training.callbacks import read_metrics

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "experiments" / "quickstart.yaml"
SMALL = (
    "training.num_steps=20",
    "training.evaluate_every=10",
    "training.optimizer.warmup_steps=0",
    "model.block.num_steps=4",
    "model.stages.0.width=8",
    "training.parallel.devices=1",
)
"""Overrides that make the quickstart a matter of seconds."""
NETWORKS = {
    "euler": {},
    "euler_learned_tau": {"model.block.step_sizes.kind": "learned"},
    "feedforward": {"model.block": {"kind": "feedforward"}},
}
WAYS = {
    "euler": {"integrator": {"kind": "euler"}},
    "euler_half": {"integrator": {"kind": "euler"}, "step_factor": 0.5},
    "tsit5_1e-5": {"integrator": {"kind": "diffrax", "controller": {"rtol": 1e-5, "atol": 1e-5}}},
}
"""Networks and discretisations of a small comparison."""


def command(*words):
    return [sys.executable, "-m", "odenet", *map(str, words)]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended, by the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def warnings_of_a_new_process():
    """Warnings are shown as they are outside of tests, each once; but not of their precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
            warnings.simplefilter("ignore", category)
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.filterwarnings("ignore", "JAX_ENABLE_X64 is set", UserWarning)
        yield


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def odenet(*words, cwd=ROOT, stream=io.StringIO):
    """What a command does, called in this process, where there is no terminal."""
    out, err = stream(), stream()
    with (
        mock.patch.object(sys, "argv", ["odenet", *map(str, words)]),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings_of_a_new_process(),
        as_a_user(),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return Ended(code, out.getvalue(), err.getvalue())


def odenet_process(*words, cwd=ROOT):
    """The same in a process of its own."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(COLUMNS="100"),
        timeout=300,
        check=False,
    )


def answer(*words, by=odenet, **options):
    """The JSON object that a command prints, after it ended well."""
    done = by(*words, **options)
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
