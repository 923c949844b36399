"""A trained network without its layers of small step sizes."""

import functools
import json

import numpy as np
import pytest
from stored_runs import drawn_run, logits, rewrite, stored
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError, RunDirectoryError
from odenet.experiment.build import build
from odenet.experiment.config import read_experiment, to_yaml, variant
from odenet.experiment.evaluate import evaluate
from odenet.experiment.refinement.prune import prune, select_layers
from odenet.experiment.run import load, resume, run
from odenet.experiment.source import beginning
from odenet.instruments import measure
from odenet.training.checkpoint import named

VALUES = tiny(
    classifier(6, num_steps=4, step_sizes={"kind": "learned"}),
    num_steps=4,
    evaluate_every=4,
    checkpoint_every=4,
)
configure = functools.partial(configured, VALUES)


def learn(path, *raw):
    """Give the last checkpoint of a run these step sizes, one list per block; None for no change.

    The numbers are those of the parameters, before the parametrisation.
    """
    name = "params/blocks/{}/step_sizes/raw"
    rewrite(path, {name.format(i): np.float32(v) for i, v in enumerate(raw) if v is not None})


def network_of(path):
    experiment, checkpoint = load(path)
    return experiment.network(checkpoint.state.params, checkpoint.state.statistics)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("pruned") / "source"
    with as_a_user():
        run(configure(), path)
    learn(path, [0.5, 0.0, -0.3, 0.0])
    return path


@pytest.fixture(scope="module")
def pruned(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("pruned") / "run"
    with as_a_user():
        return path, prune(source, 0.02, path)


def test_layers_of_no_step_go_and_the_network_stays_what_it_is(source, pruned):
    path, found = pruned
    assert found["stages"][0]["removed"] == (1, 3)
    np.testing.assert_array_equal(logits(path), logits(source))
    evaluated = evaluate(path)
    assert evaluated["accuracy"] == evaluate(source)["accuracy"]
    assert evaluated["nfe"] == 2
    assert evaluated["num_parameters"] == found["num_parameters"]


def test_survivors_keep_their_bytes_and_their_moments(source, pruned):
    before, after = stored(source), stored(pruned[0])
    assert before.keys() == after.keys()
    for path, leaf in before.items():
        layered = "/weights/stacked/" in path or "/step_sizes/raw" in path
        np.testing.assert_array_equal(after[path], leaf[[0, 2]] if layered else leaf, err_msg=path)
    moments = [path for path in after if "/trace/blocks/0/weights" in path]
    assert moments
    assert all(np.any(after[path]) for path in moments)


def test_record_says_what_went_and_the_source_is_as_it_was(source, tmp_path):
    before = stored(source)
    prune(source, 0.02, tmp_path / "pruned")
    record = json.loads((tmp_path / "pruned" / "run.json").read_text())["pruned"]
    assert (record["run"], record["step"], record["fraction"]) == (str(source), 4, 0.02)
    stage = record["stages"][0]
    assert (stage["kept"], stage["removed"]) == ([0, 2], [1, 3])
    np.testing.assert_allclose(stage["fractions"], [0.625, 0, 0.375, 0], atol=1e-6)
    for path, leaf in stored(source).items():
        np.testing.assert_array_equal(leaf, before[path])


def test_pruned_network_is_the_start_of_another_run(pruned):
    block = {"num_steps": 2, "step_sizes": {"kind": "learned", "horizon": 4.0}}
    config = configure(model__block=block, start={"run": str(pruned[0])})
    experiment = build(config, begin=beginning(config))
    raw = experiment.start.params["blocks"][0]["step_sizes"]["raw"]
    np.testing.assert_array_equal(raw, np.float32([0.5, -0.3]))
    path = "params/blocks/0/weights/stacked/affine/0/kernel"
    np.testing.assert_array_equal(
        named({"params": experiment.start.params})[path], stored(pruned[0])[path]
    )


def test_pruned_run_is_complete_with_results_of_its_own(source, tmp_path):
    prune(source, 0.02, tmp_path / "pruned")
    results = resume(tmp_path / "pruned").results
    assert results["test"]["accuracy"] == evaluate(source)["accuracy"]
    assert results["best_validation_score"] is None


def learned(**options):
    step_sizes = {"kind": "learned"} | options
    return {"width": 6, "block": {"kind": "depth", "num_steps": 4, "step_sizes": step_sizes}}


def test_parametrised_step_sizes_of_the_survivors_and_their_penalty_stay(tmp_path):
    stages = [
        learned(parametrisation="remainder", horizon=2.0),
        learned(parametrisation="simplex", horizon=2.0),
        learned(penalty={"horizon": 0.1}),
    ]
    source = drawn_run(configure(model__stages=stages), tmp_path / "source")
    # Of the first block, the remainder is 0.01.
    learn(source, [0.5, 0.75, 0.74], np.log([0.5, 0.01, 0.3, 0.19]), [1.0, 0.0, 2.0, 0.0])
    prune(source, 0.05, tmp_path / "pruned")
    network = network_of(tmp_path / "pruned")
    remainder, simplex, _ = network.blocks
    np.testing.assert_allclose(remainder.grid().taus, [0.5, 0.75, 0.74], rtol=1e-5)
    assert stored(tmp_path / "pruned")["params/blocks/0/step_sizes/raw"].shape == (2,)
    np.testing.assert_allclose(simplex.grid().taus, [1.0, 0.6, 0.38], rtol=1e-5)
    # The penalty still pulls to the horizon of before.
    np.testing.assert_allclose(network.penalty(), 0.1 * (3.0 - 4.0) ** 2, rtol=1e-5)
    with pytest.raises(ConfigError, match=r"one layer would stay.*smaller fraction"):
        prune(source, 0.9, tmp_path / "one")


def test_stages_are_pruned_apart_and_others_are_kept_whole(tmp_path):
    fixed = {"kind": "depth", "num_steps": 4, "step_sizes": {"kind": "fixed"}}
    stages = [{"width": 6}, {"width": 6, "block": fixed}, {"width": 6}]
    field = {"kind": "mlp", "last_init": "1/L"}
    block = VALUES["model"]["block"] | {"field": field}
    config = configure(model__stages=stages, model__block=block)
    drawn_run(config, tmp_path / "source")
    learn(tmp_path / "source", [0.0, 0.5, 0.3, 0.2], None, [0.0, 0.0, 0.0, 2.0])
    found = prune(tmp_path / "source", 0.1, tmp_path / "pruned")
    assert [stage["removed"] for stage in found["stages"]] == [(0,), (), (0, 1, 2)]
    assert found["stages"][1]["kept_whole"] == "its step sizes are fixed"
    pruned, whole = logits(tmp_path / "pruned"), logits(tmp_path / "source")
    np.testing.assert_allclose(pruned, whole, rtol=1e-5, atol=1e-5)


def test_a_run_that_started_from_another_is_pruned_with_its_start(source, tmp_path):
    optimizer = {"transferred": {"unfreeze_at": 2}}
    config = configure(start={"run": str(source)}, training__optimizer=optimizer)
    run(config, tmp_path / "tuned")
    learn(tmp_path / "tuned", [0.5, 0.0, 0.3, 0.0])
    prune(tmp_path / "tuned", 0.02, tmp_path / "pruned")
    np.testing.assert_array_equal(logits(tmp_path / "pruned"), logits(tmp_path / "tuned"))
    experiment, _ = load(tmp_path / "pruned")
    began = experiment.start.params["blocks"][0]["step_sizes"]["raw"]
    np.testing.assert_array_equal(began, np.float32([0.5, -0.3]))


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ({"num_steps": 4}, "its step sizes are fixed"),
        (
            {"num_steps": 4, "step_sizes": {"kind": "learned", "sharing": "shared"}},
            "one step size serves all",
        ),
        (
            {
                "num_steps": 4,
                "step_sizes": {"kind": "learned"},
                "weights": {"kind": "per_layer", "num_layers": 2},
            },
            "several steps share the weights",
        ),
        (
            {"num_steps": 4, "step_sizes": {"kind": "learned"}, "weights": {"kind": "shared"}},
            "several steps share the weights",
        ),
        ({"kind": "feedforward"}, "block.kind=feedforward has no step sizes"),
    ],
)
def test_networks_whose_layers_have_no_step_of_their_own_are_refused(
    source, tmp_path, block, reason
):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(source / "checkpoints")
    (tmp_path / "run" / "run.json").write_text((source / "run.json").read_text())
    (tmp_path / "run" / "config.yaml").write_text(to_yaml(configure(model__block=block)))
    with pytest.raises(ConfigError, match=f"model.stages.0: .*{reason}.*step_sizes.kind=learned"):
        prune(tmp_path / "run", 0.1, tmp_path / "pruned")
    assert not (tmp_path / "pruned").exists()


