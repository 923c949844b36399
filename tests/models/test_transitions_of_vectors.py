"""Layers between two widths: an activation beside a matrix, of fixed or learned step size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fields.figure import drawn
from flax import nnx
from numerics.finite_differences import check_gradient
from pydantic import ValidationError

from odenet.models import ClassifierConfig
from odenet.models.transition import TransitionConfig

TAU = 0.75


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize(("inputs", "width"), [(3, 5), (5, 3)])
def test_simplified_layer_adds_a_matrix_times_the_state(inputs, width, learned):
    # Antil, Diaz and Herberg 2022, sec. 4: y = P y + tau sigma(W y + b), W of any shape.
    shortcut = {"kind": "matrix", "learned": learned}
    values = {"step_sizes": {"tau": TAU}, "field": {"kind": "mlp"}, "shortcut": shortcut}
    config = TransitionConfig.model_validate(values)
    projection = drawn(nnx.eval_shape(lambda: config.build((inputs,), width, rngs=nnx.Rngs(0))))
    unit = projection.operation.unit
    W, b = (np.asarray(p[...]) for p in (unit.branch.affine[0].kernel, unit.branch.affine[0].bias))
    P = np.asarray(unit.shortcut.projection.operation.kernel[...])
    assert W.shape == P.shape == (inputs, width)
    y = np.random.default_rng(1).normal(size=(4, inputs))
    expected = y @ P + TAU * np.tanh(y @ W + b)
    np.testing.assert_allclose(projection(jnp.asarray(y)), expected, rtol=1e-12)


def test_step_size_of_a_layer_is_learned_and_its_penalty_counted_once():
    learned = {"kind": "learned", "penalty": {"l2": 2.0}}
    fixed = {"kind": "fixed", "taus": [0.5, 0.25]}
    layer = {
        "kind": "unit",
        "field": {"kind": "mlp"},
        "shortcut": {"kind": "matrix"},
        "step_sizes": learned,
    }
    config = ClassifierConfig.model_validate(
        {
            "stages": [{"width": 4}, {"width": 3, "projection": layer}],
            "block": {"num_steps": 2, "step_sizes": fixed},
        }
    )
    network = drawn(nnx.eval_shape(lambda: config.build((2,), 3, rngs=nnx.Rngs(0))))
    tau = float(network.projections[1].operation.step_sizes.raw[0])
    np.testing.assert_allclose(network.penalty(), 2 * tau**2)
    taus = [np.asarray(each) for each in network.taus()]
    np.testing.assert_allclose(taus[0], [0.5, 0.25])
    np.testing.assert_allclose(taus[1], [tau, 0.5, 0.25])

    graphdef, params, rest = nnx.split(network, nnx.Param, ...)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 2)))

    def loss(raw):
        state = nnx.merge(graphdef, params, rest, copy=True)
        state.projections[1].operation.step_sizes.raw[...] = raw
        return jnp.sum(state(x).outputs ** 2) + state.penalty()

    raw = params["projections"][1]["operation"]["step_sizes"]["raw"][...]
    assert float(jnp.abs(jax.jit(jax.grad(loss))(raw)[0])) > 1e-3
    check_gradient(loss, raw)


def test_first_stage_may_have_a_layer_of_its_own():
    layer = {"kind": "unit", "field": {"kind": "mlp"}, "shortcut": {"kind": "matrix"}}
    values = {"stages": [{"width": 4, "projection": layer}], "block": {"num_steps": 1}}
    config = ClassifierConfig.model_validate(values | {"stem_width": 6})
    network = drawn(nnx.eval_shape(lambda: config.build((2,), 3, rngs=nnx.Rngs(0))))
    stem, own = network.projections[0].operation.stem, network.projections[0].operation.projection
    x = jnp.ones((1, 2))
    assert (stem.shape, own.shape) == ((6,), (4,))
    np.testing.assert_array_equal(network.projections[0](x), own(stem(x)))
    with pytest.raises(ValidationError, match=r"stem_width would be ignored.*remove it"):
        ClassifierConfig.model_validate({"stem_width": 6, "stages": [{"width": 4}]})
