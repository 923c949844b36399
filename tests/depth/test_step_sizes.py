import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pydantic import TypeAdapter, ValidationError

from odenet.depth.step_sizes import (
    FixedStepSizesConfig,
    LearnedStepSizesConfig,
    StepSizesConfig,
)

CONFIG = TypeAdapter(StepSizesConfig)
N = 5


def learned(num_steps=N, **options):
    return LearnedStepSizesConfig(**options).build(num_steps)


def with_raw(step_sizes, raw):
    step_sizes.raw[...] = jnp.asarray(raw, jnp.float32)
    return step_sizes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1.0] * N),
        ({"tau": -0.25}, [-0.25] * N),
        ({"horizon": 2.0}, [0.4] * N),
        ({"taus": (1.0, 0.0, -2.0, 0.5, 3.0)}, [1.0, 0.0, -2.0, 0.5, 3.0]),
    ],
)
def test_fixed_step_sizes_follow_their_rule(options, expected):
    step_sizes = FixedStepSizesConfig(**options).build(N)
    np.testing.assert_allclose(step_sizes.taus(), expected, rtol=1e-15)
    assert float(step_sizes.penalty()) == 0.0


@pytest.mark.parametrize("parametrisation", ["free", "positive", "simplex", "remainder"])
@pytest.mark.parametrize(
    ("horizon", "tau"), [(None, 1.0), (1.5, 0.3), (1e-3, 2e-4), (500.0, 100.0)]
)
def test_learned_step_sizes_start_at_equal_parts_of_the_horizon(parametrisation, horizon, tau):
    taus = learned(parametrisation=parametrisation, horizon=horizon).taus()
    np.testing.assert_allclose(taus, [tau] * N, rtol=1e-5)


@pytest.mark.parametrize(
    ("parametrisation", "formula"),
    [
        ("free", lambda r: r),
        ("positive", lambda r: np.log1p(np.exp(r))),
        ("simplex", lambda r: 2.0 * np.exp(r) / np.exp(r).sum()),
    ],
)
def test_learned_step_sizes_follow_their_formula(parametrisation, formula):
    raw = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    taus = with_raw(learned(parametrisation=parametrisation, horizon=2.0), raw).taus()
    np.testing.assert_allclose(taus, formula(raw), rtol=1e-5)


def test_last_step_is_the_remainder_of_the_horizon_in_value_and_gradient():
    step_sizes = with_raw(learned(parametrisation="remainder", horizon=2.0), [0.5, 1.5, -0.25, 1.0])
    np.testing.assert_allclose(step_sizes.taus(), [0.5, 1.5, -0.25, 1.0, -0.75], rtol=1e-6)
    graphdef, params = nnx.split(step_sizes)
    jacobian = jax.jacobian(lambda params: nnx.merge(graphdef, params).taus())(params)
    expected = np.vstack([np.eye(N - 1), -np.ones(N - 1)])
    np.testing.assert_array_equal(jax.tree.leaves(jacobian)[0], expected)


def test_one_step_leaves_nothing_to_learn_beside_the_remainder():
    with pytest.raises(ValueError, match=r"all step sizes except the last.*positive or free"):
        learned(num_steps=1, parametrisation="remainder")


@pytest.mark.parametrize(
    ("options", "positive"),
    [
        ({"kind": "fixed"}, True),
        ({"kind": "fixed", "tau": -1.0}, False),
        ({"kind": "fixed", "tau": 0.0}, False),
        ({"kind": "fixed", "taus": [1.0, 0.0]}, False),
        ({"kind": "fixed", "taus": [1.0, 2.0]}, True),
        ({"kind": "fixed", "horizon": 2.0}, True),
        ({"kind": "learned"}, False),
        ({"kind": "learned", "parametrisation": "positive"}, True),
        ({"kind": "learned", "parametrisation": "simplex"}, True),
        ({"kind": "learned", "parametrisation": "remainder"}, False),
    ],
)
def test_step_sizes_tell_whether_they_stay_positive(options, positive):
    assert CONFIG.validate_python(options).stays_positive == positive


def test_positive_and_simplex_step_sizes_stay_positive_and_simplex_keeps_its_sum():
    raw = np.random.default_rng(0).normal(scale=8, size=N)
    assert np.all(np.asarray(with_raw(learned(parametrisation="positive"), raw).taus()) > 0)
    simplex = np.asarray(with_raw(learned(parametrisation="simplex", horizon=3.0), raw).taus())
    assert np.all(simplex > 0)
    assert simplex.sum() == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize(("sharing", "shape"), [("shared", ()), ("per_layer", (N,))])
def test_sharing_decides_how_many_numbers_are_learned(sharing, shape):
    step_sizes = learned(sharing=sharing)
    assert step_sizes.raw.shape == shape
    assert step_sizes.taus().shape == (N,)


def test_penalty_equals_its_formula():
    taus = np.array([0.5, -1.0, 0.25, 2.0, -0.125])
    c_T, c_1, c_2 = 0.5, 0.01, 0.3
    options = {"horizon": 1.5, "penalty": {"horizon": c_T, "l1": c_1, "l2": c_2}}
    penalty = with_raw(learned(**options), taus).penalty()
    expected = c_T * (taus.sum() - 1.5) ** 2 + c_1 * np.abs(taus).sum() + c_2 * (taus**2).sum()
    assert float(penalty) == pytest.approx(expected, rel=1e-6)
    assert float(learned(**options).penalty()) == pytest.approx(0.01 * 1.5 + 0.3 * 5 * 0.09)


def test_penalty_is_differentiated_through_the_step_sizes():
    raw = np.array([0.5, -1.0, 0.25, 2.0, -0.125], np.float32)
    graphdef, params = nnx.split(learned(penalty={"horizon": 0.5, "l1": 0.01}))
    params["raw"] = params["raw"].replace(jnp.asarray(raw))
    gradient = jax.grad(lambda params: nnx.merge(graphdef, params).penalty())(params)
    expected = 2 * 0.5 * (raw.sum() - N) + 0.01 * np.sign(raw)
    np.testing.assert_allclose(gradient["raw"][...], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau": 1.0, "horizon": 2.0}, "one of tau, taus and horizon"),
        ({"taus": (1.0, float("nan"))}, "finite"),
        ({"tau": float("inf")}, "finite"),
        ({"horizon": 0.0}, "greater than 0"),
        ({"sharing": "shared"}, "Extra inputs"),
        ({"kind": "learned", "parametrisation": "simplex", "sharing": "shared"}, "per_layer"),
        ({"kind": "learned", "parametrisation": "remainder", "sharing": "shared"}, "per_layer"),
        (
            {"kind": "learned", "parametrisation": "simplex", "penalty": {"horizon": 1.0}},
            "would be ignored",
        ),
        ({"kind": "learned", "penalty": {"l1": -1.0}}, "greater than or equal to 0"),
        ({"kind": "learned", "tau": 1.0}, "Extra inputs"),
        ({"kind": "learned", "horizon": -1.0}, "greater than 0"),
    ],
)
def test_options_that_would_be_ignored_or_break_a_rule_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        CONFIG.validate_python({"kind": "fixed"} | options)


def test_wrong_number_of_step_sizes_is_refused():
    with pytest.raises(ValueError, match="num_steps is 3, got 2 values"):
        FixedStepSizesConfig(taus=(1.0, 2.0)).build(3)
