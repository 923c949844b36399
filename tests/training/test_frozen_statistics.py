"""Training with the running statistics of batch norms as they are: a norm is an affine map."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from odenet.data import Normalization
from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.experiment.compare import networks_of
from odenet.experiment.run import run
from odenet.training import TrainStep

NORMED = {
    "model__block__field": {"kind": "residual"},
    "model__head": {"norm": "batch", "activation": "relu"},
}
FROZEN = NORMED | {"training__batch_statistics": "frozen"}


def test_frozen_statistics_keep_their_bytes_and_others_move(configure, take_steps):
    for changes, moves in ((FROZEN, False), (NORMED, True)):
        config = configure(**changes)
        start = jax.device_get(build(config).start)
        found = take_steps(config)
        same = jax.tree.map(
            lambda a, b: a.tobytes() == b.tobytes(), start.statistics, found.statistics
        )
        assert set(jax.tree.leaves(same)) == {not moves}
        trained = jax.tree.map(lambda a, b: (a != b).any(), start.params, found.params)
        assert trained["blocks"][0]["weights"]["stacked"]["weights"][0]["kernel"]


def in_double_precision(experiment):
    """Parameters and statistics like those at the start, random and of double precision."""
    rng = np.random.default_rng(0)

    def drawn(path, leaf):
        values = 0.3 * rng.normal(size=leaf.shape)
        return jnp.asarray(np.exp(values) if "variance" in str(path) else values)

    start = experiment.start
    params, statistics = jax.tree_util.tree_map_with_path(drawn, (start.params, start.statistics))
    return params, statistics


def test_gradient_of_a_frozen_step_equals_finite_differences_of_the_affine_map(configure):
    experiment = build(configure(**FROZEN))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        found, expected = gradient_and_difference(experiment)
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def gradient_and_difference(experiment):
    params, statistics = in_double_precision(experiment)
    # Of single precision, as `normalize` gives them, and exact under a normalisation by 0 and 1.
    inputs = jnp.asarray(np.random.default_rng(2).normal(size=(8, 8, 8, 1)), jnp.float32)
    identity = Normalization(jnp.zeros(1, jnp.float32), jnp.ones(1, jnp.float32))
    targets = jnp.asarray(experiment.dataset.train.targets[:8])

    @jax.jit
    def loss(params):
        network = nnx.merge(experiment.graphdef, params, statistics)
        one_by_one = jnp.concatenate([network(inputs[i : i + 1]).outputs for i in range(8)])
        return -jnp.mean(jax.nn.log_softmax(one_by_one)[jnp.arange(8), targets])

    descent = optax.sgd(1.0)
    step = TrainStep(
        experiment.graphdef,
        experiment.objective,
        descent,
        lambda step: step,
        identity,
        training=experiment.config.training.uses_batch_statistics,
    )
    start = dataclasses.replace(
        experiment.start, params=params, statistics=statistics, opt_state=descent.init(params)
    )
    after, _ = jax.jit(step)(start, None, {"inputs": inputs[None], "targets": targets[None]})
    rng, length = np.random.default_rng(1), 1e-6
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
    ahead, behind = (
        loss(jax.tree.map(lambda p, d, far=far: p + far * d, params, direction))
        for far in (length, -length)
    )
    gradient = jax.tree.map(jnp.subtract, params, after.params)
    found = sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction)))
    return found, (ahead - behind) / (2 * length)


SOLVER = {"model__block__integrator": {"kind": "dopri5"}}


def test_solver_trains_with_frozen_statistics_and_not_with_batch_statistics(configure, tmp_path):
    short = {"training__num_steps": 12}
    with pytest.raises(ConfigError, match=r"kind=dopri5: .*batch_statistics=frozen"):
        run(configure(**NORMED, **SOLVER, **short), tmp_path / "training")
    trained = run(configure(**FROZEN, **SOLVER, **short), tmp_path / "frozen")
    assert trained.results["solver_failures"] == 0
    assert trained.results["test"]["accuracy"] > 0.2
    for leaf in jax.tree.leaves(trained.state.statistics):
        assert len(np.unique(leaf)) == 1  # the zeros and ones of the start


def test_comparison_trains_solvers_with_frozen_statistics(configure):
    section = {
        "networks": {"solved": {"model.block.integrator": {"kind": "dopri5"}}},
        "evaluate": {"rk4": {"integrator": {"kind": "rk4"}}},
    }
    assert set(networks_of(configure(**FROZEN, compare=section))) == {"solved"}


def test_network_without_batch_norm_refuses_to_freeze_it(configure):
    with pytest.raises(
        ConfigError, match="batch_statistics=frozen would be ignored: the model has no"
    ):
        configure(training__batch_statistics="frozen")


PARTS = {
    "mlp": {},
    "conv": {"model__stem": {"kind": "conv"}, "model__block__field": {"kind": "conv"}},
    "residual": {"model__block__field": {"kind": "residual"}},
    "head": {"model__head": {"norm": "batch"}},
    "feedforward": {"model__block": {"kind": "feedforward"}},
    "stage": {
        "model__stages": [
            {"width": 8, "block": {"kind": "depth", "num_steps": 1, "field": {"kind": "residual"}}}
        ]
    },
}


@pytest.mark.parametrize("name", PARTS)
def test_config_knows_whether_the_network_has_batch_norm(configure, name):
    config = configure(**PARTS[name])
    network = nnx.eval_shape(lambda: config.model.build((8, 8, 1), 10, rngs=nnx.Rngs(0)))
    assert config.model.has_batch_norm == bool(jax.tree.leaves(nnx.state(network, nnx.BatchStat)))
    assert config.model.has_batch_norm == (name in ("residual", "head", "stage"))


def test_option_survives_the_file(configure, tmp_path):
    from odenet.experiment.config import load_config, to_yaml

    config = configure(**FROZEN)
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "config.yaml") == config
