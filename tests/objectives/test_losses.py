import jax.numpy as jnp
import numpy as np
import optax
import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.errors import ConfigError
from odenet.experiment.config import parse_config
from odenet.objectives import (
    BrierConfig,
    CrossEntropyConfig,
    HingeConfig,
    HuberConfig,
    MeanAbsoluteErrorConfig,
    MeanSquaredErrorConfig,
    ObjectiveConfig,
)
from odenet.part.family import members_of

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.1, 0.0], [-30.0, 40.0, 1.0]])
LABELS = np.array([0, 2, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_its_formula(smoothing):
    loss = CrossEntropyConfig(label_smoothing=smoothing).build()
    scores = loss(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    q = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
    plain, smoothed = -log_p[range(3), LABELS], -(q * log_p).sum(axis=1)
    np.testing.assert_allclose(scores["loss"], plain, rtol=1e-12, atol=1e-15)
    assert ("smoothed_loss" in scores) == (smoothing > 0)
    minimised = scores[loss.minimised]
    np.testing.assert_allclose(minimised, smoothed, rtol=1e-12, atol=1e-15)
    assert scores["accuracy"].tolist() == [1.0, 0.0, 1.0]


def test_cross_entropy_of_large_logits_is_finite():
    loss = CrossEntropyConfig().build()(jnp.asarray([[1e4, 0.0]]), jnp.asarray([1]))["loss"]
    np.testing.assert_allclose(loss, [1e4])


def test_mean_squared_error_equals_its_formula():
    outputs, targets = np.array([[1.0, 2.0], [0.0, -3.0]]), np.array([[0.0, 2.5], [1.0, 1.0]])
    scores = MeanSquaredErrorConfig().build()(jnp.asarray(outputs), jnp.asarray(targets))
    assert set(scores) == {"loss"}
    np.testing.assert_allclose(scores["loss"], [(1 + 0.25) / 2, (1 + 16) / 2])


def test_hinge_is_how_much_the_label_lacks_to_lead_by_the_margin():
    logits, labels = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    scores = HingeConfig().build()(logits, labels)
    # Leads of 1.5, -0.1 and 39 over the best of the others.
    np.testing.assert_allclose(scores["loss"], [0.0, 1.1, 0.0], atol=1e-12)
    assert scores["accuracy"].tolist() == [1.0, 0.0, 1.0]
    wide = HingeConfig(margin=2.0).build()(logits, labels)["loss"]
    np.testing.assert_allclose(wide, [0.5, 2.1, 0.0], atol=1e-12)
    rng = np.random.default_rng(0)
    logits, labels = jnp.asarray(rng.normal(size=(50, 7))), jnp.asarray(rng.integers(7, size=50))
    expected = optax.losses.multiclass_hinge_loss(logits, labels)
    np.testing.assert_allclose(HingeConfig().build()(logits, labels)["loss"], expected, rtol=1e-12)


def test_brier_is_the_squared_error_of_the_probabilities():
    scores = BrierConfig().build()(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = ((p - np.eye(3)[LABELS]) ** 2).sum(axis=1)
    np.testing.assert_allclose(scores["loss"], expected, rtol=1e-12, atol=1e-15)
    worst = BrierConfig().build()(jnp.asarray([[1e4, 0.0]]), jnp.asarray([1]))["loss"]
    np.testing.assert_allclose(worst, [2.0])


def test_huber_and_absolute_error_equal_their_formulas():
    outputs, targets = np.array([[1.0, 2.0], [0.0, -3.0]]), np.array([[0.0, 2.5], [1.0, 1.0]])
    given = jnp.asarray(outputs), jnp.asarray(targets)
    absolute = MeanAbsoluteErrorConfig().build()(*given)["loss"]
    np.testing.assert_allclose(absolute, [0.75, 2.5])
    huber = HuberConfig(delta=2.0).build()(*given)["loss"]
    # Below 2 half the square, 0.5, 0.125 and 0.5; at 4, 2 (4 - 1) = 6.
    np.testing.assert_allclose(huber, [(0.5 + 0.125) / 2, (0.5 + 6.0) / 2])


VALUES = {"name": "any", "data": {"kind": "digits"}, "model": {"kind": "classifier"}}


@pytest.mark.parametrize("part", members_of(ObjectiveConfig), ids=lambda part: part.__name__)
@pytest.mark.parametrize(("model", "outputs"), [("classifier", "logits"), ("regressor", "values")])
def test_an_objective_is_taken_by_the_models_whose_outputs_it_fits(part, model, outputs):
    kind = part.model_fields["kind"].default
    values = VALUES | {"model": {"kind": model, "stages": [{"width": 2}]}, "objective": kind}
    if outputs in part.fits:
        assert parse_config(values).loss.kind == kind
    else:
        with pytest.raises(ConfigError, match=rf"objective.kind={kind} does not fit model.kind"):
            parse_config(values)


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "mean_squared_error", "label_smoothing": 0.1},
        {"kind": "cross_entropy", "label_smoothing": 1.0},
        {"kind": "cross_entropy", "label_smoothing": -0.1},
        {"kind": "hinge", "margin": 0.0},
        {"kind": "brier", "margin": 1.0},
        {"kind": "huber", "delta": -1.0},
        {"kind": "quantile"},
    ],
)
def test_loss_options_that_do_not_exist_are_refused(mapping):
    with pytest.raises(ValidationError):
        TypeAdapter(ObjectiveConfig).validate_python(mapping)
