import jax
import jax.numpy as jnp
import optax
import optax.contrib
import pytest

from odenet.errors import ConfigError
from odenet.training import OptaxConfig
from odenet.training.optax_optimizer import optimisers

PARAMS = {
    "layer": {
        "kernel": jnp.array([[1.0, -2.0]], jnp.float32),
        "bias": jnp.array([0.5, 0.25], jnp.float32),
    }
}
GRADS = {
    "layer": {
        "kernel": jnp.array([[0.3, -0.1]], jnp.float32),
        "bias": jnp.array([-0.2, 0.4], jnp.float32),
    }
}


def after(optimizer, params, steps=3):
    state = optimizer.init(params)
    for step in range(steps):
        grads = jax.tree.map(lambda g, s=step: g * (1 + s), GRADS)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_lion_with_warmup_schedule_and_groups_is_optax_by_hand():
    config = OptaxConfig.model_validate(
        {
            "name": "lion",
            "learning_rate": 0.1,
            "weight_decay": 0.3,
            "warmup_steps": 2,
            "schedule": {"kind": "step", "at": [0.5], "factor": 0.5},
            "biases": {"learning_rate_factor": 2.0},
            "options": {"b1": 0.8},
        }
    )
    ours = after(config.build(6, PARAMS), PARAMS, steps=5)
    rates = [0.0, 0.05, 0.1, 0.1, 0.05]

    def by_hand(factor, weight_decay):
        rate = lambda step: jnp.float32(factor) * jnp.array(rates, jnp.float32)[step]  # noqa: E731
        return optax.lion(rate, b1=0.8, weight_decay=weight_decay)

    weights, biases = (
        after(by_hand(*one), PARAMS, steps=5)["layer"] for one in ((1.0, 0.3), (2.0, 0.0))
    )
    assert jnp.allclose(ours["layer"]["kernel"], weights["kernel"], rtol=1e-6)
    assert jnp.allclose(ours["layer"]["bias"], biases["bias"], rtol=1e-6)
    assert not jnp.allclose(ours["layer"]["kernel"], PARAMS["layer"]["kernel"])


def test_weight_decay_of_an_optimiser_without_one_is_added_to_the_gradient():
    config = OptaxConfig(name="rmsprop", learning_rate=0.01, weight_decay=0.5)
    by_hand = optax.chain(optax.add_decayed_weights(0.5), optax.rmsprop(0.01))
    expected = after(by_hand, PARAMS)["layer"]["kernel"]
    assert jnp.allclose(after(config.build(9, PARAMS), PARAMS)["layer"]["kernel"], expected)


@pytest.mark.filterwarnings("ignore:`optimistic_adam` is deprecated")
@pytest.mark.parametrize("name", sorted(optimisers()))
def test_every_optimiser_of_optax_makes_a_step(name):
    options = {"key": 0} if name == "noisy_sgd" else {}
    config = OptaxConfig(name=name, learning_rate=0.1, options=options)
    moved = after(config.build(9, PARAMS), PARAMS)
    assert not jnp.array_equal(moved["layer"]["kernel"], PARAMS["layer"]["kernel"])
    assert jnp.all(jnp.isfinite(moved["layer"]["kernel"]))


REFUSED = {
    "no optimiser": ({"name": "lyon"}, "optax has no optimiser 'lyon'; nearest: lion"),
    "needs the loss": ({"name": "lbfgs"}, "optax has no optimiser 'lbfgs'"),
    "needs a key": (
        {"name": "noisy_sgd"},
        "optax.noisy_sgd needs the argument key; set options.key",
    ),
    "no argument": (
        {"name": "adabelief", "options": {"b_1": 0.9}},
        "optax.adabelief has no argument b_1; nearest: b1",
    ),
    "own option": (
        {"name": "lion", "options": {"weight_decay": 0.9}},
        "options.weight_decay is set by weight_decay of the optimiser",
    ),
    "text": ({"name": "lion", "options": {"b1": "much"}}, "optax.lion takes b1 of another type"),
    "boolean": ({"name": "lion", "options": {"b1": True}}, "optax.lion takes b1 of another type"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    values, message = REFUSED[case]
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        OptaxConfig(**values)


def test_common_optimisers_are_among_them():
    assert {"adam", "adamw", "lamb", "lars", "lion", "rmsprop", "sgd"} <= set(optimisers())
    assert {"noisy_sgd", "contrib.muon", "contrib.prodigy", "contrib.madgrad"} <= set(optimisers())


def test_optimiser_of_the_contributed_ones_is_optax_by_hand():
    config = OptaxConfig(name="contrib.madgrad", learning_rate=0.1, options={"momentum": 0.8})
    by_hand = after(optax.contrib.madgrad(0.1, momentum=0.8), PARAMS)["layer"]["kernel"]
    assert jnp.allclose(after(config.build(9, PARAMS), PARAMS)["layer"]["kernel"], by_hand)
