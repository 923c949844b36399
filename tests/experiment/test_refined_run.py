"""A trained network in more layers or fewer."""

import json
from fractions import Fraction

import numpy as np
import pytest
from stored_runs import block_outputs, drawn_run, logits, stored
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError
from odenet.experiment.config import read_experiment
from odenet.experiment.refinement.refine import refine
from odenet.experiment.run import resume, run

TWICE, HALF = Fraction(2), Fraction(1, 2)
POSITIVE = {"kind": "learned", "parametrisation": "positive", "horizon": 2.0}
VALUES = tiny(
    classifier(6, num_steps=4, step_sizes=POSITIVE),
    num_steps=4,
    evaluate_every=4,
    checkpoint_every=4,
    log_every=2,
    optimizer={"kind": "adamw", "learning_rate": 0.01},
)


def of_stages(width, blocks):
    """The experiment with a stage for every block."""
    stages = [{"width": width, "block": {"kind": "depth"} | block} for block in blocks]
    return configured(VALUES | {"model": {"kind": "classifier", "stages": stages}})


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("refined") / "source"
    with as_a_user():
        run(configured(VALUES), path)
    return path


@pytest.fixture(scope="module")
def outputs(source):
    with as_a_user():
        return logits(source)


def test_refined_network_is_the_old_one_with_half_the_steps(source, outputs, tmp_path):
    found = refine(source, TWICE, tmp_path / "fine")
    assert found["stages"] == [{"num_layers": [4, 8], "num_steps": [4, 8]}]
    fine = logits(tmp_path / "fine")
    np.testing.assert_allclose(fine, logits(source, 2), rtol=2e-5, atol=1e-6)
    assert np.max(np.abs(fine - outputs)) > 1e-4
    record = json.loads((tmp_path / "fine" / "run.json").read_text())["refined"]
    assert (record["factor"], record["run"], record["step"]) == ("2", str(source), 4)


def test_way_back_gives_weights_steps_and_moments(source, tmp_path):
    refine(source, TWICE, tmp_path / "fine")
    refine(tmp_path / "fine", HALF, tmp_path / "back")
    before, after = stored(source), stored(tmp_path / "back")
    assert before.keys() == after.keys()
    for path, leaf in before.items():
        np.testing.assert_allclose(after[path], leaf, rtol=2e-5, atol=1e-9, err_msg=path)
    fine = stored(tmp_path / "fine")
    (path,) = (p for p in fine if "/nu/blocks" in p and p.endswith("kernel"))
    np.testing.assert_allclose(fine[path], np.repeat(before[path], 2, axis=0) / 4, rtol=1e-6)
    (path,) = (p for p in fine if "/mu/blocks" in p and p.endswith("kernel"))
    np.testing.assert_allclose(fine[path], np.repeat(before[path], 2, axis=0) / 2, rtol=1e-6)


def test_training_goes_on_from_the_refined_network(source, tmp_path):
    refine(source, TWICE, tmp_path / "fine", num_steps=8)
    trained = resume(tmp_path / "fine")
    assert int(trained.state.step) == 8
    assert len(trained.results["taus"][0]) == 8
    with pytest.raises(ConfigError, match=r"4 steps are already taken.*got 4"):
        refine(source, TWICE, tmp_path / "other", num_steps=4)


STEP_SIZES = [
    {"kind": "fixed"},
    {"kind": "fixed", "taus": [0.5, 1.0, 0.25, 0.25]},
    {"kind": "learned", "parametrisation": "simplex"},
    {"kind": "learned", "parametrisation": "remainder"},
    {"kind": "learned", "sharing": "shared"},
]
WEIGHTS = [
    ({"kind": "basis", "basis": "legendre", "num_basis": 3}, 3),
    ({"kind": "shared_with_time"}, 1),
    ({"kind": "basis", "basis": "piecewise_constant", "num_basis": 2}, 4),
    ({"kind": "per_layer", "num_layers": 2}, 4),
    ({"kind": "per_layer"}, 8),
]


