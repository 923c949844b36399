"""Callbacks told of a start, whose record holds what the program costs and nothing else."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from odenet.training.callbacks import Info, MetricsFile
from odenet.training.event_file import EventFile
from odenet.training.parallel import Compiled
from odenet.training.progress_bar import ProgressBar

COST = {"step": 4, "split": "program", "compile_seconds": 1.5, "peak_bytes": 1 << 20}
TRAIN = {"step": 6, "split": "train", "loss": 0.25, "step_seconds": 0.1}
TOLD = [
    Info("start", 4, 8, [COST]),
    Info("log", 6, 8, [TRAIN]),
    Info("end", 8, 8),
]


def test_program_that_does_not_tell_its_memory_has_no_key_for_it():
    known = Compiled(lambda: None, 1.5, 1 << 20)
    assert known.record(4) == COST
    unknown = Compiled(lambda: None, 1.5, None).record(4)
    assert unknown == {name: value for name, value in COST.items() if name != "peak_bytes"}


def test_metrics_of_a_start_follow_the_lines_that_are_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    earlier = [{"step": 0, "split": "program"}, {"step": 4, "split": "train"}]
    later = [{"step": 6, "split": "train"}, {"step": 5, "split": "program"}]
    path.write_text("".join(json.dumps(record) + "\n" for record in earlier + later))
    callback = MetricsFile(path, first_step=4)
    for info in TOLD:
        callback(info)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [*earlier, COST, TRAIN]


def _masked(data):
    """The checksum of a record by another implementation."""
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _events(data):
    """The events of a file: length (8 bytes), its checksum (4), event, its checksum (4)."""
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert data[8:12] == _masked(data[:8])
        assert data[12 + length : 16 + length] == _masked(data[12 : 12 + length])
        yield Event.FromString(data[12 : 12 + length])
        data = data[16 + length :]


def test_event_file_has_every_number_of_a_record_at_its_step(tmp_path):
    callback = EventFile(tmp_path, first_step=4)
    for info in TOLD:
        callback(info)
    (path,) = tmp_path.glob("events.out.tfevents.*")
    events = list(_events(path.read_bytes()))
    scalars = [
        (event.step, {value.tag: value.simple_value for value in event.summary.value})
        for event in events
        if event.HasField("summary")
    ]
    cost = {"program/compile_seconds": 1.5, "program/peak_bytes": float(1 << 20)}
    train = {"train/loss": 0.25, "train/step_seconds": float(np.float32(0.1))}
    assert scalars == [(4, cost), (6, train)]
    assert [event.step for event in events if event.HasField("session_log")] == [5]
    assert events[0].file_version == "brain.Event:2"
    assert all(event.wall_time > 1e9 for event in events)


@pytest.mark.slow  # a training in a process of its own
@pytest.mark.torch
def test_training_does_not_import_torch(tmp_path):
    pytest.importorskip("torch")
    script = """
import sys
import odenet.experiment.run
assert not {"torch", "tensorboardX"} & set(sys.modules), "import"
from tiny_experiment import classifier, configured, tiny
values = tiny(classifier(2, num_steps=1, field={"kind": "mlp"}), num_steps=2, log_every=1)
odenet.experiment.run.run(configured(values), sys.argv[1])
assert "torch" not in sys.modules, "run"
"""
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "events").glob("events.out.tfevents.*"))


def test_progress_bar_shows_the_loss_and_is_not_upset_by_a_start():
    screen = io.StringIO()
    callback = ProgressBar(Console(file=screen, force_terminal=True, width=100), "tiny")
    for info in TOLD:
        callback(info)
    assert "train loss 0.2500" in screen.getvalue()
    assert "program" not in screen.getvalue()
