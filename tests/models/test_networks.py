import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import adaptive_diffrax
from numerics.precision import drawn, in_float64
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.integrators import ExplicitConfig
from odenet.models import (
    ClassifierConfig,
    Discretisation,
    ModelConfig,
    RegressorConfig,
    count_parameters,
    init_network,
)
from odenet.models.head import Head, HeadConfig

EULER, RK4, DIFFRAX = {"kind": "euler"}, {"kind": "rk4"}, {"kind": "diffrax"}
MODEL = TypeAdapter(ModelConfig)


def config_of(integrator=EULER, **block):
    block = {"num_steps": 2, "integrator": integrator} | block
    stages = [{"width": 4}, {"width": 6, "projection": {"kind": "linear"}}]
    return ClassifierConfig.model_validate({"stages": stages, "block": block})


def built(config, shape=(2,), outputs=3):
    """The network with random numbers of double precision; nothing is compiled for it."""
    return drawn(lambda: config.build(shape, outputs, rngs=nnx.Rngs(0)), 0)


def arrays(network):
    """Every parameter with its path, in order."""
    return leaves_of(nnx.state(network))


def leaves_of(state):
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(jax.tree_util.keystr(path), np.asarray(leaf)) for path, leaf in leaves]


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize(
    ("model", "input_shape"),
    [
        ({"stages": [{"width": 4}]}, (2,)),
        ({"stages": [{"width": 4}]}, (3, 3, 2)),
        (
            {
                "stem": {"kind": "conv"},
                "block": {"field": {"kind": "conv"}, "num_steps": 1},
                "stages": [
                    {"width": 2},
                    {"width": 4, "projection": {"kind": "zero_pad", "stride": 2}},
                ],
                "head": {"activation": "relu"},
            },
            (4, 4, 1),
        ),
    ],
)
def test_outputs_have_one_number_per_class_or_value(kind, model, input_shape):
    config = MODEL.validate_python({"kind": kind} | model)
    shape = jax.eval_shape(
        lambda x: config.build(input_shape, 5, rngs=nnx.Rngs(0))(x).outputs,
        jax.ShapeDtypeStruct((3, *input_shape), jnp.float32),
    )
    assert shape.shape == (3, 5)
    assert shape.dtype == jnp.float32


def test_head_averages_images_after_its_activation(getkey):
    head = in_float64(Head(2, 3, "relu", rngs=nnx.Rngs(0)))
    h = jax.random.normal(getkey(), (2, 4, 5, 2))
    means = np.maximum(np.asarray(h), 0).mean(axis=(1, 2))
    expected = means @ np.asarray(head.linear.kernel[...]) + np.asarray(head.linear.bias[...])
    np.testing.assert_allclose(head(h), expected, rtol=1e-12)


def test_head_without_an_affine_map_gives_the_first_components(getkey):
    head = HeadConfig(affine=False, activation="tanh").build(3, 2, rngs=nnx.Rngs(0))
    assert not jax.tree.leaves(nnx.state(head))
    h = jax.random.normal(getkey(), (4, 3))
    np.testing.assert_allclose(head(h), np.tanh(np.asarray(h))[:, :2], rtol=1e-12)
    with pytest.raises(ConfigError, match="first 2 components of a state of width 1"):
        HeadConfig(affine=False).build(1, 2, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match="affine=false would ignore init=zero"):
        HeadConfig(affine=False, init="zero")


