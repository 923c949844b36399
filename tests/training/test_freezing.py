"""Parameters that are left alone, against steps worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from odenet.errors import ConfigError
from odenet.training.freezing import TransferredConfig
from odenet.training.optimizer import AdamWConfig, SGDConfig

PARAMS = {
    "blocks": {0: {"step_sizes": {"raw": jnp.ones(2, jnp.float32)}}},
    "stem": {"kernel": jnp.asarray([[2.0, -0.0]], jnp.float32), "bias": jnp.ones(2, jnp.float32)},
    "head": {"kernel": jnp.full((1, 2), 2.0, jnp.float32), "bias": jnp.ones(2, jnp.float32)},
}
FROM_THERE = {"stem/kernel", "stem/bias"}


def trajectory(config, gradients, num_steps=10, params=PARAMS, transferred=FROM_THERE):
    """The parameters before each step and after the last, by one compiled step."""
    optimizer = config.build(num_steps, params, transferred)
    state, found = optimizer.init(params), [params]

    @jax.jit
    def step(params, state, value):
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, value), params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for value in gradients:
        params, state = step(params, state, jnp.float32(value))
        found.append(params)
    assert step._cache_size() == 1
    return found


def bits(leaf):
    return np.asarray(leaf).view(np.uint32)


def test_transferred_parameters_move_by_their_factor_of_the_learning_rate():
    config = SGDConfig(
        learning_rate=0.1, momentum=0.0, biases={"learning_rate_factor": 0.5},
        transferred={"learning_rate_factor": 0.1},
    )  # fmt: skip
    after = trajectory(config, [1.0])[-1]
    np.testing.assert_allclose(after["head"]["kernel"], 2 - 0.1, rtol=1e-6)
    np.testing.assert_allclose(after["head"]["bias"], 1 - 0.05, rtol=1e-6)
    np.testing.assert_allclose(after["stem"]["kernel"][0, 0], 2 - 0.01, rtol=1e-6)
    np.testing.assert_allclose(after["stem"]["bias"], 1 - 0.005, rtol=1e-6)


@pytest.mark.parametrize("config", [SGDConfig, AdamWConfig])
def test_frozen_parameters_keep_every_bit_under_decay_and_gradients_that_are_not_finite(config):
    config = config(learning_rate=0.1, weight_decay=0.5, transferred={"learning_rate_factor": 0.0})
    after = trajectory(config, [1.0, -2.0, np.nan])[-1]
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(bits(after["stem"][name]), bits(PARAMS["stem"][name]))
    assert np.isnan(after["head"]["kernel"]).all()


def test_sgd_starts_at_the_step_that_unfreezes_with_fresh_momentum_and_the_rate_of_that_step():
    config = SGDConfig(
        learning_rate=0.1, momentum=0.5, weight_decay=0.01, schedule={"kind": "step", "at": [0.25]},
        transferred={"unfreeze_at": 3, "learning_rate_factor": 0.2},
    )  # fmt: skip
    found = trajectory(config, [5.0, -7.0, 11.0, 1.0, 3.0], num_steps=8)
    kernels = [params["stem"]["kernel"] for params in found]
    for kernel in kernels[:4]:
        np.testing.assert_array_equal(bits(kernel), bits(PARAMS["stem"]["kernel"]))
    # From step 3 on the schedule has divided the rate by 10: 0.1 * 0.1 * 0.2.
    rate, v = 0.002, 1.0 + 0.01 * 2.0
    w = 2.0 - rate * v
    np.testing.assert_allclose(kernels[4][0, 0], w, rtol=1e-6)
    v = 0.5 * v + 3.0 + 0.01 * w
    np.testing.assert_allclose(kernels[5][0, 0], w - rate * v, rtol=1e-6)


def test_adam_starts_its_moments_at_the_step_that_unfreezes():
    late = AdamWConfig(learning_rate=0.1, transferred={"unfreeze_at": 2})
    waited = trajectory(late, [9.0, -9.0, 1.0, -2.0])
    at_once = trajectory(AdamWConfig(learning_rate=0.1), [1.0, -2.0])
    for after, expected in zip(waited[2:], at_once, strict=True):
        np.testing.assert_array_equal(after["stem"]["kernel"], expected["stem"]["kernel"])
    assert not np.array_equal(waited[-1]["head"]["kernel"], at_once[-1]["head"]["kernel"])


def test_step_sizes_alone_are_trained():
    config = SGDConfig(
        learning_rate=0.1, momentum=0.0, only="step_sizes",
        step_sizes={"learning_rate_factor": 0.5},
    )  # fmt: skip
    after = trajectory(config, [1.0, 1.0], transferred=())[-1]
    np.testing.assert_allclose(after["blocks"][0]["step_sizes"]["raw"], 1 - 2 * 0.05, rtol=1e-6)
    for part in ("stem", "head"):
        for name in ("kernel", "bias"):
            np.testing.assert_array_equal(bits(after[part][name]), bits(PARAMS[part][name]))


def test_frozen_gradients_do_not_count_in_the_clipped_norm():
    alone = {"head": PARAMS["head"]}
    changes = {"learning_rate": 1.0, "momentum": 0.0, "gradient_clip": 0.3}
    params = {name: PARAMS[name] for name in ("stem", "head")}
    for transferred in ({"learning_rate_factor": 0.0}, {"unfreeze_at": 2}):
        config = SGDConfig(**changes, transferred=transferred)
        found = trajectory(config, [1.0, 1.0, 1.0], params=params)
        expected = trajectory(SGDConfig(**changes), [1.0, 1.0], params=alone)
        np.testing.assert_array_equal(found[2]["head"]["kernel"], expected[2]["head"]["kernel"])
    # All move in the third step: 8 gradients of 1, where 4 were alone.
    moved = found[2]["stem"]["bias"] - found[3]["stem"]["bias"]
    np.testing.assert_allclose(moved, 0.3 / np.sqrt(8), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"transferred": {}}, "transferred changes nothing"),
        ({"transferred": {"learning_rate_factor": 0, "unfreeze_at": 3}}, "freezes permanently"),
        ({"only": "step_sizes", "weight_decay": 0.1}, "would ignore weight_decay"),
        ({"only": "step_sizes", "biases": {}}, "would ignore biases"),
        ({"only": "step_sizes", "transferred": {"unfreeze_at": 3}}, "would ignore transferred"),
    ],
)
def test_options_that_would_be_ignored_are_refused(values, rule):
    with pytest.raises(ValueError, match=rule):
        SGDConfig.model_validate(values)


def test_what_would_never_be_unfrozen_is_refused():
    config = SGDConfig(transferred=TransferredConfig(unfreeze_at=10))
    with pytest.raises(ConfigError, match=r"unfreeze_at must be less than .*num_steps=10"):
        config.build(10, PARAMS, FROM_THERE)


def test_only_step_sizes_without_learned_ones_is_refused():
    with pytest.raises(ConfigError, match="only would be ignored: no step size"):
        SGDConfig(only="step_sizes").build(10, {"head": PARAMS["head"]})
