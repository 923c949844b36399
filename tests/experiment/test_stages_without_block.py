"""A plain perceptron whose widths differ: an experiment, a run, and weights trained elsewhere."""

import re
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from tiny_experiment import configured, tiny
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

import odenet
from odenet.analysis.chain import chains_of
from odenet.analysis.effective_depth import check_lesions
from odenet.analysis.stability import stability
from odenet.analysis.stability_probe import StabilityProbe
from odenet.analysis.trajectories import trajectories
from odenet.errors import ConfigError
from odenet.experiment.compare import networks_of
from odenet.experiment.config import parse_config, read_experiment, to_yaml
from odenet.experiment.evaluate import evaluate
from odenet.experiment.import_weights import import_weights
from odenet.experiment.refinement.prune import prune
from odenet.experiment.refinement.refine import refine
from odenet.experiment.run import run
from odenet.instruments import measure
from odenet.models import EmptyBlockConfig
from odenet.models.pretrained import write_safetensors
from odenet.reports import write_report

MODEL = {
    "kind": "classifier",
    "stem": {"kind": "linear", "activation": "relu"},
    "stages": [{"width": 16}, {"width": 6, "projection": {"kind": "linear", "activation": "relu"}}],
    "block": "none",
}
VALUES = tiny(MODEL, num_steps=4, evaluate_every=2, log_every=2, optimizer={"warmup_steps": 0})
WIDTHS = {"0": (16, 64), "2": (6, 16), "4": (10, 6)}
OURS = ("projections.0.operation.affine", "projections.1.operation.affine", "head")
"""Where the layers of `nn.Sequential(Linear, ReLU, Linear, ReLU, Linear)` stand here."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("perceptron") / "run"
    with as_a_user():
        run(configured(VALUES), path)
    return path


@pytest.fixture(scope="module")
def loaded(directory):
    with as_a_user():
        return odenet.load(directory)


def test_perceptron_with_imported_weights_is_that_of_numpy(tmp_path):
    rng, entries = np.random.default_rng(0), []
    layers = {name: (rng.normal(size=shape), rng.normal(size=shape[0])) for name, shape in
              WIDTHS.items()}  # fmt: skip
    arrays = {f"{name}.weight": W.astype(np.float32) for name, (W, _) in layers.items()}
    arrays |= {f"{name}.bias": b.astype(np.float32) for name, (_, b) in layers.items()}
    write_safetensors(tmp_path / "weights.safetensors", arrays)
    for name, ours in zip(WIDTHS, OURS, strict=True):
        kernel = f"ours: {ours}.linear.kernel, layout: linear"
        entries += [f"  - {{foreign: {name}.weight, {kernel}}}\n"]
        entries += [f"  - {{foreign: {name}.bias, ours: {ours}.linear.bias}}\n"]
    (tmp_path / "entries.yaml").write_text("entries:\n" + "".join(entries))
    (tmp_path / "experiment.yaml").write_text(to_yaml(configured(VALUES)))
    import_weights(
        tmp_path / "weights.safetensors", tmp_path / "run",
        experiment_file=tmp_path / "experiment.yaml", map_file=tmp_path / "entries.yaml",
    )  # fmt: skip
    images = rng.normal(size=(3, 8, 8, 1))
    h = images.reshape(3, 64)
    for name, (W, b) in layers.items():
        h = h @ W.T + b
        h = h if name == "4" else np.maximum(h, 0)
    found = odenet.load(tmp_path / "run").network(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(found.outputs, h, rtol=1e-4, atol=1e-4)
    assert int(found.stats.nfe) == 0


def test_run_is_evaluated_and_reported(directory, loaded):
    found = evaluate(directory)
    assert found["num_parameters"] == sum((rows + rows * columns) for rows, columns in
                                          WIDTHS.values())  # fmt: skip
    assert (found["nfe"], found["solver_ok"]) == (0, 1)
    assert write_report(directory).stat().st_size > 1000
    assert "stage 1: width 6, no block" in repr(loaded)
    assert [path.shape for path in loaded.paths(loaded.dataset.test.inputs[:2])] == [
        (1, 2, 16),
        (1, 2, 6),
    ]
    followed = trajectories(loaded.network, jnp.ones((2, 8, 8, 1)))
    assert [len(block.times) for block in followed] == [1, 1]


def test_config_reads_back_as_it_was_written(directory):
    config = read_experiment(directory / "config.yaml")
    assert config.model == configured(VALUES).model
    assert config.model.blocks == [EmptyBlockConfig()] * 2


def test_comparison_evaluates_it_as_trained_only():
    section = {"networks": {"plain": {}}, "evaluate": {"fine": {"step_factor": 2}}}
    assert list(networks_of(parse_config(VALUES | {"compare": section}))) == ["plain"]


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda run, path: evaluate(path, step_factor=2.0), "stages.0.block: .*, nor is a stage"),
        (lambda run, path: run.weights(0, stage=1), r"no layers; network.projections\[1\] has"),
        (lambda run, path: run.with_taus([[1.0]]), "each of the 0 stages whose depth is time"),
        (lambda run, path: measure("basis", path), "block.kind=none has no weights that are"),
        (lambda run, path: measure("convergence", path), "layers of model.stages.0 are no steps"),
        (lambda run, path: measure("gradient-audit", path), "compared for blocks of kind depth"),
        (lambda run, path: chains_of(run.network), "EmptyBlock, which has no layers of its own"),
        (lambda run, path: check_lesions(run.network), "block of model.stages.0 is EmptyBlock"),
        (lambda run, path: stability(run.network, jnp.ones((2, 8, 8, 1))),
         "a block that has layers"),
        (lambda run, path: prune(path, 0.1, path / "p"), "block.kind=none has no step sizes"),
        (lambda run, path: refine(path, Fraction(2), path / "r"), "its layers are no steps"),
        (lambda run, path: StabilityProbe(run.network, None, None), "of model.stages.0 is no step"),
    ],
)  # fmt: skip
def test_what_needs_layers_in_depth_time_refuses(loaded, directory, ask, reason):
    with pytest.raises(ConfigError) as refused:
        ask(loaded, directory)
    assert re.search(reason, str(refused.value))
