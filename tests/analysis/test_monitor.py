import dataclasses
import json
import types

from odenet.analysis.monitor import Monitor
from odenet.training.callbacks import Info


@dataclasses.dataclass
class Probe:
    """Stands in for the instrument: reports the parameters that it is given."""

    def __call__(self, params, statistics):
        return types.SimpleNamespace(plain=lambda: {"seen": [params, statistics]})


def state(value):
    return types.SimpleNamespace(params=value, statistics=None)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def told(monitor, *infos):
    for info in infos:
        assert info.event in monitor.when
        monitor(info)


def test_every_look_is_one_line_and_the_start_is_one_of_them(tmp_path):
    path = tmp_path / "flow.jsonl"
    told(
        Monitor("gradient_flow", Probe(), 10, path, 0),
        Info("start", 0, 20, [{"step": 0, "split": "program"}], state("at 0")),
        Info("inspect", 10, 20, (), state("at 10")),
        Info("inspect", 15, 20, (), state("for another instrument")),
        Info("checkpoint", 10, 20),
        Info("end", 10, 20),
    )
    assert lines(path) == [
        {"step": 0, "split": "gradient_flow", "seen": ["at 0", None]},
        {"step": 10, "split": "gradient_flow", "seen": ["at 10", None]},
    ]


def test_resumed_run_writes_no_line_twice(tmp_path):
    path = tmp_path / "flow.jsonl"
    told(
        Monitor("gradient_flow", Probe(), 10, path, 0),
        Info("start", 0, 20, (), state("at 0")),
        Info("inspect", 10, 20, (), state("at 10")),
        Info("inspect", 20, 20, (), state("lost")),
        Info("end", 20, 20),
    )
    for first, expected in ((10, [0, 10, 20]), (0, [0, 20])):
        told(
            Monitor("gradient_flow", Probe(), 10, path, first),
            Info("start", first, 20, (), state("again")),
            Info("inspect", 20, 20, (), state("anew")),
            Info("end", 20, 20),
        )
        assert [line["step"] for line in lines(path)] == expected
        assert lines(path)[-1]["seen"] == ["anew", None]
