"""A trained network with its weights projected onto fewer functions of depth."""

import json

import pytest
from stored_runs import drawn_run
from tiny_experiment import classifier, configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.errors import ConfigError
from odenet.experiment.evaluate import evaluate
from odenet.experiment.refinement.refine import refine
from odenet.instruments import measure
from odenet.instruments.basis import Basis
from odenet.plotting.canvas import png

VALUES = tiny(classifier(6, num_steps=4, step_sizes={"horizon": 2.0}))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("basis") / "source"
    with as_a_user():
        return drawn_run(configured(VALUES), path)


def test_projected_network_is_the_refined_one(source, tmp_path):
    families = ["piecewise_constant", "legendre"]
    found = measure("basis", source, basis=families, num_basis=[4, 2])
    assert json.loads((source / "basis.json").read_text()) == found
    whole = evaluate(source)
    assert found["as_trained"]["accuracy"] == whole["accuracy"]
    assert (found["num_basis"], found["step"]) == (4, 0)
    cells, polynomials = (
        {point["num_basis"]: point for point in curve["points"]} for curve in found["curves"]
    )
    assert cells[4] == {"num_basis": 4} | found["as_trained"]
    for basis, points in (("piecewise_constant", cells), ("legendre", polynomials)):
        refine(source, None, tmp_path / basis, basis=basis, num_basis=2)
        there = evaluate(tmp_path / basis)
        for name in ("accuracy", "loss", "num_parameters"):
            assert points[2][name] == pytest.approx(there[name], rel=1e-6)
    assert cells[2]["loss"] != cells[4]["loss"]
    assert len(png(Basis.figure(found))) > 1000
    assert Basis.table(found).row_count == 5


def test_numbers_of_functions_are_chosen_where_none_is_asked_for(source):
    found = measure("basis", source, split="validation", basis=["piecewise_linear"])
    assert [point["num_basis"] for point in found["curves"][0]["points"]] == [4, 3, 2]


def test_networks_without_functions_of_depth_are_refused(source, tmp_path):
    with pytest.raises(ConfigError, match="must divide the 4 steps; got 3"):
        measure("basis", source, basis=["piecewise_constant"], num_basis=[3])
    for name, block, message in (
        ("shared", {"weights": {"kind": "shared"}}, "the same at every depth"),
        ("plain", {"kind": "feedforward"}, "no weights that are functions of depth"),
    ):
        drawn_run(configured(VALUES | {"model": classifier(6, **block)}), tmp_path / name)
        with pytest.raises(ConfigError, match=message):
            measure("basis", tmp_path / name)
