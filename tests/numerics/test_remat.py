import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numerics.methods import KUTTA_3

from odenet.models import DepthBlockConfig

DEPTH, WIDTH, HIDDEN, BATCH = 64, 8, 64, 32


def compiled(integrator):
    """Value and gradient of a deep block of wide layers, compiled, with its arguments."""
    config = DepthBlockConfig(
        field={"kind": "mlp", "hidden": (HIDDEN, HIDDEN), "form": "between"},
        num_steps=DEPTH,
        step_sizes={"horizon": 1.0},
        integrator=integrator,
    )
    graphdef, params = nnx.split(config.build((WIDTH,), rngs=nnx.Rngs(0)))
    h0 = jax.random.normal(jax.random.key(1), (BATCH, WIDTH), jnp.float32)

    def loss(params, h0):
        return jnp.sum(nnx.merge(graphdef, params)(h0).h1 ** 2)

    return jax.jit(jax.value_and_grad(loss)).lower(params, h0).compile(), (params, h0)


@pytest.mark.parametrize(
    "integrator",
    [{"kind": "euler"}, {"kind": "rk4"}, KUTTA_3.model_dump()],
    ids=lambda c: c["kind"],
)
def test_remat_gives_the_same_numbers_in_less_memory(integrator):
    plain, arguments = compiled(integrator | {"remat": "none"})
    remat, _ = compiled(integrator | {"remat": "step"})
    value, gradient = plain(*arguments)
    value_again, gradient_again = remat(*arguments)
    np.testing.assert_allclose(value, value_again, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(gradient_again), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    plain_bytes = plain.memory_analysis().temp_size_in_bytes
    remat_bytes = remat.memory_analysis().temp_size_in_bytes
    # What a step stores beside its state: two hidden layers of 64 against a state of 8.
    assert remat_bytes < plain_bytes / 2
