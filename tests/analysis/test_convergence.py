"""Halving the steps of a trained network: observed order, costs, ODE verdict."""

import json
import shutil

import numpy as np
import pytest
from toy_run import copy_with, toy_run
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.analysis.convergence import check_threshold, factors_of, judge_steps
from odenet.analysis.critical_step import TrainedAt, critical_step
from odenet.analysis.halving import halvings, observed_order
from odenet.errors import ConfigError
from odenet.instruments import measure
from odenet.instruments.convergence import Convergence
from odenet.models import DepthBlockConfig
from odenet.plotting.canvas import png


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory.mktemp("toy") / "run")


@pytest.fixture(scope="module")
def by_euler(trained):
    """The network by its own method, Euler's, and by two solvers."""
    with as_a_user():
        return measure("convergence", trained, examples=40, finest=8, solver=("rk4", "dopri5"))


@pytest.mark.parametrize("order", [1, 2, 4])
def test_order_of_a_known_expansion_is_found(order):
    limit, slope = np.array([[1.0, -2.0]]), np.array([[3.0, 0.5]])
    steps = [0.5 / 2**k for k in range(5)]
    outputs = [limit + slope * h**order for h in steps]
    found = halvings([2.0**k for k in range(5)], steps, outputs, limit)
    assert [one.order for one in found[:-2]] == pytest.approx([order] * 3, rel=1e-6)
    scale = np.linalg.norm(slope) / np.linalg.norm(limit)
    assert found[0].error == pytest.approx(scale * 0.5**order)
    assert found[-1].change is None
    assert found[-2].order is None


def test_changes_below_round_off_have_no_order():
    same = np.ones((3, 2))
    found = halvings([1.0, 2.0, 4.0], [1.0, 0.5, 0.25], [same] * 3, same)
    assert observed_order(found) is None


def assert_order(found, order, stages):
    assert found["observed_order"] == pytest.approx(order, abs=0.1)
    assert found["reference_ok"]
    errors = [row["error"] for row in found["halvings"]]
    assert errors[-2] / errors[-1] == pytest.approx(2**order, rel=0.15)
    assert [cost["nfe"] for cost in found["costs"] if cost["solver"] == "own"] == [
        stages * 4 * row["factor"] for row in found["halvings"]
    ]


def test_observed_order_of_a_trained_network_is_that_of_euler(by_euler):
    assert_order(by_euler, 1, 1)


@pytest.mark.parametrize(
    ("kind", "order", "finest"),
    [pytest.param("midpoint", 2, 8, marks=pytest.mark.product), ("rk4", 4, 4)],
)
def test_observed_order_is_that_of_the_given_method(trained, kind, order, finest, tmp_path):
    integrator = [f"model.block.integrator.kind={kind}"]
    run = shutil.copytree(trained, tmp_path / "run")
    options = {"examples": 40, "finest": finest, "solver": ("none",)}
    assert_order(measure("convergence", run, integrator, **options), order, order)


def test_every_solver_is_measured_against_the_same_solve(trained, by_euler):
    found = by_euler
    solvers = {cost["solver"] for cost in found["costs"]}
    assert solvers == {"own", "rk4", "dopri5"}
    finest = {cost["solver"]: cost["error"] for cost in found["costs"]}
    assert finest["dopri5"] < 1e-5
    assert finest["rk4"] < 1e-2 * finest["own"]
    assert found["criticality"]["is_ode"]
    assert json.loads((trained / "convergence.json").read_text()) == found
    assert "errors are relative to dopri8" in " ".join(Convergence.sentences(found))
    assert png(Convergence.figure(found)).startswith(b"\x89PNG")


