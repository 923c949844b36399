"""A run that is killed again and again ends as if it had not been."""

import random
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest
from commands import QUICKSTART, last_step
from forked import start
from without_clock import without_clock

from odenet.training.callbacks import read_metrics

KILLS = 10
STEPS = 600
RUN = ("run", QUICKSTART, f"training.num_steps={STEPS}", "--quiet", "--out")


def kill_after_step(process, path, step, delay):
    while process.is_alive() and last_step(path) < step:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    process.join()


def ended(process):
    process.join(300)
    return process.exitcode


def numbers(path):
    return without_clock(read_metrics(path / "metrics.jsonl"))


def arrays(path):
    newest = max((path / "checkpoints" / "last").iterdir())
    checkpointer = ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
    found = checkpointer.restore((newest / "arrays").absolute())
    checkpointer.close()
    return int(newest.name), found


@pytest.mark.slow
def test_run_killed_at_ten_random_points_ends_bit_identical(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert ended(start(*RUN, straight)) == 0
    points = random.Random(20)
    steps = sorted(points.randrange(0, STEPS) for _ in range(KILLS))
    words = (*RUN, killed)
    deaths = 0
    for step in steps:
        process = start(*words)
        kill_after_step(process, killed, step, points.uniform(0, 0.05))
        deaths += process.exitcode == -9
        words = ("resume", killed, "--quiet")
    assert deaths == KILLS
    assert ended(start(*words)) == 0
    assert numbers(killed) == numbers(straight)
    (step, ours), (other_step, theirs) = arrays(killed), arrays(straight)
    assert step == other_step == STEPS
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
