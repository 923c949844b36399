import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def resnet20_file() -> Path:
    folder = os.environ.get("ODENET_DATA_DIR")
    path = Path(folder or "") / "pretrained" / "resnet20-12fca82f.th"
    if not folder or not path.is_file():
        pytest.skip("ODENET_DATA_DIR names no folder with pretrained/resnet20-12fca82f.th")
    return path
