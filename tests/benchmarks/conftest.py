import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def sides_of_the_tests(monkeypatch):
    """Workers find the modules of this folder."""
    folders = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
