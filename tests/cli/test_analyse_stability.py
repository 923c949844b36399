"""`odenet analyse stability` on a small run."""

import json

import pytest
from commands import answer, odenet


def test_command_writes_numbers_figure_and_report_and_says_what_they_mean(trained):
    done = odenet("analyse", "stability", trained, "--examples", 3)
    assert done.returncode == 0, done.stderr
    found = json.loads((trained / "stability.json").read_text())
    assert found["num_examples"] == 3
    (block,) = found["blocks"]
    assert block["method"] == "euler"
    assert [len(real) for real, _ in block["products"]] == [3 * 8] * 4
    for step, (real, imaginary) in enumerate(block["products"]):
        largest = max(abs(1 + x + 1j * y) for x, y in zip(real, imaginary, strict=True))
        assert block["steps"]["amplification"][step] == pytest.approx(largest, rel=1e-5)
    said = " ".join(done.stdout.split())
    assert "of 4 steps are inside the stability region of euler" in said
    assert "a perturbation grows by up to" in said
    assert (trained / "figures" / "stability.png").read_bytes().startswith(b"\x89PNG")
    assert "inside the green region the step is stable" in (trained / "report.html").read_text()


@pytest.mark.usefixtures("without_reports")
def test_network_is_measured_under_another_method_and_before_training(trained):
    found = answer(
        "analyse", "stability", trained, "model.block.integrator.kind=dopri5", "--at", "start",
        "--examples", 1, "--json",
    )  # fmt: skip
    (block,) = found["blocks"]
    assert found["step"] == 0
    assert block["steps"] is None
    assert "chosen by their error" in block["reason"]
    assert len(block["growth"]["largest"]["largest"]) == 5


def test_what_cannot_be_measured_is_refused(trained):
    done = odenet("analyse", "stability", trained, "--examples", "0")
    assert done.returncode == 2
    assert "at least one example; got 0" in " ".join(done.stderr.split())
