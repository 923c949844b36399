"""The test split, evaluated while a network trains."""

from odenet.experiment.config import parse_config
from odenet.experiment.run import run
from odenet.training.callbacks import read_metrics

VALUES = {
    "name": "watched",
    "data": {"kind": "digits"},
    "model": {"kind": "classifier", "stages": [{"width": 4}], "block": {"num_steps": 1}},
    "training": {
        "num_steps": 4, "batch_size": 16, "log_every": 2, "evaluate_every": 2, "watch_test": True,
    },
}  # fmt: skip


def test_test_metrics_stand_beside_those_of_validation_and_end_in_the_result(tmp_path):
    trained = run(parse_config(VALUES), tmp_path / "run")
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    steps = {
        split: [record["step"] for record in records if record["split"] == split]
        for split in ("test", "validation")
    }
    assert steps == {"test": [2, 4], "validation": [2, 4]}
    last = [record for record in records if record["split"] == "test"][-1]
    for name, value in trained.results["test"].items():
        assert last[name] == value
    losses = {record["split"]: record["loss"] for record in records if record["step"] == 4}
    assert losses["test"] != losses["validation"]


def test_without_it_the_test_split_is_left_alone(tmp_path):
    run(parse_config(VALUES, [("training.watch_test", False)]), tmp_path / "run")
    records = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert not [record for record in records if record["split"] == "test"]
