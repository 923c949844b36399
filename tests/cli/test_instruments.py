"""Instruments from the command line: numbers, a figure, the report, and words.

Both commands are `product`: `tests/analysis` tests their numbers, words and figures, and
`test_analyse*.py` the commands of other instruments.
"""

import json

import pytest
from commands import odenet


@pytest.mark.parametrize(
    ("words", "said", "alt"),
    [
        pytest.param(
            ("convergence", "--finest", "2", "--solver", "none", "--examples", "50"),
            "errors are relative to dopri8",
            "Error of the outputs at halved steps",
            marks=pytest.mark.product,
        ),
        pytest.param(
            ("gradient-audit", "model.block.integrator.kind=midpoint", "--examples", "4"),
            "finite differences along 3",
            "Error, time and",
            marks=pytest.mark.product,
        ),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_instrument_writes_numbers_figure_and_report(trained, words, said, alt):
    name, *options = words
    done = odenet("analyse", name, trained, *options)
    assert done.returncode == 0, done.stderr
    assert said in " ".join(done.stdout.split())
    key = name.replace("-", "_")
    found = json.loads((trained / f"{key}.json").read_text())
    assert (found["parameters"], found["step"]) == ("last", 20)
    assert (trained / "figures" / f"{key}.png").read_bytes().startswith(b"\x89PNG")
    assert alt in (trained / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("convergence", "--finest", "6"), "a power of 2, for instance 4; got 6"),
        (("effective-depth", "--threshold", "0"), "above 0 and below 1; got 0.0"),
    ],
)
def test_what_cannot_be_measured_is_refused(trained, words, message):
    name, *options = words
    done = odenet("analyse", name, trained, *options)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "needed"),
    [("critical-step", "convergence"), ("gradient-scaling", "gradient-flow")],
)
def test_instruments_over_runs_need_measured_ones(trained, tmp_path, name, needed):
    for file in ("config.yaml", "run.json"):
        (tmp_path / file).write_bytes((trained / file).read_bytes())
    done = odenet("analyse", name, tmp_path)
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert f"measure it with: odenet analyse {needed} {tmp_path}" in said
