"""The page *Write your own part*, from an installed wheel, outside of the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compilation import environment
from pages import OWN_PART, ROOT, blocks_of

HERE = Path(__file__).parent
MOST_LINES = 40

COMMANDS = """
import json, sys
import odenet, one_process
from odenet.cli.main import main

outputs = []
for line in json.load(sys.stdin):
    code, out, err = one_process.outcome(main, ".", line.split()[1:])
    outputs.append({"line": line, "code": code, "out": out, "err": err})
    if code:
        break
print(json.dumps({"odenet": odenet.__file__, "outputs": outputs}))
"""


def blocks(language):
    return blocks_of(OWN_PART, language)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the page's files, and the package installed from its wheel beside it."""
    folder = tmp_path_factory.mktemp("outside")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, target = folder / "wheels", folder / "installed"
    for command in (
        ["wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)],
        ["install", "--no-deps", "--target", str(target), "--no-index"],
    ):
        files = [str(one) for one in wheels.glob("*.whl")] if command[0] == "install" else []
        done = subprocess.run([*pip, *command, *files], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (folder / "my_parts.py").write_text("\n\n".join(blocks("python")))
    (folder / "my.yaml").write_text(blocks("yaml")[0])
    return folder


def ran(folder, lines):
    path = os.pathsep.join(map(str, (folder / "installed", HERE)))
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps(lines),
        capture_output=True, text=True, check=False, cwd=folder,
        env=environment(PYTHONPATH=path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["odenet"].startswith(str(folder / "installed"))
    return found["outputs"]


def test_every_part_of_the_page_fits_in_forty_lines():
    assert len(blocks("python")) == 4
    for block in blocks("python"):
        assert len(block.strip().splitlines()) < MOST_LINES


MORE = """
odenet report runs/mine
odenet analyse path-length runs/mine --json --examples 3
odenet refine runs/mine --factor 2 --num-steps 60 --out runs/refined
odenet resume runs/refined
odenet run my.yaml --out runs/tau model.block.step_sizes=learned -q
odenet analyse steps-to-reach runs/mine runs/tau --accuracy 0.6
odenet analyse convergence runs/both/networks/ssp3 --finest 2 --solver none --examples 16
odenet analyse gradient-audit runs/tau --examples 4
odenet analyse gradient-flow runs/refined --examples 8 --factor-examples 1
odenet analyse stability runs/tau --examples 1
odenet analyse effective-depth runs/mine --examples 16
odenet analyse basis runs/both/networks/ssp3 --basis legendre --num-basis 2 --examples 16
odenet analyse trajectories runs/refined --examples 4
odenet prune runs/tau --fraction 0.5 --out runs/pruned
odenet export runs/mine weights.safetensors
odenet names --experiment my.yaml
odenet import weights.safetensors --experiment my.yaml --out runs/imported
odenet explain gated
odenet doctor --json
"""
"""All with `--plugin`; on several runs, since each instrument draws the report of its run anew."""


@pytest.mark.slow
def test_the_page_and_every_other_command_work_on_the_file(folder):
    lines = [line for block in blocks("sh") for line in block.splitlines() if line]
    lines += [f"{line} --plugin=my_parts.py" for line in MORE.splitlines() if line]
    outputs = ran(folder, lines)
    for output in outputs:
        assert output["code"] == 0, f"{output['line']}\n{output['out']}\n{output['err']}"
    assert len(outputs) == len(lines)
    (recorded,) = json.loads((folder / "runs" / "mine" / "run.json").read_text())["plugins"]
    assert recorded["name"] == "my_parts.py"
    assert recorded["parts"] == [
        "field gated", "integrator ssp3", "data checkerboard", "instrument path-length"
    ]  # fmt: skip
    assert '"gated"' in (folder / "schema.json").read_text()

    without = ran(folder, ["odenet eval runs/mine"])[0]
    assert without["code"] == 2
    assert "model.block.field.kind=gated does not exist" in without["err"]
    assert "made with the plug-in my_parts.py (sha256 " in without["err"]
    assert "give --plugin" in without["err"]