def test_every_kind_of_step_sizes_and_weights_is_refined(tmp_path):
    blocks = [
        {"num_steps": 4, "step_sizes": sizes, "weights": weights}
        for sizes, (weights, _) in zip(STEP_SIZES, WEIGHTS, strict=True)
    ]
    source = drawn_run(of_stages(6, blocks), tmp_path / "source")
    refine(source, TWICE, tmp_path / "fine")
    fine, old = block_outputs(tmp_path / "fine", 6), block_outputs(source, 6, 2)
    for block, found, expected in zip(blocks, fine, old, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6, err_msg=str(block))
    arrays = stored(tmp_path / "fine")
    for index, (_, sets) in enumerate(WEIGHTS):
        kernel = arrays[f"params/blocks/{index}/weights/stacked/affine/0/kernel"]
        assert len(kernel) == sets


def test_new_layers_may_lie_between_their_neighbours(source, tmp_path):
    refine(source, TWICE, tmp_path / "fine", "linear")
    path = "params/blocks/0/weights/stacked/affine/0/kernel"
    old, new = stored(source)[path], stored(tmp_path / "fine")[path]
    np.testing.assert_array_equal(new[::2], old)
    np.testing.assert_allclose(new[1::2][:-1], (old[1:] + old[:-1]) / 2, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("factor", "prolongation", "message"),
    [
        (Fraction(1), "constant", "a factor above 1.*got 1"),
        (Fraction(-2), "constant", "got -2"),
        (Fraction(1, 3), "constant", r"model.stages.0: 1/3 times 4 steps is not a whole number"),
        (HALF, "linear", "prolongation=linear would be ignored"),
    ],
)
def test_factors_that_do_not_fit_are_refused(factor, prolongation, message, source, tmp_path):
    with pytest.raises(ConfigError, match=message):
        refine(source, factor, tmp_path / "new", prolongation)
    assert not (tmp_path / "new").exists()


def test_layers_between_two_widths_stay_while_their_stages_are_refined(tmp_path):
    model = {
        "kind": "resnet", "layout": "vector", "depth": 20, "width": 4,
        "arrangement": "full_preactivation", "step_sizes": {"kind": "learned"},
    }  # fmt: skip
    drawn_run(configured(VALUES | {"model": model}), tmp_path / "source")
    found = refine(tmp_path / "source", TWICE, tmp_path / "fine")
    assert [stage["num_steps"] for stage in found["stages"]] == [[2, 4]] * 3
    before, after = stored(tmp_path / "source"), stored(tmp_path / "fine")
    units = [path for path in before if "projections/1" in path]
    assert any("step_sizes" in path for path in units)
    for path in units:
        np.testing.assert_array_equal(after[path], before[path])
    fine = logits(tmp_path / "fine")
    np.testing.assert_allclose(fine, logits(tmp_path / "source", 2), rtol=1e-4, atol=1e-5)


def test_network_moves_to_a_grid_that_is_no_multiple(source, tmp_path):
    found = refine(source, None, tmp_path / "six", to=6)
    assert found["stages"] == [{"num_layers": [4, 6], "num_steps": [4, 6]}]
    refine(source, Fraction(3, 2), tmp_path / "same")
    np.testing.assert_array_equal(logits(tmp_path / "six"), logits(tmp_path / "same"))
    old, new = stored(source), stored(tmp_path / "six")
    path = "blocks/0/weights/stacked/affine/0/kernel"
    np.testing.assert_allclose(
        new[f"params/{path}"][1], old[f"params/{path}"][:2].mean(axis=0), rtol=1e-6
    )
    (moment,) = (p for p in new if "/mu/blocks" in p and p.endswith("kernel"))
    # Equal layers see equal gradients: their sum over depth stays what it was.
    np.testing.assert_allclose(new[moment].sum(axis=0), old[moment].sum(axis=0), atol=1e-7)
    taus = [np.log1p(np.exp(state["params/blocks/0/step_sizes/raw"])) for state in (old, new)]
    np.testing.assert_allclose(taus[1].sum(), taus[0].sum(), rtol=1e-5)


