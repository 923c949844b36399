import random
import subprocess
import time

import numpy as np
import orbax.checkpoint as ocp
import pytest
from commands import QUICKSTART, command, environment, odenet_process, wait_for_step
from without_clock import without_clock

from odenet.training.callbacks import read_metrics

KILLS = 10


def kill_after_step(process, path, step, delay):
    wait_for_step(process, path, step, pause=0.002)
    time.sleep(delay)
    process.kill()
    process.wait()


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
    assert odenet_process("run", QUICKSTART, "--out", straight, "--quiet").returncode == 0
    points = random.Random(20)
    steps = sorted(points.randrange(0, 1200) for _ in range(KILLS))
    words = ("run", QUICKSTART, "--out", killed, "--quiet")
    deaths = 0
    for step in steps:
        process = subprocess.Popen(
            command(*words), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        kill_after_step(process, killed, step, points.uniform(0, 0.05))
        deaths += process.returncode == -9
        words = ("resume", killed, "--quiet")
    assert deaths == KILLS
    done = odenet_process(*words)
    assert done.returncode == 0, done.stderr
    assert numbers(killed) == numbers(straight)
    (step, ours), (other_step, theirs) = arrays(killed), arrays(straight)
    assert step == other_step == 1200
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
