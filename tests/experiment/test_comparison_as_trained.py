"""A comparison that asks for no other solver: networks as they were trained, and no verdict."""

from odenet.experiment.compare import compare
from odenet.experiment.config import parse_config
from odenet.plotting.wording import verdict_name, verdict_reason
from odenet.reports import write_report

VALUES = {
    "name": "plain",
    "data": {"kind": "digits"},
    "model": {"kind": "classifier", "stages": [{"width": 4}], "block": {"num_steps": 1}},
    "training": {"num_steps": 2, "batch_size": 16, "log_every": 1, "watch_test": True},
    "compare": {
        "networks": {
            "euler": {},
            # A second-order equation has no reference solve, and needs none here.
            "leapfrog": {"model.block.integrator.kind": "leapfrog"},
        }
    },
}


def test_networks_are_evaluated_as_trained_and_not_judged(tmp_path):
    found = compare(parse_config(VALUES), tmp_path / "out")
    assert [(row.trained_with, row.evaluated_with) for row in found.rows] == [
        ("euler", "as trained"),
        ("leapfrog", "as trained"),
    ]
    for row, verdict in zip(found.rows, found.verdicts, strict=True):
        assert row.solver_error is None
        plain = {"verdict": verdict.verdict, "largest_change": None, "threshold": 0.1}
        trained = {"accuracy": row.accuracy, "solver_error": None}
        assert verdict_name(plain, trained) == "not judged"
        assert verdict_reason(plain, trained) == "no other solver was asked for"
    write_report(tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No other solver was asked for." in page
    assert "No network was evaluated with another solver" in page
    assert (tmp_path / "out" / "figures" / "loss_and_error.png").is_file()
