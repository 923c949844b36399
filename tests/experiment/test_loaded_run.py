"""One object for a run: what it predicts, measured, and holds, and how it runs otherwise."""

import inspect
import json
import shutil

import jax
import numpy as np
import pytest
from stored_runs import drawn_run
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

import odenet
from odenet.errors import ConfigError, OdenetError
from odenet.experiment.config import load_config, override_pairs, parse_config, to_yaml, variant
from odenet.experiment.evaluate import evaluate
from odenet.instruments import measure
from odenet.integrators import ExplicitConfig
from odenet.training.loop import SolverWarning

VALUES = tiny(classifier(8, num_steps=4), num_steps=40, log_every=20, evaluate_every=20)
UNITS = {
    "kind": "resnet",
    "layout": "vector",
    "shortcut": "projection",
    "depth": 14,
    "width": 4,
    "step_sizes": {"kind": "learned"},
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("loaded") / "run"
    with as_a_user():
        odenet.run(configured(VALUES), path, report=odenet.write_report)
    return path


@pytest.fixture(scope="module")
def trained(directory):
    with as_a_user():
        return odenet.load(directory)


def test_raw_inputs_of_the_data_set_give_the_accuracy_of_the_evaluation(trained, directory):
    test = trained.dataset.test
    assert test.inputs.dtype == np.uint8
    found = trained.predict(test.inputs)
    accuracy = float(np.mean(found.labels == test.targets))
    assert accuracy == pytest.approx(evaluate(directory)["accuracy"], abs=1e-7)
    assert accuracy == pytest.approx(trained.results["test"]["accuracy"], abs=1e-7)
    assert found.outputs.shape == (100, 10)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-6)
    chosen = np.take_along_axis(found.probabilities, test.targets[:, None], axis=1)
    loss = float(-np.log(chosen).mean())
    assert loss == pytest.approx(trained.evaluate()["loss"], rel=1e-5)


def test_grey_images_may_come_without_their_channel_and_in_any_number(trained):
    images = trained.dataset.test.inputs
    whole = trained.predict(images).outputs
    np.testing.assert_allclose(trained.predict(images[:3, :, :, 0]).outputs, whole[:3], atol=1e-5)
    np.testing.assert_allclose(trained.predict(images[40:57]).outputs, whole[40:57], atol=1e-5)


def test_second_prediction_compiles_nothing(trained):
    images = trained.dataset.test.inputs
    trained.predict(images)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if "compile" in event else None
    )
    try:
        trained.predict(images[:60])
        assert not compiled
    finally:
        jax.monitoring.clear_event_listeners()


