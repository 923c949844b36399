"""Stability during training: as the instrument finds it, and what a network that blows up gets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from toy_run import toy_values
from user_settings import as_a_user

from odenet.analysis.stability_probe import StabilityProbe
from odenet.data import Split
from odenet.data.dataset import identity_normalization
from odenet.errors import ConfigError
from odenet.experiment.config import parse_config
from odenet.experiment.run import resume, run
from odenet.instruments import measure
from odenet.models import RegressorConfig
from odenet.reports import write_report
from odenet.training.callbacks import Callback, read_metrics

EVERY = [
    ("training.monitors", [{"kind": "stability", "every": 10}]),
    ("training.checkpoint_every", 10),
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    directory = tmp_path_factory.mktemp("watched") / "run"
    with as_a_user():
        run(parse_config(toy_values(), EVERY), directory)
    return directory


def lines(directory):
    return read_metrics(directory / "stability.jsonl")


def test_line_of_a_step_is_what_the_instrument_finds_there(watched):
    start, middle, end = lines(watched)
    assert [line["step"] for line in (start, middle, end)] == [0, 10, 20]
    for moment, line in (("start", start), ("last", end)):
        (block,) = measure("stability", watched, at=moment)["blocks"]
        (found,) = line["blocks"]
        assert (found["method"], found["taus"]) == (block["method"], block["taus"])
        for key, expected in (
            ("abscissa", block["abscissa"]["largest"]),
            ("log_norm", block["log_norm"]["largest"]),
            ("amplification", block["steps"]["amplification"]),
            ("critical_scale", block["steps"]["critical_scale"]),
        ):
            np.testing.assert_allclose(found[key], expected, rtol=1e-3, atol=1e-4, err_msg=key)
        assert found["unstable_steps"] == block["steps"]["stable"].count(False)


class Kill(Callback):
    """Ends the process's run once its state is safe."""

    when = frozenset({"checkpoint"})

    def __call__(self, info):
        if info.step == 10:
            raise KeyboardInterrupt


def test_resumed_run_writes_the_same_lines(watched, tmp_path):
    with as_a_user():
        with pytest.raises(KeyboardInterrupt):
            run(parse_config(toy_values(), EVERY), tmp_path / "run", callbacks=[Kill()])
        resume(tmp_path / "run")
    assert lines(tmp_path / "run") == lines(watched)


def test_report_draws_the_history(watched):
    write_report(watched)
    assert "Stability of every layer during training" in (watched / "report.html").read_text()
    assert (watched / "figures" / "stability_history.png").read_bytes().startswith(b"\x89PNG")


def made(**block):
    config = RegressorConfig(stages=[{"width": 2}], block=block)
    return config.build((2,), 1, rngs=nnx.Rngs(0))


def probe_of(network):
    inputs = np.asarray([[0.5, -1.0], [1.0, 0.25]], np.float32)
    examples = Split(inputs, np.zeros((2, 1), np.float32))
    return StabilityProbe(network, identity_normalization(inputs), examples)


def test_eigenvalues_are_those_of_a_known_field():
    """Of `(K - K^T - gamma I) / 2`: half of `-gamma +- i mu`, the same at every step."""
    network = made(
        num_steps=3,
        field={"kind": "antisymmetric", "gamma": 0.4, "activation": "identity"},
        weights={"kind": "shared"},
        step_sizes={"kind": "fixed", "tau": 0.1},
    )
    kernel = network.blocks[0].weights.stacked.kernel
    kernel[...] = jnp.asarray([[[0.3, 1.0], [-0.5, 0.7]]], kernel[...].dtype)
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    del graphdef
    (found,) = probe_of(network)(params, rest).plain()["blocks"]
    mu, gamma = 1.5, 0.4
    np.testing.assert_allclose(found["abscissa"], [-gamma / 2] * 3, rtol=1e-5)
    factor = abs(1 + 0.1 * complex(-gamma, mu) / 2)
    np.testing.assert_allclose(found["amplification"], [factor] * 3, rtol=1e-5)
    assert found["unstable_steps"] == 0
    limit = 4 * gamma / (gamma**2 + mu**2)
    assert found["critical_scale"] * 0.1 == pytest.approx(limit, rel=1e-3)


def test_states_that_are_not_finite_leave_a_line_without_eigenvalues():
    network = made(num_steps=3)
    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    del graphdef
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), params)
    (found,) = probe_of(network)(params, rest).plain()["blocks"]
    assert set(found) == {"method", "taus"}


def test_layers_that_are_no_steps_are_refused():
    network = made(kind="feedforward")
    with pytest.raises(
        ConfigError, match=r"model\.stages\.0 .*remove the monitor of kind=stability"
    ):
        probe_of(network)
