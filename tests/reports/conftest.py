"""Run directories to report."""

import pytest
from made_up_runs import comparison_values, regression_values, write_comparison, write_run


@pytest.fixture
def comparison(tmp_path):
    return write_comparison(tmp_path / "comparison", comparison_values())


@pytest.fixture
def regression(tmp_path):
    return write_comparison(tmp_path / "regression", regression_values())


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")
