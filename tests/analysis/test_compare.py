import dataclasses

import numpy as np
import pytest

from odenet.analysis.compare import TRAINED, EvaluationConfig, Row, judge, relative_error


def row(accuracy, error, ok=True):
    return Row("net", "way", accuracy, 1.0, 10, 8.0, error, ok, 0.1, 0.1)


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


def test_a_solve_that_did_not_arrive_is_no_test():
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


def test_reference_that_did_not_arrive_judges_nothing():
    rows = {TRAINED: row(0.98, 1e-1), "fine": row(0.1, 1e-3), "reference": row(0.1, 0.0, ok=False)}
    assert judge("net", rows, 0.1).verdict == "not judged: the reference solve did not arrive"
