import json

import pytest

from odenet.analysis.learning_speed import LearningSpeed, learning_speed, mean_steps
from odenet.errors import ConfigError
from odenet.experiment.config import parse_config, to_yaml
from odenet.instruments import measure


def records(*accuracies, split="validation"):
    return [
        {"step": 10 * (k + 1), "split": split, "accuracy": found}
        for k, found in enumerate(accuracies)
    ]


def test_speed_is_the_first_evaluation_that_reached_it():
    train = records(0.99, split="train")
    seen = [*train, *records(0.2, 0.7, 0.6, 0.8)]
    assert learning_speed(seen, 0.7) == LearningSpeed(20, 0.8, 40)
    assert learning_speed(seen, 0.71).steps == 40
    assert learning_speed(seen, 0.81).steps is None


def test_mean_is_over_runs_that_all_reached_it():
    fast, slow, never = (LearningSpeed(steps, 0.5, 40) for steps in (10, 40, None))
    assert mean_steps([fast, slow]) == 25
    assert mean_steps([fast, never]) is None


def test_nothing_to_measure_is_refused():
    with pytest.raises(ConfigError, match="above 0 and at most 1; got 70"):
        learning_speed(records(0.5), 70.0)
    with pytest.raises(ConfigError, match="no evaluation with an accuracy"):
        learning_speed(records(0.5, split="train"), 0.5)


def test_runs_are_put_together_by_what_they_started_from(tmp_path):
    values = {"name": "tiny", "data": {"kind": "digits"}}
    values |= {"model": {"kind": "classifier", "stages": [{"width": 4}]}}
    for number, (origin, accuracies) in enumerate(
        [("mnist", (0.6, 0.7)), (None, (0.1, 0.2, 0.6)), ("mnist", (0.1, 0.6)), (None, (0.6,))]
    ):
        path = tmp_path / str(number)
        path.mkdir()
        config = parse_config(values | {"seed": number})
        (path / "config.yaml").write_text(to_yaml(config))
        about = {"git_commit": "abc", "device": "cpu"}
        about |= {} if origin is None else {"start": {"name": origin}}
        (path / "run.json").write_text(json.dumps(about))
        lines = "".join(json.dumps(record) + "\n" for record in records(*accuracies))
        (path / "metrics.jsonl").write_text(lines)
    runs = [tmp_path / str(number) for number in range(4)]
    found = measure("steps-to-reach", runs, accuracy=(0.6, 0.7))
    assert [run["steps"] for run in found["runs"]] == [[10, 20], [30, None], [20, None], [10, None]]
    assert [run["seed"] for run in found["runs"]] == [0, 1, 2, 3]
    arms = {arm["started_from"]: arm for arm in found["arms"] if arm["accuracy"] == 0.6}
    assert (arms["mnist"]["steps"], arms["mnist"]["mean_steps"]) == ([10, 20], 15)
    assert (arms["scratch"]["steps"], arms["scratch"]["mean_steps"]) == ([30, 10], 20)
