"""The commands of pages, in one process but where a page sets the flags of XLA."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compilation import environment
from pages import OWN_PART, PAGES, ROOT, blocks_of

HERE = Path(__file__).parent
SETUP = re.compile(r"^(pip|pre-commit|ruff|pytest|python -m benchmarks)\b.*\n", re.MULTILINE)
"""Set-up, checks and the two first commands are what .ci/run runs; the benchmarks take long."""
SCRIPTS = [
    pytest.param(script, id=f"{path.stem}-{number}")
    for path in PAGES
    if path != OWN_PART
    for number, code in enumerate(blocks_of(path, "sh"))
    if (script := SETUP.sub("", code))
]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """A folder with a command `odenet` that another process runs."""
    folder = tmp_path_factory.mktemp("commands")
    address, command = folder / "socket", folder / "odenet"
    client = f"exec {sys.executable} -E {HERE / 'one_process.py'} {address}"
    command.write_text(f'#!/bin/sh\n{client} "$@"\n')
    command.chmod(0o755)
    words = [sys.executable, "-c", f"import one_process; one_process.serve({str(address)!r})"]
    process = subprocess.Popen(words, cwd=HERE, env=environment())
    while process.poll() is None and not address.exists():
        time.sleep(0.05)
    yield folder
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_commands_of_a_block_run(script, commands, tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if "XLA_FLAGS=" not in script:
        places.insert(0, str(commands))
    done = subprocess.run(
        ["bash", "-euc", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(PATH=os.pathsep.join(places)),
    )
    assert done.returncode == 0, done.stderr
