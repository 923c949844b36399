import dataclasses
import json

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.agreement import Disagreement, largest_difference
from benchmarks.cases import NAMES, UnknownBenchmark, load
from benchmarks.declaration import Check, Comparison, Ratio, Side, Survey, Timing
from benchmarks.harness import form_ratio, missed, run_benchmark, run_benchmarks
from benchmarks.process import WorkerError
from benchmarks.spread import exponent, ratio_of_rounds, spread

FAKE = "fake_side"
SLOW = Comparison(
    name="slow",
    about="sides that say how long they took",
    sides=(
        Side("ours", FAKE, {"seconds": 3.0, "bytes": 8}),
        Side("peer", FAKE, {"seconds": 2.0, "bytes": 2}),
    ),
    ratios=(
        Ratio("the peer", "ours", "peer", bar=1.0),
        Ratio("bytes", "ours", "peer", bar=4.0, quantity="peak_bytes"),
        Ratio("reported", "ours", "peer", bar=None),
    ),
    settings={},
    full=Timing(rounds=3, steps=2),
    quick=Timing(rounds=1),
    checks=(Check({}),),
)


def with_side(**settings):
    ours = dataclasses.replace(SLOW.sides[0], settings=dict(SLOW.sides[0].settings) | settings)
    return dataclasses.replace(SLOW, sides=(ours, SLOW.sides[1]))


def test_ratio_is_the_median_of_the_rounds_and_not_of_the_times():
    # 1/2, 4/4, 9/3: the median ratio is 1, the ratio of the medians 4/3.
    assert ratio_of_rounds([1, 4, 9], [2, 4, 3])["median"] == 1


def test_spread_has_the_quartiles_of_numpy():
    values = list(np.random.default_rng(0).normal(size=9))
    found = spread(values)
    expected = np.quantile(values, [0.25, 0.5, 0.75])
    np.testing.assert_allclose([found["low"], found["median"], found["high"]], expected)
    assert spread([2.0]) == {"median": 2.0, "low": 2.0, "high": 2.0, "count": 1}


def test_exponent_is_that_of_a_power():
    sizes = [1.0, 2.0, 5.0]
    assert exponent(sizes, [3 * size**1.5 for size in sizes]) == pytest.approx(1.5)


@pytest.mark.parametrize(("bar", "met"), [(1.4, False), (1.5, True), (None, None)])
def test_bar_is_met_up_to_and_including_itself(bar, met):
    ratio = Ratio("peer", "ours", "peer", bar)
    rounds = {"ours": [3.0], "peer": [2.0]}
    assert form_ratio(ratio, {}, rounds, quick=False)["met"] is met
    assert form_ratio(ratio, {}, rounds, quick=True)["met"] is None


def test_comparison_measures_the_times_that_its_sides_tell():
    result = run_benchmark(SLOW, quick=False)
    assert result["rounds"] == {"ours": [3.0] * 3, "peer": [2.0] * 3}
    assert result["sides"]["ours"]["first_seconds"] == [30.0]
    by_time, by_bytes, reported = result["ratios"]
    assert by_time["measured"]["median"] == 1.5
    assert by_bytes["measured"]["median"] == 4
    assert [by_time["met"], by_bytes["met"], reported["met"]] == [False, True, None]
    assert missed([result]) == [by_time]
    assert json.loads(json.dumps(result)) == result


def test_sides_have_a_process_of_their_own_where_they_are_timed():
    for quick, processes in ((False, 2), (True, 1)):
        sides = run_benchmark(SLOW, quick=quick)["sides"]
        assert list(sides) == ["ours", "peer"]
        assert len({side["facts"]["process"] for side in sides.values()}) == processes


def test_process_of_the_checks_goes_on_in_single_precision():
    facts = run_benchmark(with_side(jax=True), quick=True)["sides"]["ours"]["facts"]
    assert facts["double"] is False


