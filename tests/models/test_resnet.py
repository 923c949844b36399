"""Networks by their depth: stages, step sizes, integrators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx
from pydantic import ValidationError

from odenet.errors import ConfigError
from odenet.integrators import AdaptiveConfig, DiffraxConfig, ExplicitConfig
from odenet.models import DepthBlockConfig, Discretisation, ResNetConfig

STEPS = {"arrangement": "full_preactivation"}
SMALL = {"layout": "vector", "width": 2, "depth": 20}


def built(**options):
    config = ResNetConfig.model_validate(SMALL | options)
    return config.build((3,), 4, rngs=nnx.Rngs(0))


STEP_SIZES = [
    ({}, [1.0] * 3),
    ({"tau": 0.5}, [0.5] * 3),
    ({"horizon": 1.5}, [0.5] * 3),
    ({"taus": [1.0, 0.5, 0.25]}, [1.0, 0.5, 0.25]),
    ({"kind": "learned"}, [1.0] * 3),
    ({"kind": "learned", "horizon": 0.75}, [0.25] * 3),
    ({"kind": "learned", "horizon": 0.75, "sharing": "shared"}, [0.25] * 3),
]


@pytest.mark.parametrize(
    "arrangement", [pytest.param("original", marks=pytest.mark.product), "full_preactivation"]
)
def test_every_unit_starts_at_the_step_size_it_has_in_its_stage(arrangement):
    # By one program, which draws no weights: nothing of it depends on them.
    found = jax.jit(
        lambda: [
            built(arrangement=arrangement, step_sizes=step_sizes).taus()
            for step_sizes, _ in STEP_SIZES
        ]
    )()
    for taus, (_, expected) in zip(found, STEP_SIZES, strict=True):
        np.testing.assert_allclose(taus, [expected] * 3, rtol=1e-6)


def test_penalty_of_a_stage_is_zero_at_the_horizon_that_it_starts_with():
    learned = {"kind": "learned", "horizon": 0.75, "parametrisation": "positive"}
    penalties = {"horizon": 3.0}, {"l1": 2.0}
    by_horizon, by_size = jax.jit(
        lambda: [built(step_sizes=learned | {"penalty": each}).penalty() for each in penalties]
    )()
    np.testing.assert_allclose(by_horizon, 0, atol=1e-10)
    np.testing.assert_allclose(by_size, 2 * 3 * 0.75, rtol=1e-5)


def test_steps_of_one_stage_alone_are_learned():
    fixed, learned = {"kind": "fixed", "tau": 0.5}, {"kind": "learned", "horizon": 6.0}
    given = [fixed, learned, fixed]
    found = jax.jit(lambda: built(step_sizes=given).taus())()
    np.testing.assert_allclose(found, [[0.5] * 3, [2.0] * 3, [0.5] * 3])
    network = nnx.eval_shape(lambda: built(step_sizes=given))
    paths = [
        path for path, _ in nnx.to_flat_state(nnx.state(network, nnx.Param)) if "step_sizes" in path
    ]
    assert sorted(paths) == [
        ("blocks", 1, "step_sizes", "raw"),
        ("projections", 1, "operation", "step_sizes", "raw"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_sizes": {"taus": [1.0]}}, "stage 0 has 3 units, got 1 values"),
        (
            {"step_sizes": [{}, {"taus": [1.0] * 3}, {"taus": [1.0] * 2}]},
            "stage 2 has 3 units, got 2 values",
        ),
        ({"step_sizes": [{}]}, "one for each of 3 stages; got 1"),
        (
            {"step_sizes": {"kind": "learned", "parametrisation": "simplex"}},
            "simplex keeps the sum.*use parametrisation=positive",
        ),
        ({"strided_weight": 2, "depth": 29, "unit": "bottleneck"}, "layout=vector has no strides"),
        ({"last_init": "zero", "arrangement": "relu_before_addition"}, "its gradient is 0"),
        ({"integrator": {"kind": "rk4"}}, "with field.arrangement=original a layer is no step"),
        (
            STEPS | {"shortcut": "projection_everywhere", "integrator": {"kind": "dopri5"}},
            "with shortcut.kind=matrix a layer is no step",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ResNetConfig.model_validate(SMALL | options)


def test_stages_halve_the_image_and_double_the_channels():
    shapes = {}
    for layout, depth, side in (("cifar", 14, 9), ("imagenet", 18, 40), ("imagenet", 50, 40)):
        config = ResNetConfig(depth=depth, layout=layout, width=4)
        network = nnx.eval_shape(
            lambda: config.build((side, side, 3), 5, rngs=nnx.Rngs(0))  # noqa: B023
        )
        shapes[depth] = [projection.shape for projection in network.projections]
    assert shapes[14] == [(9, 9, 4), (5, 5, 8), (3, 3, 16)]
    assert shapes[18] == [(10, 10, 4), (5, 5, 8), (3, 3, 16), (2, 2, 32)]
    assert shapes[50] == [(10, 10, 16), (5, 5, 32), (3, 3, 64), (2, 2, 128)]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"layout": "vector", "depth": 14, "width": 4}, (5,)),
        ({"layout": "imagenet", "depth": 18, "width": 2} | STEPS, (32, 32, 3)),
    ],
    ids=lambda value: value.get("layout") if isinstance(value, dict) else None,
)
def test_network_gives_finite_logits_in_training_mode_and_not(options, shape):
    config = ResNetConfig.model_validate(options)

    @jax.jit
    def outputs(key, x):
        network = config.build(shape, 3, rngs=nnx.Rngs(key))
        frozen = network(x).outputs
        return network(x, training=True).outputs, frozen

    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, *shape)), jnp.float32)
    training, frozen = outputs(jax.random.key(0), x)
    assert training.shape == frozen.shape == (4, 3)
    assert jnp.isfinite(training).all()
    assert jnp.abs(training - frozen).max() > 1e-3


EULER = DiffraxConfig.model_validate({"solver": "euler", "controller": {"kind": "constant"}})


def test_network_of_steps_is_run_by_any_solver_and_is_an_euler_solve():
    network = drawn(nnx.eval_shape(lambda: built(depth=14, **STEPS)))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    rk4 = Discretisation(ExplicitConfig(kind="rk4").build(), step_factor=2)
    ways = [], [Discretisation(EULER.build())], [rk4]
    own, solved, finer = jax.jit(lambda x: [network(x, *way) for way in ways])(x)
    np.testing.assert_allclose(solved.outputs, own.outputs)
    assert own.stats.nfe == 6  # two units in every stage, the first a layer between shapes
    assert finer.stats.nfe == 3 + 3 * 2 * 4
    assert np.abs(finer.outputs - own.outputs).max() > 1e-6


NO_STEPS = {
    "arrangement=original": {"field": {"kind": "residual", "arrangement": "original"}},
    "arrangement=batch_norm_after_addition": {
        "field": {"kind": "residual", "arrangement": "batch_norm_after_addition"}
    },
    "shortcut.kind=scaled": {"shortcut": {"kind": "scaled", "factor": 0.5}},
    "shortcut.kind=gated": {"shortcut": {"kind": "gated"}},
    "shortcut.kind=dropout": {"shortcut": {"kind": "dropout"}},
    "shortcut.kind=matrix": {"shortcut": {"kind": "matrix"}},
}


@pytest.mark.parametrize("name", NO_STEPS)
def test_block_that_is_no_euler_step_refuses_solvers_and_says_why(name):
    config = DepthBlockConfig.model_validate({"num_steps": 2} | NO_STEPS[name])
    assert config.ode is None
    for integrator in (
        {"kind": "diffrax"},
        {"kind": "dopri5"},
        {"kind": "rk4"},
        {"kind": "leapfrog"},
    ):
        with pytest.raises(ValidationError, match=rf"{name} a layer is no step h \+ tau f\(t, h\)"):
            DepthBlockConfig.model_validate(
                {"num_steps": 2, "integrator": integrator} | NO_STEPS[name]
            )
    ways = [Discretisation(AdaptiveConfig().build()), Discretisation(step_factor=2)]
    block = config.build((4,), rngs=nnx.Rngs(0))
    assert block.ode is None
    for way in ways:
        with pytest.raises(ConfigError, match=rf"{name} a layer is no step.*remove it"):
            config.check_discretisation(way)
        with pytest.raises(ConfigError, match=r"no step h \+ tau.*the discretisation of training"):
            block(jnp.ones((2, 4), jnp.float32), way)


@pytest.mark.parametrize(
    "arrangement", ["relu_before_addition", "relu_only_preactivation", "full_preactivation"]
)
def test_block_of_euler_steps_says_so(arrangement):
    field = {"kind": "residual", "arrangement": arrangement}
    config = DepthBlockConfig.model_validate({"num_steps": 2, "field": field})
    assert config.ode is config
    assert config.build((4,), rngs=nnx.Rngs(0)).ode is not None
