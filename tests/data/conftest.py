import os
from pathlib import Path

import numpy as np
import pytest

from odenet.data.npz import NpzConfig


@pytest.fixture(scope="session")
def published_dir() -> Path:
    folder = os.environ.get("ODENET_DATA_DIR")
    if not folder:
        pytest.skip("ODENET_DATA_DIR names no folder with the published files")
    return Path(folder)


@pytest.fixture
def built(tmp_path):
    """Writes a file and builds a configuration that reads it."""

    def build(arrays, **options):
        np.savez(tmp_path / "own.npz", **arrays)
        return NpzConfig(path="own.npz", **options).build(tmp_path)

    return build
