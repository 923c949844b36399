"""`odenet import` and `odenet names`: what they ask for and say."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from odenet.cli.main import app
from odenet.errors import CheckpointError, ConfigError
from odenet.models.pretrained import ARCHITECTURES, write_safetensors

SMALL = ["model.depth=14", "model.width=2", "data.limit_train=6000"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_names_of_a_network_and_of_a_file_are_listed(tmp_path):
    write_safetensors(tmp_path / "w", {"a.weight": np.ones((2, 3), np.float32)})
    found = json.loads(
        invoke("names", "--arch", "resnet20", "--file", tmp_path / "w", "--json", *SMALL).stdout
    )
    row = {"set": "", "name": "a.weight", "shape": [2, 3], "type": "float32"}
    assert found["file"] == [row]
    first = found["network"][0]
    assert (first["foreign"], first["layout"]) == ("conv1.weight", "conv")
    assert first["ours"] == "projections.0.operation.affine.kernel"
    lines = invoke("names", "--arch", "resnet20", *SMALL).stdout.splitlines()
    assert len(lines) == len(found["network"])
    assert isinstance(invoke("names").exception, ConfigError)


@pytest.mark.parametrize("options", [[], ["--verbose"]])
def test_refused_import_is_short_unless_asked(tmp_path, options):
    arrays = {a.name: np.ones(a.shape) for a in ARCHITECTURES["resnet164"].arrays(10, 3)}
    write_safetensors(tmp_path / "w", arrays)
    given = tmp_path / "w", "--arch", "resnet20", "--out", tmp_path / "out"
    error = invoke("import", *given, *SMALL, *options).exception
    assert isinstance(error, CheckpointError)
    lines = str(error).splitlines()
    assert lines[1] == "  the file fits --arch resnet164"
    assert (len(lines) > 400) == bool(options)