def test_what_could_not_be_done_is_refused(source, tmp_path):
    with pytest.raises(RunDirectoryError, match="nowhere does not exist"):
        prune(tmp_path / "nowhere", 0.1, tmp_path / "pruned")
    prune(source, 0.1, tmp_path / "once")
    with pytest.raises(ConfigError, match=r"below 0.1; the smallest fraction is 0.375"):
        prune(tmp_path / "once", 0.1, tmp_path / "twice")
    with pytest.raises(RunDirectoryError, match="exists"):
        prune(source, 0.1, tmp_path / "once")
    with pytest.raises(ConfigError, match="has no start checkpoint"):
        measure("gradient-flow", tmp_path / "once", at="start")


def test_layers_are_selected_by_their_whole_path():
    arrays = {"params/blocks/1/weights/stacked/w": np.arange(3),
              "opt_state/mu/blocks/11/weights/stacked/w": np.arange(3),
              "opt_state/mu/blocks/1/step_sizes/raw": np.arange(3)}  # fmt: skip
    found = select_layers(arrays, {1: np.array([2])})
    assert [leaf.tolist() for leaf in found.values()] == [[2], [0, 1, 2], [2]]


def test_network_by_its_depth_is_written_out_without_the_layers_that_went(tmp_path):
    model = {
        "kind": "resnet", "layout": "vector", "depth": 20, "width": 4,
        "arrangement": "full_preactivation", "step_sizes": {"kind": "learned"},
    }  # fmt: skip
    drawn_run(configure(model=model), tmp_path / "run")
    learn(tmp_path / "run", None, [1.0, 0.0])
    before = logits(tmp_path / "run")
    record = prune(tmp_path / "run", 0.1, tmp_path / "pruned")
    assert [stage["removed"] for stage in record["stages"]] == [(), (1,), ()]
    written = read_experiment(tmp_path / "pruned" / "config.yaml")
    assert written.model.kind == "classifier"
    assert [block.num_steps for block in written.model.blocks] == [2, 1, 2]
    np.testing.assert_allclose(logits(tmp_path / "pruned"), before, rtol=1e-4, atol=1e-5)
    config = variant(written, {"start": {"run": str(tmp_path / "pruned")}})
    refined = build(config, begin=beginning(config))
    network = refined.network(refined.start.params, refined.start.statistics)
    assert [len(taus) for taus in network.taus()] == [3, 2, 3]
