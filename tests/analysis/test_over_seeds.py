"""Results over seeds: the numbers, what may be averaged, and the table."""

import json
import statistics

import pytest
import yaml

from odenet.analysis.over_seeds import Spread, over_seeds
from odenet.errors import ConfigError, RunDirectoryError
from odenet.instruments.seeds import Seeds, read_over_seeds

CONFIG = {
    "name": "made_up",
    "data": {"kind": "digits"},
    "model": {"kind": "classifier", "stages": [{"width": 4}]},
}


def results(accuracy, loss, taus):
    return {"test": {"accuracy": accuracy, "loss": loss}, "taus": taus}


def comparison(path, seed, networks, **changes):
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"seed": seed} | changes))
    (path / "run.json").write_text(json.dumps({"kind": "compare"}))
    (path / "comparison.json").write_text(json.dumps({"networks": networks}))
    return path


def finished_run(path, name, seed, accuracy):
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"seed": seed, "name": name}))
    (path / "run.json").write_text(json.dumps({"kind": "run"}))
    (path / "results.json").write_text(json.dumps(results(accuracy, 1.0, [[1.0]])))
    return path


def test_spread_is_mean_and_standard_deviation_of_the_sample():
    values = [0.3, 0.1, 0.7]
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(statistics.mean(values))
    assert spread.standard_deviation == pytest.approx(statistics.stdev(values))
    assert Spread.of([2.0]) == Spread((2.0,), 2.0, None)


def test_horizon_is_the_sum_over_all_stages_and_missing_for_a_control():
    found = over_seeds([results(0.9, 0.2, [[1.0, 2.0], [0.5]]), results(0.8, 0.4, [[1.0], [1.0]])])
    assert found["horizon"].values == (3.5, 2.0)
    assert found["test_error"].values == pytest.approx((0.1, 0.2))
    assert "horizon" not in over_seeds([results(0.9, 0.2, [])])
    assert "test_error" not in over_seeds([{"test": {"loss": 1.0}, "taus": []}])


def test_table_has_a_row_for_every_network_with_the_numbers_of_every_seed(tmp_path):
    runs = [
        comparison(
            tmp_path / str(seed),
            seed,
            {"fixed": results(0.9, 0.5, [[1.0]]), "plain": results(0.5, 1.5, [])},
        )
        for seed in (3, 1)
    ]
    found = Seeds().measure(runs)
    assert found["seeds"] == [3, 1]
    lines = Seeds.table(found).splitlines()
    assert lines[0].startswith(
        "| network | test error (%): mean ± standard deviation (seeds 3, 1) |"
    )
    assert lines[2] == "| fixed | 10 ± 0 (10, 10) | 0.5 ± 0 (0.5, 0.5) | 1 ± 0 (1, 1) |"
    assert lines[3] == "| plain | 50 ± 0 (50, 50) | 1.5 ± 0 (1.5, 1.5) | – |"


def test_runs_are_of_the_network_that_their_name_says(tmp_path):
    runs = [
        finished_run(tmp_path / f"{name}{seed}", name, seed, accuracy)
        for name, accuracy in (("fixed", 0.5), ("learned", 0.75))
        for seed in (0, 1)
    ]
    seeds, found = read_over_seeds(runs)
    assert seeds == [0, 1]
    assert [found[name]["test_error"].values for name in found] == [(0.5, 0.5), (0.25, 0.25)]
    with pytest.raises(ConfigError, match=r"learned has \[0\], another \[0, 1\]"):
        read_over_seeds(runs[:3])


def test_runs_that_differ_in_more_than_the_seed_are_refused(tmp_path):
    networks = {"fixed": results(0.9, 0.5, [[1.0]])}
    first = comparison(tmp_path / "a", 0, networks)
    other = comparison(tmp_path / "b", 1, networks, training={"num_steps": 7})
    with pytest.raises(ConfigError, match="may differ only in the seed"):
        read_over_seeds([first, other])
    elsewhere = comparison(tmp_path / "d", 0, networks, name="other", data={"kind": "spirals"})
    with pytest.raises(ConfigError, match="compared on the same data"):
        read_over_seeds([first, elsewhere])
    with pytest.raises(ConfigError, match="has the seed 0 of an earlier"):
        read_over_seeds([first, comparison(tmp_path / "c", 0, networks)])
    with pytest.raises(ConfigError, match="at least one"):
        read_over_seeds([])
    with pytest.raises(RunDirectoryError, match="no run directory"):
        read_over_seeds([tmp_path / "nowhere"])