@pytest.mark.parametrize(
    "bases",
    [
        ["legendre", "piecewise_linear"],
        pytest.param(["chebyshev", "fourier"], marks=pytest.mark.product),
    ],
    ids=" ".join,
)
def test_functions_that_are_enough_keep_the_network(tmp_path, bases):
    common = {"num_steps": 6, "field": {"kind": "residual"}, "step_sizes": {"horizon": 1.0}}
    blocks = [
        common | {"weights": {"kind": "basis", "basis": basis, "num_basis": 3}} for basis in bases
    ]
    source = drawn_run(of_stages(4, blocks), tmp_path / "source")
    # Hats over 3 knots are hats over 5 too; of the others, the first 5 hold the first 3.
    refine(source, None, tmp_path / "more", num_basis=5)
    more, old = block_outputs(tmp_path / "more", 4), block_outputs(source, 4)
    for basis, found, expected in zip(bases, more, old, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=basis)
    back = refine(tmp_path / "more", None, tmp_path / "back", num_basis=3)
    assert [stage["num_basis"] for stage in back["stages"]] == [[5, 3]] * len(bases)
    before, after = stored(source), stored(tmp_path / "back")
    for path, leaf in before.items():
        if "/nu/blocks/1/" in path and bases[1] == "piecewise_linear":
            continue  # shares of both signs: the roots of squares add up to a bound
        np.testing.assert_allclose(after[path], leaf, rtol=1e-3, atol=1e-5, err_msg=path)


def test_layers_become_functions_and_layers_again(source, outputs, tmp_path):
    refine(source, None, tmp_path / "cells", num_basis=2)
    written = read_experiment(tmp_path / "cells" / "config.yaml")
    assert written.model.block.weights.num_layers == 2
    kernel = "params/blocks/0/weights/stacked/affine/0/kernel"
    means = stored(source)[kernel].reshape(2, 2, 6, 6).mean(axis=1)
    np.testing.assert_allclose(stored(tmp_path / "cells")[kernel], means, rtol=1e-5, atol=1e-7)
    # Euler sees the weights where its steps start.
    raw = np.asarray(stored(source)["params/blocks/0/step_sizes/raw"], np.float64)
    taus = np.log1p(np.exp(raw))
    starts = np.append(0, np.cumsum(taus)[:-1]) / taus.sum()
    assert np.max(np.abs(np.diff(starts) - 0.25)) > 1e-3
    refine(source, None, tmp_path / "line", basis="legendre", num_basis=2)
    line = np.polynomial.legendre.legfit(2 * starts - 1, stored(source)[kernel][:, 0, 0], 1)
    np.testing.assert_allclose(stored(tmp_path / "line")[kernel][:, 0, 0], line, rtol=1e-4)
    for basis in ("legendre", "piecewise_linear"):  # as many functions as layers
        refine(source, None, tmp_path / basis, basis=basis, num_basis=4)
        np.testing.assert_allclose(logits(tmp_path / basis), outputs, atol=2e-4)
    resume_from = refine(tmp_path / "line", None, tmp_path / "on", num_basis=3, num_steps=6)
    assert int(resume(resume_from["directory"]).state.step) == 6


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "nothing would change"),
        ({"to": 4}, "no stage would change"),
        ({"to": 0}, "at least one step; got 0"),
        ({"num_basis": 3}, "must divide the 4 steps; got 3"),
        ({"num_basis": 8, "basis": "legendre"}, "at most 4; got 8"),
        ({"basis": "legendre"}, "needs num_basis"),
        ({"num_basis": 1, "basis": "piecewise_linear"}, "for piecewise_linear 2; got 1"),
        ({"num_basis": 2, "prolongation": "linear"}, "linear would be ignored"),
    ],
)
def test_grids_and_functions_that_do_not_fit_are_refused(asked, message, source, tmp_path):
    with pytest.raises(ConfigError, match=message):
        refine(source, None, tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()
