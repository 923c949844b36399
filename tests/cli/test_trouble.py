"""What goes wrong, and what a command says of it: bad input, full disks, signals."""

import os
import shutil
import subprocess

import pytest
from commands import (
    QUICKSTART,
    SMALL,
    answer,
    command,
    odenet,
    wait_for_step,
)
from compilation import environment

ERRORS = {
    "unknown key": (("run", QUICKSTART, "modle.kind=classifier"), "unknown key modle; nearest"),
    "wrong type": (("run", QUICKSTART, "training.num_steps=x"), "valid integer"),
    "missing file": (("run", "experiments/nothing.yaml"), "no experiment file"),
    "ignored option": (("run", QUICKSTART, "model.block.integrator.rtol=1"), "has no rtol"),
    "batch too large": (("run", QUICKSTART, "training.batch_size=9999"), "at most the 1257"),
    "batch that does not divide": (
        ("run", QUICKSTART, "training.parallel.devices=8"),
        "but there are 4",
    ),
    "no data": (
        ("run", QUICKSTART, "data={kind: mnist}", "--data-dir", "nowhere"),
        "odenet data fetch mnist",
    ),
    "no run directory": (("eval", "runs/nothing"), "no run directory"),
    "not a run directory": (("resume", "experiments"), "has no config.yaml"),
    "nothing to compare": (("compare", QUICKSTART, "compare=null"), "no `compare` section"),
    "unknown data set": (("data", "check", "minst"), "nearest: mnist"),
    "unknown part": (("list", "integrater"), "nearest: integrator"),
    "unknown command": (("rnu",), "No such command"),
    "reserved name": (
        ("compare", QUICKSTART, "compare.evaluate.reference={}"),
        "choose another name",
    ),
    "name that is a path": (
        ("compare", QUICKSTART, 'compare.networks={"../x": {}}'),
        "should match pattern",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_bad_input_ends_with_2_and_a_few_lines_on_stderr(name, tmp_path):
    words, message = ERRORS[name]
    out = ("--out", tmp_path / "new") if words[0] in ("run", "compare") else ()
    done = odenet(*words, *out)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 8
    assert done.stdout == ""
    assert not (tmp_path / "new").exists()


def test_existing_directory_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").write_text("data")
    done = odenet("run", QUICKSTART, "--out", tmp_path)
    assert done.returncode == 2
    assert "exists; name another with --out" in done.stderr
    assert (tmp_path / "precious").read_text() == "data"


def test_directory_in_use_is_refused_and_an_interrupted_comparison_goes_on_as_a_whole(tmp_path):
    path = tmp_path / "busy"
    words = ("compare", QUICKSTART, "training.num_steps=100000", "--out", path, "--quiet")
    process = subprocess.Popen(command(*words), env=environment(), stderr=subprocess.PIPE)
    network = path / "networks" / "euler"
    try:
        wait_for_step(process, network, 1)
        for used in (path, network):
            done = odenet("resume", used)
            assert done.returncode == 2
            assert f"in use by another process (pid {process.pid})" in done.stderr
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + 15
    assert errors.decode().splitlines()[-1] == f"continue with: odenet resume {path}"


@pytest.mark.usefixtures("without_reports")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device /dev/full")
def test_full_disk_is_said_and_nothing_is_lost(small_run, tmp_path):
    path = shutil.copytree(small_run, tmp_path / "out")
    (path / "results.json").unlink()
    metrics = (path / "metrics.jsonl").read_bytes()
    (path / "results.json.partial").symlink_to("/dev/full")
    done = odenet("resume", path)
    assert done.returncode == 2
    assert "cannot be written: No space left" in done.stderr
    assert f"odenet resume {path}" in done.stderr
    assert (path / "metrics.jsonl").read_bytes() == metrics
    (path / "results.json.partial").unlink()
    assert odenet("resume", path).returncode == 0


@pytest.mark.usefixtures("without_reports")
def test_directory_of_a_run_killed_before_it_began_is_taken(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    for name in (".lock", "run.json", "config.yaml.partial"):
        (path / name).write_text("")
    assert answer("run", QUICKSTART, *SMALL, "--out", path, "--json")["step"] == 20


def test_checkpoint_that_cannot_be_written_ends_the_run_with_advice(tmp_path):
    path = tmp_path / "out"
    words = command("run", QUICKSTART, *SMALL, "model.stages.0.width=200", "--out", path)
    limited = ["bash", "-c", 'ulimit -f 100; exec "$@"', "limited", *words]
    done = subprocess.run(limited, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    # Threads of orbax may print lines of their own beside ours.
    assert f"\ncontinue with: odenet resume {path}\n" in done.stderr
    assert not list((path / "checkpoints").rglob(".partial-*"))
