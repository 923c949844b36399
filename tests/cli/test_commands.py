import csv
import json
import platform
import shutil
import subprocess
import sys

import pytest
from commands import (
    NETWORKS,
    QUICKSTART,
    ROOT,
    SMALL,
    WAYS,
    answer,
    odenet,
    odenet_process,
)
from without_clock import without_clock


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The directory of a run in its default place, and what the command printed."""
    folder = tmp_path_factory.mktemp("run")
    found = answer("run", QUICKSTART, *SMALL, "--json", cwd=folder)
    return folder / found["directory"], found


def test_comparison_writes_everything_it_promises(small_comparison):
    path = small_comparison / "out"
    stdout = (small_comparison / "stdout").read_text()
    comparison = json.loads((path / "comparison.json").read_text())
    section = comparison["rows"]
    assert [verdict["network"] for verdict in comparison["verdicts"]] == list(NETWORKS)
    # Two networks by as trained, all ways and the reference; the control only as trained.
    assert len(section) == 2 * (len(WAYS) + 2) + 1
    with (path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in section]
    assert {"accuracy", "loss", "parameters", "nfe", "step_seconds", "compile_seconds"} <= set(
        rows[0]
    )
    for name in NETWORKS:
        assert (path / "networks" / name / "metrics.jsonl").exists()
        assert (path / "networks" / name / "checkpoints" / "last").is_dir()
        assert name in stdout
    assert (path / "report.html").stat().st_size > 100_000
    assert (path / "figures" / "solver.png").exists()


def test_euler_of_the_same_steps_is_the_network_as_trained(small_comparison):
    rows = json.loads((small_comparison / "out" / "comparison.json").read_text())["rows"]
    found = {(r["trained_with"], r["evaluated_with"]): r for r in rows}
    for network in ("euler", "euler_learned_tau"):
        trained, again = found[network, "as trained"], found[network, "euler"]
        assert trained["loss"] == again["loss"]
        assert trained["nfe"] == again["nfe"] == 4
    assert found["euler", "euler_half"]["nfe"] == 2
    errors = [found["euler", way]["solver_error"] for way in ("tsit5_1e-5", "euler", "euler_half")]
    assert errors == sorted(errors)
    assert errors[0] < errors[1]


@pytest.mark.usefixtures("without_reports")
def test_unfinished_comparison_is_resumed_to_the_same_rows(comparison_to_resume):
    """One network lacks its directory, one its results; one has a damaged checkpoint."""
    path, before = comparison_to_resume
    networks = path / "networks"
    shutil.rmtree(networks / "feedforward")
    (networks / "euler" / "results.json").unlink()
    newest = max((networks / "euler_learned_tau" / "checkpoints" / "last").iterdir())
    (newest / "extras.json").write_text("{}")
    done = odenet("resume", path, "--json")
    assert done.returncode == 0, done.stderr
    assert "is damaged" in done.stderr
    after = json.loads(done.stdout)["rows"]
    for one, two in zip(before, after, strict=True):
        assert one["loss"] == two["loss"]
        assert one["accuracy"] == two["accuracy"]


def test_eval_answers_in_json(ran):
    path, trained = ran
    found = answer("eval", path, "--json")
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


def test_same_command_in_another_process_gives_the_same_lines_in_another_directory(ran):
    path, first = ran
    folder = path.parents[1]
    again = answer("run", QUICKSTART, *SMALL, "--json", by=odenet_process, cwd=folder)
    assert first["directory"] == "runs/quickstart"
    assert again["directory"] == "runs/quickstart-2"

    def lines(path):
        return without_clock(map(json.loads, (path / "metrics.jsonl").read_text().splitlines()))

    assert lines(path) == lines(folder / again["directory"])


def test_report_is_drawn_again(ran):
    page = ran[0] / "report.html"
    page.unlink()
    assert answer("report", ran[0], "--json")["report"] == str(page)
    assert page.exists()


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


def test_tables_are_plain_where_there_is_no_terminal(small_comparison):
    stdout, stderr = ((small_comparison / name).read_text() for name in ("stdout", "stderr"))
    assert "\x1b[" not in stdout
    assert "\x1b[" not in stderr
    assert str(ROOT) not in stdout


def test_eval_refuses_what_it_would_ignore(ran, small_comparison):
    for words, message in (
        ((ran[0], "seed=5"), "would ignore seed"),
        ((ran[0], "--step-factor", "nan"), "above 0 and at most 4096"),
        ((small_comparison / "out",), "is a comparison; evaluate one of its networks"),
    ):
        done = odenet("eval", *words)
        assert done.returncode == 2
        assert message in done.stderr