WRONG_INPUTS = {
    "normalised": (lambda x: x.astype(np.float32) / 255, r"uint8 of shape \(n, 8, 8, 1\); got flo"),
    "one example": (lambda x: x[0], r"one example needs a first axis: inputs\[None\]"),
    "flat": (lambda x: x.reshape(len(x), -1), r"got uint8 of shape \(100, 64\)"),
    "channels first": (lambda x: np.moveaxis(x, -1, 1), r"got uint8 of shape \(100, 1, 8, 8\)"),
    "none": (lambda x: x[:0], r"got uint8 of shape \(0, 8, 8, 1\)"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
@pytest.mark.parametrize("method", ["predict", "paths"])
def test_other_inputs_are_refused(trained, name, method):
    change, message = WRONG_INPUTS[name]
    with pytest.raises(ConfigError, match=message):
        getattr(trained, method)(change(trained.dataset.test.inputs))


def test_metrics_are_those_of_the_file_as_arrays(trained, directory):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for split in ("train", "validation"):
        own = [record for record in records if record["split"] == split]
        np.testing.assert_array_equal(trained.metrics[f"{split}/step"], [r["step"] for r in own])
        np.testing.assert_array_equal(trained.metrics[f"{split}/loss"], [r["loss"] for r in own])
    np.testing.assert_array_equal(trained.metrics["validation/step"], [20, 40])


def test_weights_and_paths_are_those_of_the_layers(trained):
    images = trained.dataset.test.inputs[:5]
    (path,) = trained.paths(images)
    assert path.shape == (5, 5, 8)
    (taus,) = trained.taus
    np.testing.assert_array_equal(taus, np.ones(4))
    for layer in (0, 3):  # a layer by hand: h + tau tanh(W h + b)
        weights = trained.weights(layer)
        slope = np.tanh(path[layer] @ weights["affine.0.kernel"] + weights["affine.0.bias"])
        np.testing.assert_allclose(path[layer + 1], path[layer] + taus[layer] * slope, atol=1e-5)
    np.testing.assert_array_equal(
        trained.weights(-1)["affine.0.kernel"], trained.weights(3)["affine.0.kernel"]
    )
    with pytest.raises(ConfigError, match="layers 0 to 3; got 4"):
        trained.weights(4)
    with pytest.raises(ConfigError, match="1 stages, from 0; got stage 1"):
        trained.weights(0, stage=1)


def test_other_step_sizes_are_those_of_the_configuration(trained, directory):
    taus = [0.5, 1.0, 0.0, 0.25]
    given = {"model.block.step_sizes": {"kind": "fixed", "taus": taus}}
    images = trained.dataset.test.inputs
    found, expected = trained.with_taus(taus), odenet.load(directory, given)
    np.testing.assert_allclose(
        found.predict(images).outputs, expected.predict(images).outputs, atol=1e-5
    )
    assert found.evaluate()["loss"] == pytest.approx(evaluate(directory, given)["loss"], rel=1e-5)
    np.testing.assert_array_equal(found.taus[0], np.float32(taus))
    np.testing.assert_array_equal(trained.taus[0], np.ones(4))
    assert len(trained.with_taus(np.full(8, 0.1)).paths(images[:2])[0]) == 9
    kept = found.with_overrides("model.block.integrator.kind=rk4")
    np.testing.assert_array_equal(kept.taus[0], np.float32(taus))
    assert "set by with_taus" in repr(kept)


@pytest.mark.parametrize(
    ("taus", "message"),
    [
        ([1.0] * 3, "multiple of 4; got 3"),
        ([1.0, 1.0, 1.0, np.nan], "finite numbers"),
        ([[1.0] * 4] * 2, "each of the 1 stages .* got 2"),
        ([], "finite numbers|stages whose depth"),
    ],
)
def test_step_sizes_that_do_not_fit_are_refused(trained, taus, message):
    with pytest.raises(ConfigError, match=message):
        trained.with_taus(taus)


WAYS = {
    "string": "model.block.integrator.kind=rk4",
    "strings": ["model.block.integrator.kind=rk4"],
    "mapping": {"model.block.integrator.kind": "rk4"},
    "part": {"model.block.integrator": ExplicitConfig(kind="rk4")},
    "pairs": [("model.block.integrator.kind", "rk4")],
}


@pytest.mark.parametrize("name", WAYS)
def test_overrides_are_strings_or_mappings_everywhere(directory, tmp_path, name):
    given = WAYS[name]
    expected = configured(VALUES, model__block__integrator__kind="rk4")
    assert parse_config(VALUES, given) == expected
    assert variant(configured(VALUES), given) == expected
    (tmp_path / "config.yaml").write_text(to_yaml(configured(VALUES)))
    assert load_config(tmp_path / "config.yaml", given).model.block.integrator.kind == "rk4"
    assert odenet.load(directory, given).config.model.block.integrator.kind == "rk4"


def test_overrides_reach_evaluations_and_instruments(directory, trained, tmp_path):
    once = trained.evaluate(model__block__integrator__kind="rk4")
    assert once["nfe"] == 16
    assert evaluate(directory, WAYS["string"])["loss"] == once["loss"]
    copy = shutil.copytree(directory, tmp_path / "copy")
    assert measure("stability", copy, WAYS["mapping"], examples=2)["blocks"]


@pytest.mark.parametrize("given", [[3], [("a", "b", "c")], [("a", "b"), None]])
def test_overrides_of_another_form_are_refused(given):
    unchecked = inspect.unwrap(override_pairs)  # a user has no type checker at run time
    with pytest.raises(ConfigError, match="a mapping from dotted keys to values"):
        unchecked(given)


def test_overrides_that_are_ignored_are_refused(directory):
    with pytest.raises(ConfigError, match=r"dotted.key=value, such as"):
        odenet.load(directory, "model.block.integrator.kind")
    with pytest.raises(ConfigError, match=r"would ignore training.num_steps"):
        odenet.load(directory, {"training.num_steps": 3})


def test_failed_solve_is_told(directory):
    diffrax = {"kind": "diffrax", "controller": {"kind": "pid", "rtol": 1e-6, "atol": 1e-6}}
    run = odenet.load(directory, {"model.block.integrator": diffrax | {"max_steps": 2}})
    with pytest.warns(SolverWarning, match="first in batch 0: "):
        run.predict(run.dataset.test.inputs[:2])


def test_repr_says_what_it_is(trained, directory):
    text = repr(trained)
    for part in (
        str(directory),
        "digits",
        "width 8, 4 steps by euler",
        "step 40 of 40",
        "accuracy",
    ):
        assert part in text


def test_run_writes_the_report_of_the_command(directory):
    assert (directory / "report.html").read_text().startswith("<!")


def test_network_with_layers_between_shapes(tmp_path):
    run = odenet.load(drawn_run(configured(tiny(UNITS)), tmp_path / "run"))
    doubled = run.with_taus([2 * taus for taus in run.taus])
    for own, other in zip(run.taus, doubled.taus, strict=True):
        np.testing.assert_array_equal(other, 2 * own)
    assert len(run.taus[-1]) == run.paths(run.dataset.test.inputs[:2])[-1].shape[0]
    with pytest.raises(ConfigError, match="stage 1"):
        run.with_taus([run.taus[0], run.taus[1][:1], run.taus[2]])


def test_public_names():
    names = dir(odenet)
    assert not {"Any", "importlib"} & set(names)
    assert {"AdaptiveConfig", "refine", "NpzConfig", "DigitsConfig", "__version__"} <= set(names)
    assert odenet.__version__[0].isdigit()
    assert issubclass(ConfigError, OdenetError)


def test_trained_weights_are_read_without_initialising_others(directory, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("a network was initialised")

    copy = shutil.copytree(directory, tmp_path / "run")
    (copy / "results.json").unlink()
    monkeypatch.setattr("odenet.experiment.build.init_network", refuse)
    loaded = odenet.load(copy)
    assert loaded.evaluate()["loss"] == evaluate(copy)["loss"]
    odenet.resume(copy)
    with pytest.raises(AssertionError, match="was initialised"):
        odenet.load(copy, which="start")
