"""`odenet analyse gradient-flow` on a run that watched its own gradients."""

import json
import math
import shutil

import numpy as np
import pytest
from commands import QUICKSTART, answer, odenet

DEPTH = 4


@pytest.fixture(scope="module")
def measured(trained):
    """What the command says of the small run."""
    done = odenet("analyse", "gradient-flow", trained, "--examples", 32, "--threshold", "0.001")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("without_reports")
def test_lines_of_the_training_are_what_the_command_finds_in_its_checkpoints(
    trained, measured, small_run, tmp_path
):
    copy = shutil.copytree(small_run, tmp_path / "copy")
    words = ("--at", "start", "--examples", 32, "--factor-examples", 0, "--json")
    start = answer("analyse", "gradient-flow", copy, *words)
    last = json.loads((trained / "gradient_flow.json").read_text())
    text = (small_run / "gradient_flow.jsonl").read_text()
    history = {record["step"]: record for record in map(json.loads, text.splitlines())}
    assert list(history) == [0, 10, 20]
    for found, step in ((start, 0), (last, 20)):
        assert found["step"] == step
        (block,), (then,) = found["blocks"], history[step]["blocks"]
        for key in ("norm", "mean", "std"):
            assert len(block["gradients"][key]) == DEPTH + 1
            np.testing.assert_allclose(
                block["gradients"][key], then["gradients"][key], rtol=2e-3, atol=1e-7
            )
        np.testing.assert_allclose(block["weights"]["rms"], then["weights"]["rms"], rtol=2e-3)
        assert then["factors"] is None
    losses = [history[step]["loss"] for step in (0, 20)]
    assert losses[0] > losses[1]


def test_command_writes_numbers_figure_and_report_and_says_the_rule(trained, measured):
    found = json.loads((trained / "gradient_flow.json").read_text())
    assert found["num_examples"] == 32
    assert found["factor_examples"] == 8
    verdict = found["verdict"]
    assert verdict["threshold"] == 0.001
    assert verdict["verdict"] in ("vanishing", "exploding")
    said = " ".join(measured.split())
    assert f"gradient of the states: {verdict['verdict']}, by the rule `change over depth`" in said
    assert "|tau df/dy| reaches" in said
    (block,) = found["blocks"]
    norms, factors = block["gradients"]["norm"], block["factors"]
    assert verdict["lowest"] == pytest.approx(min(math.log10(n / norms[-1]) for n in norms))
    for small, mean, large in zip(
        factors["smallest"], factors["mean"], factors["largest"], strict=True
    ):
        assert small <= mean <= large
    for name in ("gradient_flow", "flow_history"):
        assert (trained / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (trained / "report.html").read_text()
    assert "singular values of the factors" in page
    assert "Each line is the network after the given number" in page


@pytest.mark.usefixtures("measured")
def test_gradient_scaling_shows_a_table_and_draws(trained, tmp_path):
    figure = tmp_path / "scaling.png"
    done = odenet("analyse", "gradient-scaling", trained, "--figure", figure)
    assert done.returncode == 0, done.stderr
    assert "not judged: one depth" in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.block.integrator.kind=dopri5",), "model.block.integrator.kind=euler"),
        (("seed=5",), "would ignore seed"),
        (("--threshold", "-1"), "positive number of decades"),
        (("--factor-examples", "-1"), "factors of -1 examples; give 0 or more"),
        (("--examples", "0"), "at least one example; got 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(trained, words, message):
    before = (trained / "gradient_flow.json").read_bytes()
    done = odenet("analyse", "gradient-flow", trained, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert (trained / "gradient_flow.json").read_bytes() == before


def test_training_that_could_not_be_watched_is_refused_before_it_begins(tmp_path):
    words = (
        "model.block.integrator.kind=dopri5",
        "training.monitors=[{kind: gradient_flow, every: 10}]",
    )
    done = odenet("run", QUICKSTART, *words, "--out", tmp_path / "new")
    assert done.returncode == 2
    assert "followed step by step" in " ".join(done.stderr.split())
    assert not (tmp_path / "new").exists()


def test_watched_run_is_evaluated_by_a_solver_that_could_not_be_watched(trained):
    found = answer("eval", trained, "model.block.integrator.kind=dopri5", "--json")
    assert found["accepted_steps"] >= 1


def test_damaged_measurement_is_named(small_run, tmp_path):
    path = shutil.copytree(small_run, tmp_path / "copy")
    (path / "gradient_flow.json").write_text("{}")
    assert odenet("report", path).returncode == 0
    (path / "gradient_flow.json").write_text('{"blocks": []}')
    done = odenet("report", path)
    assert done.returncode == 2
    assert "odenet analyse gradient-flow" in done.stderr
