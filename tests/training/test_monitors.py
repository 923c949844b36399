"""Monitors: one list of any kinds, keys of before, a kind of a user's own, and its figure."""

import dataclasses
from typing import Literal

import jax
import numpy as np
import pytest
from pydantic import ValidationError
from tiny_experiment import classifier, configured, tiny
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError
from odenet.experiment.config import parse_config, to_values
from odenet.experiment.run import run
from odenet.part.family import restored
from odenet.part.old_keys import OldKeyWarning
from odenet.reports import write_report
from odenet.training import TrainingConfig
from odenet.training.callbacks import read_metrics
from odenet.training.monitor_config import MonitorConfig

VALUES = tiny(classifier(6, num_steps=2), num_steps=8, evaluate_every=4, checkpoint_every=8)


def training(**changes):
    return configured(VALUES, training=VALUES["training"] | changes).training


def test_keys_of_before_become_monitors_with_a_warning_that_names_them():
    with pytest.warns(OldKeyWarning, match=r"training.monitors=\[\{kind: stability, every: 2\}\]"):
        old = training(stability_every=2, gradient_flow_every=None)
    assert old == training(monitors=[{"kind": "stability", "every": 2}])
    config = configured(VALUES)
    with pytest.warns(OldKeyWarning, match="training.gradient_flow_every=4"):
        config = parse_config(to_values(config), [("training.gradient_flow_every", 4)])
    assert [(one.kind, one.every) for one in config.training.monitors] == [("gradient_flow", 4)]
    assert "gradient_flow_every" not in to_values(config)["training"]


def test_keys_of_before_that_were_not_set_say_nothing():
    assert training(stability_every=None, gradient_flow_every=None).monitors == ()


def test_monitors_are_due_at_their_intervals_and_dispatches_meet_them():
    both = training(monitors=["stability", {"kind": "gradient_flow", "every": 3}], num_steps=12)
    assert [step for step in range(1, 13) if both.inspection_due(step)] == [3, 4, 6, 8, 9, 12]
    assert both.dispatch_steps == 1
    assert training(monitors=[{"kind": "stability", "every": 2}]).dispatch_steps == 2


def test_two_monitors_of_one_kind_would_share_a_file_and_are_refused():
    with pytest.raises((ConfigError, ValidationError), match="got stability more than once"):
        training(monitors=["stability", {"kind": "stability", "every": 2}])


@dataclasses.dataclass(frozen=True)
class Norm:
    value: float

    def plain(self):
        return {"norm": self.value}


def test_a_monitor_of_ones_own_is_written_and_drawn(tmp_path):
    with restored():

        class WeightNormConfig(MonitorConfig):
            """The norm of all parameters."""

            kind: Literal["weight_norm"] = "weight_norm"

            def build(self, experiment):
                def probe(params, statistics):
                    leaves = jax.tree.leaves(params)
                    return Norm(
                        float(np.sqrt(sum((np.asarray(leaf) ** 2).sum() for leaf in leaves)))
                    )

                return probe

        monitors = [{"kind": "weight_norm", "every": 4}]
        config = configured(VALUES, training=VALUES["training"] | {"monitors": monitors})
        assert isinstance(config.training, TrainingConfig)
        run(config, tmp_path / "run")
        records = read_metrics(tmp_path / "run" / "weight_norm.jsonl")
        assert [record["step"] for record in records] == [0, 4, 8]
        assert all(record["norm"] > 0 for record in records)
    # The report is drawn where the kind is not known, too.
    write_report(tmp_path / "run")
    assert (tmp_path / "run" / "figures" / "weight_norm_history.svg").exists()
    assert "Weight norm during training" in (tmp_path / "run" / "report.html").read_text()
