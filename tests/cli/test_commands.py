import csv
import json
import platform
import shutil
import subprocess
import sys

import pytest
from commands import QUICKSTART, ROOT, SMALL, answer, odenet, odenet_process
from without_clock import without_clock

WAYS = {
    "euler": {"integrator": {"kind": "euler"}},
    "euler_half": {"integrator": {"kind": "euler"}, "step_factor": 0.5},
    "rk4": {"integrator": {"kind": "rk4"}},
    "tsit5_1e-5": {"integrator": {"kind": "diffrax", "controller": {"rtol": 1e-5, "atol": 1e-5}}},
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("compare") / "out"
    done = odenet(
        "compare",
        QUICKSTART,
        *SMALL,
        "--out",
        path,
        "compare.networks.feedforward={model.block: {kind: feedforward}}",
        f"compare.evaluate={json.dumps(WAYS)}",
    )
    assert done.returncode == 0, done.stderr
    return path, done


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "out"
    return path, answer("run", QUICKSTART, *SMALL, "--out", path, "--json", by=odenet_process)


def test_comparison_writes_everything_it_promises(compared):
    path, done = compared
    comparison = json.loads((path / "comparison.json").read_text())
    section = comparison["rows"]
    networks = ["euler", "euler_learned_tau", "continuous", "feedforward"]
    assert [verdict["network"] for verdict in comparison["verdicts"]] == networks
    # Three networks by as trained, all ways and the reference; the control only as trained.
    assert len(section) == 3 * (len(WAYS) + 2) + 1
    with (path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in section]
    assert {"accuracy", "loss", "parameters", "nfe", "step_seconds", "compile_seconds"} <= set(
        rows[0]
    )
    for name in networks:
        assert (path / "networks" / name / "metrics.jsonl").exists()
        assert (path / "networks" / name / "checkpoints" / "last").is_dir()
        assert name in done.stdout
    assert (path / "report.html").stat().st_size > 100_000
    assert (path / "figures" / "solver.png").exists()


def test_euler_of_the_same_steps_is_the_network_as_trained(compared):
    rows = json.loads((compared[0] / "comparison.json").read_text())["rows"]
    found = {(r["trained_with"], r["evaluated_with"]): r for r in rows}
    for network in ("euler", "euler_learned_tau"):
        trained, again = found[network, "as trained"], found[network, "euler"]
        assert trained["loss"] == again["loss"]
        assert trained["nfe"] == again["nfe"] == 4
    assert found["euler", "euler_half"]["nfe"] == 2
    assert found["euler", "rk4"]["nfe"] == 16
    assert found["euler", "tsit5_1e-5"]["solver_error"] < found["euler", "rk4"]["solver_error"]


def test_unfinished_comparison_is_resumed_to_the_same_rows(comparison_to_resume):
    path, before = comparison_to_resume
    (path / "networks" / "euler" / "results.json").unlink()
    shutil.rmtree(path / "networks" / "seed")
    after = answer("resume", path, "--json")["rows"]
    for one, two in zip(before, after, strict=True):
        assert one["loss"] == two["loss"]
        assert one["accuracy"] == two["accuracy"]


def test_eval_answers_in_json(ran):
    path, trained = ran
    found = answer("eval", path, "--json", by=odenet_process)
    assert found["accuracy"] == trained["test"]["accuracy"]
    assert found["loss"] == trained["test"]["loss"]
    assert found["nfe"] == 4
    assert found["step"] == 20


def test_eval_swaps_the_solver_and_the_number_of_steps(ran):
    path, _ = ran
    continuous = answer("eval", path, "model.block.integrator.kind=diffrax", "--json")
    assert continuous["nfe"] > 4
    assert answer("eval", path, "--step-factor", "2", "--json")["nfe"] == 8
    assert answer("eval", path, "--split", "validation", "--checkpoint", "best", "--json")["loss"]


def test_same_command_twice_gives_the_same_lines(ran, tmp_path):
    words = ("run", QUICKSTART, *SMALL, "--out", tmp_path / "again", "--json")
    answer(*words, by=odenet_process)

    def lines(path):
        return without_clock(map(json.loads, (path / "metrics.jsonl").read_text().splitlines()))

    assert lines(ran[0]) == lines(tmp_path / "again")


def test_report_is_drawn_again(ran):
    page = ran[0] / "report.html"
    page.unlink()
    assert answer("report", ran[0], "--json")["report"] == str(page)
    assert page.exists()


def test_default_directories_do_not_collide(tmp_path):
    words = ("run", QUICKSTART, *SMALL, "training.num_steps=10", "--json")
    first, second = (answer(*words, cwd=tmp_path)["directory"] for _ in range(2))
    assert (first, second) == ("runs/quickstart", "runs/quickstart-2")


def test_help_does_not_import_jax():
    code = (
        "import sys, odenet.cli.main; "
        "print([name for name in ('jax', 'flax', 'matplotlib', 'pydantic', 'sklearn') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_names_every_command():
    text = odenet("--help").stdout
    commands = "run resume eval analyse compare report list schema data doctor"
    for name in commands.split():
        assert f" {name} " in text


def test_doctor_list_schema_and_data_answer_in_json(tmp_path):
    facts = answer("doctor", "--json", "--data-dir", tmp_path)
    assert facts["versions"]["jax"]
    assert facts["keeps_freed_memory"] is (platform.libc_ver()[0] == "glibc")
    assert set(facts["data"]) == {"mnist", "fashion_mnist", "cifar10"}
    parts = answer("list", "integrator", "--json")["parts"]
    assert set(parts) == {"integrator"}
    assert answer("list", "--json")["experiments"]
    assert "$defs" in json.loads(odenet("schema").stdout)
    done = odenet("data", "check", "mnist", "--data-dir", tmp_path, "--json")
    assert done.returncode == 1
    assert {file["state"] for file in json.loads(done.stdout)["mnist"]} == {"missing"}


def test_tables_are_plain_where_there_is_no_terminal(compared):
    done = compared[1]
    assert "\x1b[" not in done.stdout
    assert "\x1b[" not in done.stderr
    assert str(ROOT) not in done.stdout


def test_eval_refuses_what_it_would_ignore(ran, compared):
    for words, message in (
        ((ran[0], "seed=5"), "would ignore seed"),
        ((ran[0], "--step-factor", "nan"), "above 0 and at most 4096"),
        ((compared[0],), "is a comparison; evaluate one of its networks"),
    ):
        done = odenet("eval", *words)
        assert done.returncode == 2
        assert message in done.stderr


def test_damaged_checkpoint_of_a_finished_network_is_trained_again(comparison_to_resume):
    path, before = comparison_to_resume
    newest = max((path / "networks" / "euler" / "checkpoints" / "last").iterdir())
    (newest / "extras.json").write_text("{}")
    done = odenet("resume", path, "--json")
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    after = json.loads(done.stdout)["rows"]
    assert [row["loss"] for row in after] == [row["loss"] for row in before]
