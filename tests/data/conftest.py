import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published_dir() -> Path:
    folder = os.environ.get("ODENET_DATA_DIR")
    if not folder:
        pytest.skip("ODENET_DATA_DIR names no folder with the published files")
    return Path(folder)