def test_zero_padding_is_the_augmentation_of_dupont(getkey):
    for shape in ((2,), (3, 3, 2)):
        config = {"kind": "mlp"} if len(shape) == 1 else {"kind": "conv"}
        model = {
            "stem": {"kind": "zero_pad"},
            "stages": [{"width": 5}],
            "block": {"num_steps": 2, "field": config, "integrator": RK4},
            "head": {"affine": False},
        }
        network = built(RegressorConfig.model_validate(model), shape, 2)
        x = jax.random.normal(getkey(), (3, *shape))
        first = np.asarray(network.projections[0](x))
        np.testing.assert_array_equal(first[..., :2], x)
        assert first.shape == (3, *shape[:-1], 5)
        assert not np.any(first[..., 2:])
        path = np.asarray(network.blocks[0](jnp.asarray(first), save_path=True).path)
        assert np.abs(path[-1, ..., 2:]).max() > 1e-3  # what is zero at first moves
        assert network(x).outputs.shape == (3, 2)


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param("per_layer", marks=pytest.mark.product),
        pytest.param("shared", marks=pytest.mark.product),
        "shared_with_time",
    ],
)
def test_integrators_share_their_parameters_byte_for_byte(weights):
    def initialised(key):
        """States by one program, which draws the weights of all three networks."""
        return [
            nnx.state(
                config_of(integrator, weights={"kind": weights}).build((2,), 3, rngs=nnx.Rngs(key))
            )
            for integrator in (EULER, RK4, DIFFRAX)
        ]

    first, *others = map(leaves_of, jax.jit(initialised)(jax.random.key(7)))
    for other in others:
        assert [path for path, _ in other] == [path for path, _ in first]
        for (_, a), (_, b) in zip(first, other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_same_key_gives_the_same_bytes_and_another_key_other_weights():
    config = ClassifierConfig.model_validate({"stages": [{"width": 4}]})
    first, again, other = (
        arrays(init_network(config, (2,), 3, jax.random.key(seed))) for seed in (0, 0, 1)
    )
    assert all(a.tobytes() == b.tobytes() for (_, a), (_, b) in zip(first, again, strict=True))
    assert any(a.tobytes() != b.tobytes() for (_, a), (_, b) in zip(first, other, strict=True))


def test_parameters_are_single_precision_and_counted():
    network = init_network(
        config_of(weights={"kind": "shared_with_time"}), (2,), 3, jax.random.key(0)
    )
    assert {leaf.dtype for _, leaf in arrays(network)} == {np.dtype(np.float32)}
    stem, projection, head = 2 * 4 + 4, 4 * 6 + 6, 6 * 3 + 3
    blocks = sum(width * width + width + width for width in (4, 6))
    assert count_parameters(network) == stem + projection + head + blocks


def test_discretisation_changes_the_solver_of_every_block_and_no_parameter():
    network = built(config_of())
    before = arrays(network)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2)))
    solver = Discretisation(adaptive_diffrax("dopri5", 1e-6).build())
    own, other = jax.jit(lambda x: (network(x), network(x, solver)))(x)
    assert int(own.stats.nfe) == 2 * 2
    assert int(other.stats.nfe) > 2 * 2 * 7 - 1
    assert float(jnp.max(jnp.abs(own.outputs - other.outputs))) > 1e-3
    for (_, a), (_, b) in zip(before, arrays(network), strict=True):
        assert a.tobytes() == b.tobytes()


def test_head_that_starts_at_zero_gives_zero_and_learns(getkey):
    config = ClassifierConfig.model_validate({"stages": [{"width": 4}], "head": {"init": "zero"}})
    network = init_network(config, (2,), 3, jax.random.key(0))
    x = jax.random.normal(getkey(), (5, 2), jnp.float32)
    assert not np.any(network(x).outputs)
    graphdef, params = nnx.split(network)
    grads = jax.jit(jax.grad(lambda p: jnp.sum(nnx.merge(graphdef, p)(x).outputs[:, 0])))(params)
    assert np.any(nnx.to_pure_dict(grads)["head"]["linear"]["kernel"])


def test_penalty_of_a_network_is_the_sum_over_its_blocks():
    penalty = {"l1": 1.0}
    learned = {"kind": "learned", "horizon": 1.5, "penalty": penalty}
    config = config_of(step_sizes=learned)
    penalty = jax.jit(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)).penalty())()
    assert float(penalty) == pytest.approx(2 * 1.5)


def test_stage_may_have_its_own_block():
    config = RegressorConfig.model_validate(
        {
            "block": {"num_steps": 3},
            "stages": [{"width": 2}, {"width": 2, "block": {"kind": "depth", "num_steps": 5}}],
        }
    )
    assert [block.num_steps for block in config.blocks] == [3, 5]


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "classifier", "stages": []},
        {"kind": "classifier", "stages": [{"width": 0}]},
        {"kind": "classifier", "stages": [{"width": 2, "depth": 3}]},
        {"kind": "classifier", "stages": [{"width": 2}], "block": {"num_step": 3}},
        {"kind": "segmenter", "stages": [{"width": 2}]},
        {"stages": [{"width": 2}]},
    ],
)
def test_model_options_that_do_not_exist_are_refused(mapping):
    with pytest.raises(ValidationError):
        MODEL.validate_python(mapping)


def test_feedforward_and_residual_stages_cannot_share_another_solver():
    config = RegressorConfig.model_validate(
        {
            "stages": [
                {"width": 2},
                {"width": 2, "block": {"kind": "feedforward", "num_layers": 1}},
            ],
            "block": {"num_steps": 1},
        }
    )
    network = built(config, outputs=1)
    with pytest.raises(ConfigError, match="feed-forward"):
        network(jnp.ones((1, 2)), Discretisation(ExplicitConfig(kind="rk4").build()))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, bool])
def test_inputs_that_are_no_floats_are_refused(dtype):
    config = ClassifierConfig.model_validate({"stages": [{"width": 2}]})
    network = nnx.eval_shape(lambda: config.build((4,), 3, rngs=nnx.Rngs(0)))
    with pytest.raises(ConfigError, match=f"floating-point inputs.*got {np.dtype(dtype)}.*predict"):
        network(jnp.ones((2, 4), dtype))
