import dataclasses

import numpy as np
import pytest

from odenet.analysis.compare import TRAINED, EvaluationConfig, Row, judge, relative_error


def row(accuracy, error, ok=True, loss=1.0):
    return Row("net", "way", accuracy, loss, 10, 8.0, error, ok, 0.1, 0.1)


def test_relative_error_is_the_ratio_of_root_mean_squares():
    reference = np.array([[3.0, 4.0]])
    assert relative_error(reference + np.array([[0.3, -0.4]]), reference) == pytest.approx(0.1)
    assert relative_error(np.array([[np.nan, 1.0]]), reference) == np.inf


def test_accuracy_that_falls_under_a_finer_solver_depends_on_it():
    rows = {
        TRAINED: row(0.98, 1e-1),
        "coarse": row(0.3, 0.5),
        "fine": row(0.6, 1e-3),
        "finer": row(0.7, 1e-5),
    }
    verdict = judge("net", rows, 0.1)
    assert verdict.verdict == "depends on its solver"
    assert verdict.under == "fine"
    assert verdict.largest_change == pytest.approx(0.38)
    assert verdict.compared == ("fine", "finer")


def test_accuracy_that_rises_counts_as_a_change_too():
    rows = {TRAINED: row(0.5, 1e-1), "fine": row(0.7, 1e-3)}
    assert judge("net", rows, 0.1).verdict == "depends on its solver"


def test_coarser_solvers_are_no_test():
    rows = {TRAINED: row(0.98, 1e-3), "coarse": row(0.3, 0.5), "fine": row(0.97, 1e-5)}
    verdict = judge("net", rows, 0.1)
    assert verdict.verdict == "solver-independent"
    assert verdict.compared == ("fine",)


def test_threshold_is_the_largest_change_that_counts_as_none():
    rows = {TRAINED: row(0.75, 1e-1), "fine": row(0.625, 1e-3)}
    assert judge("net", rows, 0.125).verdict == "solver-independent"
    assert judge("net", rows, 0.12).verdict == "depends on its solver"


def test_a_solve_that_did_not_reach_t1_is_no_test():
    rows = {TRAINED: row(0.98, 1e-1), "failed": row(0.1, 1e-3, ok=False), "fine": row(0.97, 1e-4)}
    assert judge("net", rows, 0.1).compared == ("fine",)


@pytest.mark.parametrize(
    ("own", "others", "verdict"),
    [
        (row(0.9, None), {}, "not an ODE"),
        (row(None, 1e-2), {"fine": row(None, 1e-4)}, "not judged: it has no accuracy"),
        (row(0.9, 1e-5), {"coarse": row(0.9, 1e-2)}, "not judged: no solver has a smaller error"),
    ],
)
def test_network_without_a_test_gets_no_verdict(own, others, verdict):
    found = judge("net", {TRAINED: own, **others}, 0.1)
    assert found.verdict == verdict
    assert found.largest_change is None
    assert dataclasses.asdict(found)["compared"] == ()


def test_step_factor_of_an_adaptive_solver_is_refused():
    with pytest.raises(ValueError, match="would ignore step_factor"):
        EvaluationConfig(integrator={"kind": "diffrax"}, step_factor=2)


def test_reference_that_did_not_reach_t1_judges_nothing():
    rows = {TRAINED: row(0.98, 1e-1), "fine": row(0.1, 1e-3), "reference": row(0.1, 0.0, ok=False)}
    assert judge("net", rows, 0.1).verdict == "not judged: the reference solve did not reach t1"


def test_loss_and_outputs_that_contradict_a_verdict_are_named_beside_it():
    rows = {
        TRAINED: row(0.99, 0.51, loss=0.0013),
        "coarse": row(0.5, 0.9, loss=9.0),
        "fine": row(0.985, 1e-3, loss=0.028),
        "finer": row(0.984, 1e-5, loss=0.027),
    }
    found = judge("net", rows, 0.1)
    assert found.verdict == "solver-independent"
    assert (found.loss, found.furthest_loss, found.loss_under) == (0.0013, 0.028, "fine")
    assert found.solver_error == 0.51
    assert found.disagreements == ("loss", "outputs")


@pytest.mark.parametrize(
    ("own", "fine", "disagreements"),
    [
        (row(0.9, 0.05), row(0.89, 1e-3, loss=1.9), ()),
        (row(0.9, 0.05), row(0.89, 1e-3, loss=0.4), ("loss",)),  # less is a change too
        (row(0.9, 0.05), row(0.89, 1e-3, loss=np.nan), ("loss",)),
        (row(0.9, 0.2), row(0.89, 1e-3), ("outputs",)),
        (row(0.9, 0.05, loss=0.0), row(0.89, 1e-3, loss=0.0), ()),
        (row(0.9, 0.5), row(0.5, 1e-3, loss=3.0), ()),
        (row(0.9, 0.005), row(0.5, 1e-3, loss=1.05), ("loss", "outputs")),
    ],
)
def test_disagreements_are_those_of_either_verdict(own, fine, disagreements):
    found = judge("net", {TRAINED: own, "fine": fine}, 0.1)
    assert found.disagreements == disagreements
    assert found.verdict == (
        "depends on its solver" if fine.accuracy == 0.5 else "solver-independent"
    )


def test_loss_and_outputs_of_a_regression_are_said_without_a_verdict():
    rows = {TRAINED: row(None, 0.2, loss=0.5), "fine": row(None, 1e-3, loss=0.25)}
    found = judge("net", rows, 0.1)
    assert found.verdict == "not judged: it has no accuracy"
    assert (found.loss, found.furthest_loss, found.solver_error) == (0.5, 0.25, 0.2)
    assert found.disagreements == ()
