import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from odenet.errors import ConfigError
from odenet.training.optimizer import AdamWConfig, SGDConfig, parameter_groups

PARAMS = {
    "blocks": {0: {"step_sizes": {"raw": jnp.ones(3, jnp.float32)}}},
    "head": {"kernel": jnp.full((2, 2), 2.0, jnp.float32), "bias": jnp.ones(2, jnp.float32)},
}


def updates_of(config, params, grads, steps=2, num_steps=10):
    optimizer = config.build(num_steps, params)
    state = optimizer.init(params)
    for _ in range(steps):
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def ones_like(params):
    return jax.tree.map(jnp.ones_like, params)


def test_parameter_groups_tell_step_sizes_biases_and_weights_apart():
    labels = parameter_groups(PARAMS)
    assert labels["blocks"][0]["step_sizes"]["raw"] == "step_sizes"
    assert labels["head"] == {"kernel": "weights", "bias": "biases"}


def test_sgd_with_momentum_follows_its_recursion():
    config = SGDConfig(learning_rate=0.1, momentum=0.9)
    params = updates_of(config, PARAMS, ones_like(PARAMS), steps=3)
    # v1 = 1, v2 = 1.9, v3 = 2.71; w = 2 - 0.1 (v1 + v2 + v3)
    np.testing.assert_allclose(params["head"]["kernel"], 2 - 0.1 * (1 + 1.9 + 2.71), rtol=1e-6)


def test_weight_decay_touches_weights_alone_unless_a_group_says_so():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    config = SGDConfig(learning_rate=0.1, momentum=0.0, weight_decay=0.5)
    params = updates_of(config, PARAMS, zero, steps=1)
    np.testing.assert_allclose(params["head"]["kernel"], 2 - 0.1 * 0.5 * 2, rtol=1e-6)
    np.testing.assert_array_equal(params["head"]["bias"], 1)
    np.testing.assert_array_equal(params["blocks"][0]["step_sizes"]["raw"], 1)
    config = SGDConfig(learning_rate=0.1, momentum=0.0, biases={"weight_decay": 0.5})
    params = updates_of(config, PARAMS, zero, steps=1)
    np.testing.assert_allclose(params["head"]["bias"], 1 - 0.1 * 0.5, rtol=1e-6)


def test_adamw_decays_apart_from_the_gradient():
    config = AdamWConfig(learning_rate=0.1, weight_decay=0.5)
    params = updates_of(config, PARAMS, ones_like(PARAMS), steps=1)
    # The first step of Adam is the sign of the gradient.
    np.testing.assert_allclose(params["head"]["kernel"], 2 - 0.1 * (1 + 0.5 * 2), rtol=1e-5)
    np.testing.assert_allclose(params["head"]["bias"], 1 - 0.1, rtol=1e-5)


def test_learning_rate_factor_scales_the_group_and_zero_freezes_it():
    config = SGDConfig(
        learning_rate=0.1,
        momentum=0.0,
        step_sizes={"learning_rate_factor": 0.0},
        biases={"learning_rate_factor": 0.5},
    )
    params = updates_of(config, PARAMS, ones_like(PARAMS), steps=1)
    np.testing.assert_array_equal(params["blocks"][0]["step_sizes"]["raw"], 1)
    np.testing.assert_allclose(params["head"]["bias"], 1 - 0.05, rtol=1e-6)
    np.testing.assert_allclose(params["head"]["kernel"], 2 - 0.1, rtol=1e-6)


def test_gradient_clip_scales_to_the_global_norm():
    config = SGDConfig(learning_rate=1.0, momentum=0.0, gradient_clip=0.3)
    params = updates_of(config, PARAMS, ones_like(PARAMS), steps=1)
    moved = np.concatenate(
        [
            np.ravel(a - b)
            for a, b in zip(jax.tree.leaves(PARAMS), jax.tree.leaves(params), strict=True)
        ]
    )
    np.testing.assert_allclose(np.linalg.norm(moved), 0.3, rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        ({"kind": "constant"}, 50, 1.0),
        ({"kind": "cosine"}, 50, 0.5),
        ({"kind": "cosine", "final": 0.1}, 100, 0.1),
        ({"kind": "step"}, 49, 1.0),
        ({"kind": "step"}, 50, 0.1),
        ({"kind": "step"}, 75, 0.01),
        ({"kind": "step", "at": [0.2], "factor": 0.5}, 20, 0.5),
    ],
)
def test_schedule_at_a_step_is_the_published_factor(schedule, step, factor):
    rate = SGDConfig(learning_rate=2.0, schedule=schedule).learning_rate_at(100)
    np.testing.assert_allclose(rate(jnp.int32(step)), 2.0 * factor, rtol=1e-6)


def test_warmup_rises_linearly_and_then_the_schedule_starts():
    config = SGDConfig(learning_rate=1.0, warmup_steps=10, schedule={"kind": "cosine"})
    rate = config.learning_rate_at(110)
    np.testing.assert_allclose(
        [float(rate(jnp.int32(k))) for k in (0, 5, 10, 60, 110)], [0, 0.5, 1, 0.5, 0], atol=1e-6
    )


def test_warmup_as_long_as_the_training_is_refused():
    with pytest.raises(ConfigError, match="warmup_steps must be less"):
        SGDConfig(warmup_steps=10).learning_rate_at(10)


def test_options_for_step_sizes_that_are_not_learned_are_refused():
    config = SGDConfig(step_sizes={"learning_rate_factor": 0.1})
    with pytest.raises(ConfigError, match="no step size is learned"):
        config.build(10, {"head": PARAMS["head"]})


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov would be ignored"):
        SGDConfig(nesterov=True, momentum=0.0)
