"""`odenet import` and `odenet names`: what they ask for and say."""

import numpy as np
from commands import answer, odenet

from odenet.models.pretrained import ARCHITECTURES, write_safetensors

SMALL = ["model.depth=14", "model.width=2", "data.limit_train=6000"]


def test_names_of_a_network_and_of_a_file_are_listed(tmp_path):
    write_safetensors(tmp_path / "w", {"a.weight": np.ones((2, 3), np.float32)})
    found = answer("names", "--arch", "resnet20", "--file", tmp_path / "w", "--json", *SMALL)
    row = {"set": "", "name": "a.weight", "shape": [2, 3], "type": "float32"}
    assert found["file"] == [row]
    first = found["network"][0]
    assert (first["foreign"], first["layout"]) == ("conv1.weight", "conv")
    assert first["ours"] == "projections.0.operation.affine.kernel"


def test_refused_import_is_short(tmp_path):
    arrays = {a.name: np.ones(a.shape) for a in ARCHITECTURES["resnet164"].arrays(10, 3)}
    write_safetensors(tmp_path / "w", arrays)
    done = odenet("import", tmp_path / "w", "--arch", "resnet20", "--out", tmp_path / "out", *SMALL)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[1] == "  the file fits --arch resnet164"
    assert len(lines) < 45
