import json
from pathlib import Path

import pytest
from fake_side import one_table

from benchmarks.page import main, page

ROOT = Path(__file__).parents[2]
COMMITTED = "benchmarks/results/cpu.json"


@pytest.fixture
def run():
    spread = {"median": 0.5, "low": 0.4, "high": 0.6, "count": 3}
    ratio = {"label": "the peer", "ours": "a", "peer": "b", "bar": 0.7, "quantity": "seconds"}
    side = {"build_seconds": 1.0, "first_seconds": [2.0], "seconds": spread}
    comparison = {
        "name": "one",
        "about": "the work",
        "kind": "comparison",
        "note": "A remark.",
        "agreement": {"outputs": 1e-12},
        "sides": {"a": side | {"facts": {"peak_bytes": 2**21}}, "b": side | {"facts": {}}},
        "ratios": [ratio | {"measured": spread, "met": True}],
    }
    survey = {"name": "two", "about": "more", "kind": "survey", "tables": [one_table()]}
    return {
        "machine": {"cpu": "A CPU", "cores": 2, "memory_gib": 4.0, "os": "Linux"},
        "versions": {"python": "3.11", "torch": None},
        "git_commit": "0123456789abcdef",
        "command": "python -m benchmarks one two",
        "date": "2026-01-02",
        "quick": False,
        "benchmarks": [comparison, survey],
    }


def test_page_of_the_committed_run_is_the_page_in_the_docs():
    written = (ROOT / "docs" / "performance.md").read_text()
    assert page(json.loads((ROOT / COMMITTED).read_text()), COMMITTED) == written


def test_page_holds_machine_command_ratio_bar_and_spread(run):
    text = page(run, "results.json")
    assert "Measured on A CPU, 2 cores, 4.0 GiB, Linux, on 2026-01-02" in text
    assert "```sh\npython -m benchmarks one two\n```" in text
    assert "| [one](#one) | the peer | 0.7 | 0.5 (0.4 to 0.6) | met |  |" in text
    assert "| a | 500 ms | 400 ms to 600 ms | 2 s | 2.00 MiB |" in text
    assert "| b | 500 ms | 400 ms to 600 ms | 2 s | - |" in text
    assert "| 3 | 500 ms |" in text
    assert "No GPU was available" in text
    assert "torch" not in text
    assert "quick" not in text


def test_page_says_that_a_quick_run_has_no_times(run):
    assert "its times are meaningless" in page(run | {"quick": True}, "results.json")


def test_page_command_prints_the_page(run, tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == page(run, str(path))
    assert main([]) == 2
