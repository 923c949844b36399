"""What `odenet eval` prints where a solve did not reach the end of its interval."""

from odenet.cli.finish import show_evaluation

FOUND = {"directory": "run", "split": "test", "loss": 1.0, "solver_ok": 1.0}


def test_table_says_why_and_where_a_solve_failed(capsys):
    failed = {"solver_ok": 0.0, "solver_failure": 1.0, "failed_layer": 2.0, "failed_time": 0.75}
    show_evaluation(FOUND | failed, json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert "0.75" in out
    assert "more than integrator.max_steps; raise max_steps" in out
    show_evaluation(FOUND | {"solver_failure": None, "failed_time": None}, json=False)
    assert "did not reach" not in capsys.readouterr().out
