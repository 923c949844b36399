"""The page *Write your own part*, from an installed wheel, outside of the repository."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from compilation import QUICK

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own_part.md"
MOST_LINES = 40

COMMANDS = """
import contextlib, io, json, sys, traceback
import odenet
from odenet.cli.main import main

outputs = []
for line in json.load(sys.stdin):
    sys.argv, out, err, code = line, io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        except BaseException:
            code = traceback.format_exc()
    outputs.append({"line": " ".join(line), "code": code, "out": out.getvalue(),
                    "err": err.getvalue()})
    if code:
        break
print(json.dumps({"odenet": odenet.__file__, "outputs": outputs}))
"""


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


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
    flags = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())
    environment = os.environ | {
        "PYTHONPATH": str(folder / "installed"), "MPLBACKEND": "Agg", "XLA_FLAGS": flags
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps([line.split() for line in lines]),
        capture_output=True, text=True, check=False, cwd=folder, env=environment,
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
odenet report runs/mine --plugin my_parts.py
odenet analyse path-length runs/mine --json --examples 3 --plugin my_parts.py
odenet analyse all runs/mine --plugin my_parts.py
odenet refine runs/mine --factor 2 --num-steps 60 --out runs/refined --plugin my_parts.py
odenet resume runs/refined --plugin my_parts.py
odenet run my.yaml --plugin my_parts.py --out runs/tau model.block.step_sizes=learned -q
odenet analyse steps-to-reach runs/mine runs/tau --accuracy 0.6 --plugin my_parts.py
odenet prune runs/tau --fraction 0.5 --out runs/pruned --plugin my_parts.py
odenet export runs/mine weights.safetensors --plugin my_parts.py
odenet names --experiment my.yaml --plugin my_parts.py
odenet import weights.safetensors --experiment my.yaml --out runs/imported --plugin my_parts.py
odenet explain gated --plugin my_parts.py
odenet doctor --json --plugin=my_parts.py
"""


@pytest.mark.slow
def test_the_page_and_every_other_command_work_on_the_file(folder):
    lines = [line for block in blocks("sh") for line in block.splitlines() if line]
    lines += [line for line in MORE.splitlines() if line]
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
