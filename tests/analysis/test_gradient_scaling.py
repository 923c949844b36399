"""Gradients of networks of several depths: the power law, and what may be compared."""

import json
import shutil

import numpy as np
import pytest
from toy_run import copy_with, toy_run

from odenet.analysis.gradient_scaling import DepthGradient, scaling
from odenet.errors import ConfigError
from odenet.instruments import measure
from odenet.instruments.gradient_scaling import GradientScaling
from odenet.plotting.canvas import png


def test_exponent_and_its_error_are_those_of_a_linear_regression():
    depths = [16, 16, 64, 64, 256, 1024]
    norms = [3.1, 2.9, 6.5, 5.6, 12.2, 25.0]
    found = scaling(depths, norms, 0.3)
    (slope, _), covariance = np.polyfit(np.log10(depths), np.log10(norms), 1, cov=True)
    assert found.exponent == pytest.approx(slope, rel=1e-9)
    assert found.standard_error == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-9)
    assert found.decades == pytest.approx(slope * np.log10(64), rel=1e-9)


@pytest.mark.parametrize(
    ("exponent", "verdict"), [(0.25, "grows"), (-0.25, "falls"), (0.1, "flat"), (-0.1, "flat")]
)
def test_verdict_is_that_of_the_change_over_all_depths(exponent, verdict):
    depths = [16, 64, 256, 1024]
    found = scaling(depths, [7 * depth**exponent for depth in depths], 0.3)
    assert found.verdict == verdict
    assert found.exponent == pytest.approx(exponent)
    assert found.standard_error == pytest.approx(0, abs=1e-7)


def test_what_has_no_power_law_says_so():
    assert scaling([2, 4, 8], [1.0, None, 1.0], 0.3).verdict == "not finite"
    assert scaling([2, 4, 8], [1.0, 0.0, 1.0], 0.3).verdict == "zero"
    assert scaling([4, 4], [1.0, 2.0], 0.3).verdict == "not judged: one depth"
    assert scaling([2, 4], [1.0, 2.0], 0.3).standard_error is None
    assert DepthGradient(4, 0, 1.0, 2.0, 0.0).transport is None
    assert DepthGradient(4, 0, 1.0, None, 1.0).transport is None
    assert DepthGradient(4, 0, 1.0, 3.0, 2.0).transport == 1.5
    with pytest.raises(ConfigError, match=r"positive number of decades; got 0\.0"):
        scaling([2, 4], [1.0, 1.0], 0.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two depths of one trained network, whose layers share their weights, and another seed."""
    place = tmp_path_factory.mktemp("depths")
    four = toy_run(place / "4-0")
    two = copy_with(place / "2-0", four, model={"block": {"num_steps": 2}})
    for run in (two, four):
        measure("gradient-flow", run, examples=16, factor_examples=0)
    other = copy_with(place / "4-1", four, seed=1)
    found = json.loads((other / "gradient_flow.json").read_text())
    gradients = found["blocks"][0]["gradients"]
    gradients["norm"] = [(2 + number) * norm for number, norm in enumerate(gradients["norm"])]
    (other / "gradient_flow.json").write_text(json.dumps(found))
    return {(2, 0): two, (4, 0): four, (4, 1): other}


def test_norms_at_both_ends_are_read_by_depth_and_seed(runs):
    found = measure("gradient-scaling", [runs[4, 1], runs[2, 0], runs[4, 0]])
    assert (found["parameters"], found["num_examples"]) == ("last", 16)
    (network,) = found["networks"].values()
    assert [(run["num_steps"], run["seed"]) for run in network["runs"]] == [(2, 0), (4, 0), (4, 1)]
    for run in network["runs"]:
        path = runs[run["num_steps"], run["seed"]] / "gradient_flow.json"
        (block,) = json.loads(path.read_text())["blocks"]
        norms = block["gradients"]["norm"]
        assert (run["first"], run["last"]) == (norms[0], norms[-1])
        assert run["transport"] == norms[0] / norms[-1]
        assert run["horizon"] == pytest.approx(1.0)
    assert network["first"]["verdict"] in ("flat", "grows", "falls")
    assert png(GradientScaling.figure(found)).startswith(b"\x89PNG")
    assert GradientScaling.table(found).row_count == 3


def test_what_cannot_be_compared_is_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match="give the run directories"):
        measure("gradient-scaling", [])
    with pytest.raises(ConfigError, match="seed and the steps of an earlier"):
        measure("gradient-scaling", [runs[2, 0], runs[2, 0]])
    bare = shutil.copytree(runs[2, 0], tmp_path / "bare")
    (bare / "gradient_flow.json").unlink()
    with pytest.raises(ConfigError, match="measure it with: odenet analyse gradient-flow"):
        measure("gradient-scaling", [bare])
    measure("gradient-flow", bare, at="start", examples=16, factor_examples=0)
    with pytest.raises(ConfigError, match=r"parameters start, .* parameters last"):
        measure("gradient-scaling", [runs[2, 0], bare])
    other = copy_with(
        tmp_path / "other", runs[4, 0], model={"block": {"integrator": {"kind": "midpoint"}}}
    )
    with pytest.raises(ConfigError, match="differ in more"):
        measure("gradient-scaling", [runs[2, 0], other])


def test_networks_of_a_comparison_go_by_their_names(runs, tmp_path):
    for steps in (2, 4):
        shutil.copytree(runs[steps, 0], tmp_path / str(steps) / "networks" / "stable")
    found = measure("gradient-scaling", sorted(tmp_path.glob("*/networks/*")))
    assert list(found["networks"]) == ["stable"]
