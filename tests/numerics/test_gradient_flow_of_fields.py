"""The gradient flow of other fields, weights, methods and layers against `jax.grad`; refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.precision import drawn
from numerics.test_gradient_flow import BATCH, X, close, loss

from odenet.analysis.chain import chain_of
from odenet.analysis.gradient_flow import gradient_flow
from odenet.depth.step_sizes import LearnedStepSizesConfig
from odenet.errors import ConfigError
from odenet.fields import ConvFieldConfig
from odenet.models import ClassifierConfig, DepthBlockConfig, RegressorConfig

FIELDS = {
    "mlp": ({"kind": "mlp", "form": "between", "hidden": [3]}, (3,), {"kind": "linear"}),
    "conv": (ConvFieldConfig(num_convolutions=1, num_groups=1), (3, 3, 1), {"kind": "conv"}),
    "hamiltonian": ({"kind": "hamiltonian"}, (3,), {"kind": "linear"}),
    "two_layer_hamiltonian": ({"kind": "two_layer_hamiltonian"}, (3,), {"kind": "linear"}),
}
WEIGHTS = {
    "per_layer": {"kind": "per_layer", "num_layers": 2},
    "shared": {"kind": "shared"},
    "shared_with_time": {"kind": "shared_with_time"},
}


@pytest.mark.parametrize(
    ("field", "weights", "integrator"),
    [
        ("mlp", "shared_with_time", "rk4"),
        ("conv", "shared", "euler"),
        ("hamiltonian", "per_layer", "symplectic_euler"),
        ("two_layer_hamiltonian", "shared_with_time", "verlet"),
        pytest.param("mlp", "per_layer", "euler", marks=pytest.mark.product),
        pytest.param("conv", "shared_with_time", "euler", marks=pytest.mark.product),
    ],
)
def test_fields_weights_and_methods_give_the_gradients_of_jax(field, weights, integrator):
    """Here the package itself is differentiated: what is new is the way the gradient is taken."""
    chosen, shape, stem = FIELDS[field]
    block = DepthBlockConfig(
        num_steps=4,
        field=chosen,
        weights=WEIGHTS[weights],
        step_sizes=LearnedStepSizesConfig(horizon=2.0),
        integrator={"kind": integrator, "remat": "sqrt"},
    )
    config = ClassifierConfig(stem=stem, stages=[{"width": 2}], block=block)
    made = drawn(lambda: config.build(shape, 3, rngs=nnx.Rngs(0)), seed=5, scale=0.5)
    x = jnp.asarray(np.random.default_rng(6).normal(size=(BATCH, *shape)))
    graphdef, params = nnx.split(made)

    @jax.jit
    @jax.value_and_grad
    def value(params):
        return loss(nnx.merge(graphdef, params)(x).outputs)

    expected, wanted = value(params)
    wanted = nnx.to_pure_dict(wanted)
    flow = jax.jit(lambda: gradient_flow(made, loss, x))()
    close(flow.loss, expected)
    of_block = wanted["blocks"][0]
    close(flow.blocks[0].taus, of_block["step_sizes"]["raw"])
    jax.tree.map(close, nnx.to_pure_dict(flow.blocks[0].weights), of_block["weights"]["stacked"])
    jax.tree.map(close, nnx.to_pure_dict(flow.projections[0]), wanted["projections"][0])
    jax.tree.map(close, nnx.to_pure_dict(flow.head), wanted["head"])


@pytest.mark.parametrize(
    ("integrator", "message"),
    [
        ({"kind": "dopri5"}, "AdaptiveRungeKutta; .* model.block.integrator.kind=euler"),
        ({"kind": "diffrax"}, "Diffrax; .* model.block.integrator.kind=euler"),
        ({"kind": "leapfrog"}, "Leapfrog; .* after training with it"),
        ({"kind": "reversible_rk"}, "ReversibleRungeKutta; .* model.block.integrator.kind=euler"),
    ],
)
def test_integrators_without_a_factor_for_each_step_are_refused(integrator, message):
    block = DepthBlockConfig(num_steps=2, integrator=integrator)
    made = RegressorConfig(stages=[{"width": 2}], block=block).build((2,), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match=message):
        gradient_flow(made, loss, X)


def test_layers_that_are_no_steps_and_layers_between_shapes_give_the_gradients_of_jax():
    layer = {
        "kind": "unit",
        "field": {"kind": "mlp"},
        "shortcut": {"kind": "matrix", "learned": True},
    }
    config = RegressorConfig.model_validate(
        {
            "stages": [{"width": 2}, {"width": 4, "projection": layer}],
            "block": {
                "num_steps": 3,
                "shortcut": {"kind": "gated"},
                "step_sizes": {"kind": "learned"},
            },
        }
    )
    made = drawn(lambda: config.build((2,), 3, rngs=nnx.Rngs(0)), seed=5, scale=0.5)
    graphdef, params = nnx.split(made)
    gradient = jax.jit(jax.grad(lambda params: loss(nnx.merge(graphdef, params)(X).outputs)))
    wanted = nnx.to_pure_dict(gradient(params))
    flow = jax.jit(lambda: gradient_flow(made, loss, X))()
    for index, (block, projection) in enumerate(zip(flow.blocks, flow.projections, strict=True)):
        of_block = wanted["blocks"][index]
        close(block.taus, of_block["step_sizes"]["raw"])
        jax.tree.map(close, nnx.to_pure_dict(block.weights), of_block["weights"]["stacked"])
        jax.tree.map(close, nnx.to_pure_dict(projection), wanted["projections"][index])


def test_dropout_around_layers_is_refused():
    block = DepthBlockConfig(num_steps=2, shortcut={"kind": "dropout"})
    made = RegressorConfig(stages=[{"width": 2}], block=block).build((2,), 3, rngs=nnx.Rngs(0))
    with pytest.raises(ConfigError, match=r"not followed through shortcut\.kind=dropout"):
        gradient_flow(made, loss, X)


@pytest.mark.parametrize("kind", ["data_controlled", "depth_adaptive"])
def test_gradient_is_not_followed_through_fields_that_take_the_first_state(kind):
    config = DepthBlockConfig.model_validate({"field": {"kind": kind}})
    with pytest.raises(ConfigError, match="depends on its initial state at every depth"):
        chain_of(config.build((2,), rngs=nnx.Rngs(0)))
