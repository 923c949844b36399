"""Networks that lose their layers of small step sizes while they train."""

import functools
import json
import shutil

import numpy as np
import pytest
from interrupted_runs import SignalAt, assert_same_run, results_of
from stored_runs import rewrite, stored
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.experiment.config import to_yaml
from odenet.experiment.run import load, resume, run
from odenet.training.checkpoint import steps_on_disk
from odenet.training.interrupt import Interrupted


def pruned(**changes):
    schedule = {"kind": "pruning", "every": 8, "fraction": 0.15} | changes
    return tiny(
        classifier(6, num_steps=4, step_sizes={"kind": "learned", "horizon": 2.0}),
        num_steps=24,
        log_every=2,
        evaluate_every=8,
        checkpoint_every=4,
        optimizer={"kind": "adamw", "learning_rate": 0.01, "schedule": {"kind": "cosine"}},
        depth_schedule=schedule,
    )


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that was stopped long before its layers are pruned."""
    path = tmp_path_factory.mktemp("pruning") / "run"
    with as_a_user(), pytest.raises(Interrupted):
        run(configured(pruned()), path, callbacks=[SignalAt(2, "log")])
    return path


@pytest.mark.parametrize(
    ("remove", "kept"),
    [
        pytest.param("smallest", [0, 1, 3], marks=pytest.mark.product, id="smallest"),
        pytest.param("all", [1, 3], id="all"),
    ],
)
def test_layers_of_small_steps_go_while_the_rest_trains_on(remove, kept, begun, tmp_path):
    path = shutil.copytree(begun, tmp_path / "run")
    (path / "config.yaml").write_text(to_yaml(configured(pruned(remove=remove))))
    # The smallest of all is -0.9, but its layer is the longest.
    rewrite(path, {"params/blocks/0/step_sizes/raw": np.float32([0.05, -0.9, 0.02, 0.7])})
    with pytest.raises(Interrupted):
        resume(path, callbacks=[SignalAt(10, "log")])
    record = json.loads((path / "levels.json").read_text())
    assert [level["step"] for level in record] == [8]
    stage = record[0]["stages"][0]
    assert (stage["num_layers"], stage["removed"]) == (
        [4, len(kept)],
        sorted({0, 1, 2, 3} - set(kept)),
    )
    assert load(path)[0].config.model.blocks[0].num_steps == len(kept)
    # A few steps of the pruned network, from the survivors' weights and moments.
    after = stored(path)
    shutil.rmtree(steps_on_disk(path / "checkpoints" / "last")[0])
    (last,) = steps_on_disk(path / "checkpoints" / "last")
    assert int(last.name) == 8
    before = stored(path)
    assert before.keys() == after.keys()
    for key, leaf in after.items():
        if "blocks/0" in key:
            np.testing.assert_allclose(leaf, before[key][kept], atol=0.05, err_msg=key)
            if "/mu/" in key:
                assert np.any(leaf)


def test_pruned_run_resumes_bit_for_bit_and_stays_where_nothing_is_small(tmp_path):
    values = functools.partial(configured, training__num_steps=16)
    own = pruned(fraction=0.24)
    run(values(own), tmp_path / "straight")
    with pytest.raises(Interrupted):
        run(values(own), tmp_path / "stopped", callbacks=[SignalAt(10, "log")])
    resume(tmp_path / "stopped")
    assert_same_run(tmp_path / "straight", tmp_path / "stopped")
    results = results_of(tmp_path / "straight")
    assert [level["step"] for level in results["levels"]] == [8]
    assert len(results["taus"][0]) == 3
    whole = run(values(pruned(fraction=1e-6)), tmp_path / "whole").results
    assert (whole["levels"], len(whole["taus"][0])) == ([], 4)
