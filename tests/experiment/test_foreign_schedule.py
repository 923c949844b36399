"""A depth schedule of a user's own: it trains, resumes and refuses as those of the package do."""

import json
from typing import Literal

import pytest
from pydantic import PositiveInt
from tiny_experiment import classifier, configured, tiny
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.depth.schedule import DepthScheduleConfig
from odenet.errors import ConfigError
from odenet.experiment.run import load, resume, run
from odenet.part.family import restored
from odenet.training import Callback, Info
from odenet.training.callbacks import StopTraining


@pytest.fixture(scope="module", autouse=True)
def tripled_then_pruned():
    """While the tests of this file run, there is one more kind."""
    with restored():

        class TripledConfig(DepthScheduleConfig):
            """Every layer becomes three, once; `note` is written down with it."""

            kind: Literal["tripled"] = "tripled"
            after: PositiveInt
            note: str = "once"

            @property
            def intervals(self):
                return {"after": (self.after,)}

            def due(self, step):
                return step == self.after

            def check(self, network):
                if max(network.num_steps) > 4:
                    raise ConfigError(
                        f"tripled begins with at most 4 steps; got {network.num_steps}"
                    )
                return network.refined(3, "constant").network

            def apply(self, network):
                return network.refined(3, "constant").noting(note=self.note)

        yield TripledConfig


def values(**changes):
    schedule = {"kind": "tripled", "after": 4} | changes
    return tiny(
        classifier(6, num_steps=2), num_steps=8, evaluate_every=4, checkpoint_every=4,
        depth_schedule=schedule,
    )  # fmt: skip


class StopAt(Callback):
    """Asks to stop after a step."""

    when = frozenset({"checkpoint"})

    def __init__(self, step):
        self.step = step

    def __call__(self, info: Info):
        if info.step == self.step:
            raise StopTraining("seen enough")


def test_network_changes_as_the_schedule_says_and_resumes_so(tmp_path):
    from odenet.training.interrupt import Stopped

    run(configured(values(note="mine")), tmp_path / "straight")
    (level,) = json.loads((tmp_path / "straight" / "levels.json").read_text())
    assert (level["kind"], level["step"], level["note"]) == ("tripled", 4, "mine")
    assert level["stages"] == [{"num_layers": [2, 6], "num_steps": [2, 6]}]
    with pytest.raises(Stopped):
        run(configured(values(note="mine")), tmp_path / "stopped", callbacks=[StopAt(4)])
    resume(tmp_path / "stopped")
    experiments = [load(tmp_path / name)[0] for name in ("straight", "stopped")]
    assert [one.config.model.blocks[0].num_steps for one in experiments] == [6, 6]
    results = [
        json.loads((tmp_path / name / "results.json").read_text())["test"]["loss"]
        for name in ("straight", "stopped")
    ]
    assert results[0] == results[1]


def test_what_the_schedule_refuses_is_refused_before_anything_is_written(tmp_path):
    config = configured(values(), model=classifier(6, num_steps=5))
    with pytest.raises(ConfigError, match="tripled begins with at most 4 steps"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"depth_schedule.after must be less than num_steps=8"):
        configured(values(after=8))