def test_method_that_chooses_its_steps_has_costs_and_no_order(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    overrides = ["model.block.integrator.kind=bosh3"]
    found = measure("convergence", run, overrides, examples=8, finest=2, solver=("none",))
    assert found["halvings"] == []
    assert found["observed_order"] is None
    assert found["criticality"] is None
    assert found["costs"][0]["solver"] == "own"


def test_another_equation_is_refined_by_its_own_method(trained, tmp_path):
    leapfrog = {"model": {"block": {"integrator": {"kind": "leapfrog"}}}}
    run = copy_with(tmp_path / "run", trained, **leapfrog)
    found = measure("convergence", run, examples=16, finest=4)
    assert found["observed_order"] == pytest.approx(2, abs=0.1)
    assert {cost["solver"] for cost in found["costs"]} == {"own"}
    assert "32 times its steps" in found["reference"]


def test_numbers_of_steps_fit_every_block():
    four = DepthBlockConfig(num_steps=4)
    six = DepthBlockConfig(num_steps=6, weights={"kind": "shared"})
    assert factors_of([four], 4) == [0.25, 0.5, 1, 2, 4]
    assert factors_of([four, six], 2) == [0.5, 1, 2]
    with pytest.raises(ConfigError, match="a power of 2, for instance 4; got 6"):
        factors_of([four], 6)


def test_network_is_an_ode_from_the_step_on_at_which_its_accuracy_stays():
    steps = {0.5: 0.5, 1.0: 0.25, 2.0: 0.125, 4.0: 0.0625}
    own = {0.5: 0.90, 1.0: 0.98, 2.0: 0.85, 4.0: 0.87}
    found = judge_steps(own, steps, 0.86, 0.1)
    assert not found.is_ode
    assert found.change == pytest.approx(0.12)
    assert (found.critical_factor, found.critical_step) == (2.0, 0.125)
    found = judge_steps(own, steps, 0.86, 0.2)
    assert found.is_ode
    assert found.critical_factor == 0.5
    found = judge_steps(own | {2.0: 0.5}, steps, 0.86, 0.1)
    assert found.critical_step is None, "the finest alone may agree by chance"
    with pytest.raises(ConfigError, match=r"at most 1; got 2\.0"):
        check_threshold(2.0)


def test_critical_step_of_training_stands_below_the_first_fall():
    def at(step, fall):
        return TrainedAt(step, round(1 / step), 0.9 + fall, 0.9)

    fell = [at(1 / 2, 0.4), at(1 / 8, -0.3), at(1 / 32, 0.05), at(1 / 64, -0.02)]
    found = critical_step(fell, 0.1)
    assert (found.step, found.above) == (1 / 32, 1 / 8)
    found = critical_step(fell, 0.01)
    assert (found.step, found.above) == (None, None)
    found = critical_step(fell, 0.5)
    assert (found.step, found.above) == (1 / 2, None)


def test_trainings_at_several_steps_are_read_by_seed(trained, tmp_path):
    # The weights are shared by all steps, so that those of four fit two.
    run = copy_with(tmp_path / "0", trained, model={"block": {"num_steps": 2}})
    for one in (trained, run):
        measure("convergence", one, examples=16, finest=2, solver=("none",))
    runs = [run, copy_with(tmp_path / "1", run, seed=1)]
    found = measure("critical-step", [trained, *runs])
    assert [seed["seed"] for seed in found["seeds"]] == [0, 1]
    first, second = found["seeds"]
    assert [one["num_steps"] for one in first["trained"]] == [2, 4]
    assert [one["largest_step"] for one in first["trained"]] == [0.5, 0.25]
    assert first["critical_step"] == 0.5
    assert [one["num_steps"] for one in second["trained"]] == [2]
    with pytest.raises(ConfigError, match="seed and the steps of an earlier"):
        measure("critical-step", [runs[0], runs[0]])
    found = json.loads((runs[0] / "convergence.json").read_text())
    found["criticality"]["threshold"] = 0.2
    (runs[0] / "convergence.json").write_text(json.dumps(found))
    with pytest.raises(ConfigError, match=r"with one threshold; got \[0.1, 0.2\]"):
        measure("critical-step", runs)
    longer = {"model": {"block": {"step_sizes": {"kind": "fixed", "horizon": 2.0}}}}
    other = copy_with(tmp_path / "other", trained, **longer)
    with pytest.raises(ConfigError, match="differ only in num_steps and seed"):
        measure("critical-step", [trained, other])
