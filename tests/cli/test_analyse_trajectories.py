"""`odenet analyse trajectories` on small runs."""

import json

from commands import odenet


def test_command_writes_numbers_figure_and_report_and_says_what_they_prove(trained):
    done = odenet("analyse", "trajectories", trained, "--examples", 12)
    assert done.returncode == 0, done.stderr
    found = json.loads((trained / "trajectories.json").read_text())
    (block,) = found["blocks"]
    assert (found["num_examples"], len(found["targets"]), block["size"]) == (12, 12, 8)
    assert len(block["plane"]) == 5
    assert all(len(point) == 12 for point in block["plane"])
    assert 0 < sum(block["explained"]) <= 1
    assert block["crossings"]["all_pairs"] == 66
    said = " ".join(done.stdout.split())
    assert "of 66 pairs of paths pass each other within a step" in said
    assert "of 12 examples" in said
    assert "of the variance of the 8-dimensional state" in said
    assert (trained / "figures" / "trajectories.png").read_bytes().startswith(b"\x89PNG")
    assert "in one dimension no ODE allows this" in (trained / "report.html").read_text()


def test_one_example_has_no_pair(trained):
    done = odenet("analyse", "trajectories", trained, "--examples", "1")
    assert done.returncode == 2
    assert "must be at least 2; got 1" in " ".join(done.stderr.split())
