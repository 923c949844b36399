"""The Python of pages and notebooks, in one process, without the settings of tests.

That process runs the sources that were selected, since three pages take half of its time.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compilation import environment
from pages import PAGES, ROOT, blocks_of

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
assert NOTEBOOKS
NAMES = "import odenet\nfor name in odenet.__all__:\n    print(getattr(odenet, name))"
LONG = {"python", "residual_networks", "import"}
SOURCES = {
    "public names": [NAMES],
    **{path.stem: blocks for path in PAGES if (blocks := blocks_of(path, "python"))},
    **{path.name: [path.read_text()] for path in NOTEBOOKS},
}

RUN = """
import contextlib, io, json, sys, traceback

found = {}
for name, blocks in json.load(sys.stdin).items():
    printed, error = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        for number, code in enumerate(blocks):
            try:
                exec(compile(code, f"{name}, block {number}", "exec"), {"__name__": "__main__"})
            except BaseException:
                error = traceback.format_exc()
                break
    found[name] = {"error": error, "printed": printed.getvalue()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(request):
    """The error and the output of every selected source, each block with names of its own."""
    selected = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == Path(__file__)
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps({name: SOURCES[name] for name in SOURCES if name in selected}),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in SOURCES]
)
def test_blocks_run(outcomes, name):
    assert outcomes[name]["error"] is None, outcomes[name]["error"]
    if name == "public names" or name.endswith(".py"):
        assert outcomes[name]["printed"]