def test_quick_benchmarks_come_in_their_order():
    names = ["a", "b", "c"]
    made = [dataclasses.replace(SLOW, name=name) for name in names]
    found = list(run_benchmarks(made, quick=True, say=lambda text: None))
    assert [result["name"] for result in found] == names


def test_survey_gives_its_tables():
    survey = Survey("survey", "one table", FAKE, {"size": 3}, {"size": 1})
    assert run_benchmark(survey, quick=False)["tables"][0]["rows"] == [[3, 0.5]]
    assert run_benchmark(survey, quick=True)["tables"][0]["rows"] == [[1, 0.5]]


def test_sides_that_differ_are_not_timed():
    with pytest.raises(Disagreement, match=r"slow: ours and peer differ in gradients by .* in w"):
        run_benchmark(with_side(gradient=1.0 + 1e-7), quick=True)
    agreement = run_benchmark(with_side(gradient=1.0 + 1e-9), quick=True)["agreement"]
    assert agreement["gradients"] < 1e-8


@pytest.mark.parametrize(
    "other",
    [
        {"b": np.zeros(2)},
        {"a": np.zeros(3)},
        {"a": np.zeros(2, np.float32)},
        {"a": np.nan * np.ones(2)},
    ],
    ids=["name", "shape", "precision", "nan"],
)
def test_difference_is_not_small_where_arrays_cannot_be_compared(other):
    assert not largest_difference({"a": np.zeros(2)}, other)[0] <= 1.0


@pytest.mark.parametrize("where", ["build", "step"])
def test_error_of_a_side_is_shown_whole(where):
    with pytest.raises(WorkerError, match=r"(?s)slow: ours failed:.*Traceback.*this side"):
        run_benchmark(dataclasses.replace(with_side(broken=where), checks=()), quick=True)


def run_command(monkeypatch, tmp_path, benchmark, *arguments):
    monkeypatch.setattr(command, "load", lambda name: benchmark)
    path = tmp_path / "out.json"
    code = command.main(["slow", "--json", str(path), *arguments])
    return code, json.loads(path.read_text()) if path.exists() else None


def test_missed_bar_ends_with_an_error_in_a_full_run_only(monkeypatch, tmp_path, capsys):
    code, run = run_command(monkeypatch, tmp_path, SLOW)
    assert code == 1
    assert "missed" in capsys.readouterr().out
    assert (run["quick"], run["benchmarks"][0]["ratios"][0]["met"]) == (False, False)
    assert {"machine", "versions", "git_commit", "command", "date"} <= set(run)
    assert {"python", "jax", "jaxlib", "flax", "diffrax", "odenet"} <= set(run["versions"])
    code, run = run_command(monkeypatch, tmp_path, SLOW, "--quick")
    assert (code, run["quick"]) == (0, True)


def test_run_without_a_miss_ends_well(monkeypatch, tmp_path):
    assert run_command(monkeypatch, tmp_path, with_side(seconds=1.0))[0] == 0


def test_disagreement_ends_even_a_quick_run_with_an_error(monkeypatch, tmp_path, capsys):
    code, run = run_command(monkeypatch, tmp_path, with_side(gradient=2.0), "--quick")
    assert (code, run) == (2, None)
    assert "differ in gradients" in capsys.readouterr().err


def test_unknown_name_names_the_nearest(capsys):
    assert command.main(["resnet"]) == 2
    assert "the nearest is 'resnet20'" in capsys.readouterr().err
    with pytest.raises(UnknownBenchmark, match="the nearest is 'adjoints'"):
        load("adjoint")


@pytest.mark.parametrize("name", NAMES)
def test_declaration_is_whole(name):
    benchmark = load(name)
    assert benchmark.name == name
    if benchmark.kind == "survey":
        return
    sides = [side.name for side in benchmark.sides]
    assert len(set(sides)) == len(sides)
    assert benchmark.ratios
    for ratio in benchmark.ratios:
        assert {ratio.ours, ratio.peer} <= set(sides)
    for changed in (benchmark.quick_settings, *(check.settings for check in benchmark.checks)):
        assert set(changed) <= set(benchmark.settings)
