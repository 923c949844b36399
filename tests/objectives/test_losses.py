import jax.numpy as jnp
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.objectives import CrossEntropyConfig, MeanSquaredErrorConfig, ObjectiveConfig

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


@pytest.mark.parametrize(
    "mapping",
    [
        {"kind": "mean_squared_error", "label_smoothing": 0.1},
        {"kind": "cross_entropy", "label_smoothing": 1.0},
        {"kind": "cross_entropy", "label_smoothing": -0.1},
        {"kind": "hinge"},
    ],
)
def test_loss_options_that_do_not_exist_are_refused(mapping):
    with pytest.raises(ValidationError):
        TypeAdapter(ObjectiveConfig).validate_python(mapping)
