"""Which fields and which integrators go together, and which can be exchanged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import fixed_diffrax
from numerics.precision import drawn
from pydantic import TypeAdapter, ValidationError

from odenet import ClassifierConfig, init_network
from odenet.errors import ConfigError
from odenet.integrators import IntegratorConfig, SeparableConfig
from odenet.models import DepthBlockConfig, Discretisation
from odenet.models.discretisation import AS_TRAINED

CONFIG = TypeAdapter(IntegratorConfig)


def block_config(field, integrator, **options):
    return DepthBlockConfig.model_validate(
        {"num_steps": 6, "field": field, "integrator": integrator, **options}
    )


def way(**integrator):
    return Discretisation(CONFIG.validate_python(integrator).build())


def built(config, shape=(4,)):
    return drawn(lambda: config.build(shape, rngs=nnx.Rngs(0)), 2)


@pytest.mark.parametrize("kind", ["symplectic_euler", "verlet"])
@pytest.mark.parametrize("field", ["mlp", "conv", "antisymmetric", "parabolic", "residual"])
def test_partitioned_methods_refuse_other_fields(kind, field):
    with pytest.raises(
        ValidationError, match=rf"kind={kind} is a partitioned method.*got field kind={field}"
    ):
        block_config({"kind": field}, {"kind": kind})


@pytest.mark.parametrize(
    ("integrator", "name"),
    [
        (SeparableConfig(kind="symplectic_euler"), "symplectic_euler"),
        (SeparableConfig(kind="verlet"), "verlet"),
        (fixed_diffrax("semi_implicit_euler"), "diffrax with solver=semi_implicit_euler"),
    ],
)
def test_trained_block_of_another_field_is_not_run_by_partitioned_methods(integrator, name):
    config = block_config({"kind": "antisymmetric"}, {"kind": "rk4"})
    other, message = (
        Discretisation(integrator.build()),
        f"kind={name} is a partitioned method.*got field",
    )
    with pytest.raises(ConfigError, match=rf"{message} kind=antisymmetric"):
        config.check_discretisation(other)
    with pytest.raises(ConfigError, match=rf"{message} AntisymmetricField"):
        built(config)(jnp.ones((1, 4)), other)


def crossed(first, second):
    """All pairs of two values each; those off the diagonal are `product`."""
    return [
        pytest.param(
            one, other, marks=() if row == column else pytest.mark.product, id=f"{one}-{name}"
        )
        for row, one in enumerate(first)
        for column, (name, other) in enumerate(second.items())
    ]


SHAPES = {"vectors": (4,), "images": (3, 4, 2)}


@pytest.mark.parametrize(
    ("field", "shape"), crossed(["hamiltonian", "two_layer_hamiltonian"], SHAPES)
)
def test_partitioned_fields_are_run_by_every_method_of_the_first_order(field, shape):
    options = {"step_sizes": {"kind": "fixed", "horizon": 0.3}, "weights": {"kind": "shared"}}
    config = block_config({"kind": field}, {"kind": "verlet"}, **options)
    block, h0 = built(config, shape), jax.random.normal(jax.random.key(3), (2, *shape))
    exact = block(h0, Discretisation(way(kind="rk4").integrator, step_factor=8)).h1
    for kind, tolerance in (
        ("symplectic_euler", 0.05),
        ("verlet", 2e-3),
        ("two_step_midpoint", 5e-3),
        ("euler", 0.05),
        ("dopri5", 1e-2),
    ):
        config.check_discretisation(way(kind=kind))
        np.testing.assert_allclose(block(h0, way(kind=kind)).h1, exact, atol=tolerance)


@pytest.mark.parametrize(("adjoint", "shape"), crossed(["checkpointed", "direct"], SHAPES))
def test_symplectic_solver_of_diffrax_takes_the_same_steps(adjoint, shape):
    options = {"step_sizes": {"kind": "learned"}, "weights": {"kind": "per_layer"}}
    config = block_config({"kind": "hamiltonian"}, {"kind": "symplectic_euler"}, **options)
    block, h0 = built(config, shape), jax.random.normal(jax.random.key(3), (2, *shape))
    other = fixed_diffrax("semi_implicit_euler", adjoint={"kind": adjoint})
    config.check_discretisation(Discretisation(other.build()))
    graphdef, params, rest = nnx.split(block, nnx.Param, ...)

    def gradient(way):
        def loss(params, h0):
            found = nnx.merge(graphdef, params, rest)(h0, way, save_path=True)
            return jnp.sum(jnp.sin(found.h1)), (found.path, found.stats)

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, h0)

    own, theirs = gradient(AS_TRAINED), gradient(Discretisation(other.build()))
    for found, expected in zip(*map(jax.tree.leaves, (theirs, own)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_momentum_is_exchanged_with_its_own_gamma_alone():
    config = block_config({"kind": "mlp"}, {"kind": "momentum", "gamma": 0.9})
    block, h0 = built(config), jnp.ones((1, 4))
    own = block(h0).h1
    stored = block(h0, way(kind="momentum", gamma=0.9, remat="none")).h1
    np.testing.assert_allclose(stored, own, rtol=1e-14)
    for asked, message in (
        (
            way(kind="momentum", gamma=0.5),
            "gamma=0.9, and under .* gamma=0.5 .* another network",
        ),
        (way(kind="euler"), r"eps v' = f.*h' = f\(t, h\) .* another network; use kind=momentum"),
        (way(kind="leapfrog"), "h'' = f"),
    ):
        with pytest.raises(ConfigError, match=message):
            block(h0, asked)
        with pytest.raises(ConfigError, match=message):
            config.check_discretisation(asked)
    with pytest.raises(ConfigError, match="any kind but leapfrog, momentum or fractional"):
        block_config({"kind": "mlp"}, {"kind": "euler"}).check_discretisation(way(kind="momentum"))


@pytest.mark.parametrize("kind", ["two_step_midpoint", "momentum"])
def test_batch_statistics_are_not_trained_by_methods_with_a_memory(kind):
    config = block_config({"kind": "residual"}, {"kind": kind})
    with pytest.raises(ConfigError, match=f"batch norm cannot be trained.*kind={kind}"):
        config.check_trainable(training=True)
    block = config.build((4,), rngs=nnx.Rngs(0))
    h0 = jnp.ones((3, 4), jnp.float32)
    with pytest.raises(ConfigError, match="batch norm cannot be trained"):
        block(h0, training=True)
    assert jnp.isfinite(block(h0).h1).all()


def test_zero_padding_gives_a_hamiltonian_network_a_second_half_at_zero():
    config = ClassifierConfig.model_validate(
        {
            "stem": {"kind": "zero_pad"},
            "stages": [{"width": 4}],
            "block": {"field": {"kind": "hamiltonian"}, "integrator": {"kind": "symplectic_euler"}},
        }
    )
    network = init_network(config, (2,), 3, jax.random.key(0))
    x = jnp.asarray([[0.3, -0.7]], jnp.float32)
    np.testing.assert_array_equal(network.projections[0](x), np.float32([[0.3, -0.7, 0, 0]]))
    assert network(x).outputs.shape == (1, 3)
    odd = config.model_copy(update={"stages": (config.stages[0].model_copy(update={"width": 3}),)})
    with pytest.raises(ConfigError, match="must be even"):
        init_network(odd, (2,), 3, jax.random.key(0))
