"""The convolution under `vmap`, its derivatives included, against a loop and against XLA's own."""

import jax
import jax.numpy as jnp
import pytest
from against_xla import check, drawn, output_shape, theirs_and_ours

AXES = [(0, None, 0), (None, 1, 0), (1, 0, 0), (2, 3, 0), (1, None, None), (None, 0, None)]
IN_TURN = {1: [AXES[k] for k in (0, 2, 4, 5)], 2: AXES[1:4]}


@pytest.mark.parametrize(
    ("mapped", "groups"),
    [
        pytest.param(axes, groups, marks=() if axes in IN_TURN[groups] else pytest.mark.product)
        for axes in AXES
        for groups in (1, 2)
    ],
)
def test_vmap_equals_a_loop(mapped, groups):
    _, ours = theirs_and_ours((1, 2), ((1, 1), (0, 1)), (2, 1), groups)
    batch, x_shape, w_shape = 3, (2, 6, 5, 4), (3, 2, 4 // groups, 6)

    def lifted(shape, axis):
        return shape if axis is None else (*shape[:axis], batch, *shape[axis:])

    shapes = (lifted(x_shape, mapped[0]), lifted(w_shape, mapped[1]))
    y_shape = output_shape(ours, x_shape, w_shape)
    x, w, g = drawn(17, *shapes, lifted(y_shape, mapped[2]))

    @jax.jit
    def one(x, w, g):
        value, pull = jax.vjp(ours, x, w)
        return value, *pull(g)

    together = jax.jit(jax.vmap(one, mapped))(x, w, g)
    for index in range(batch):
        alone = (
            v if axis is None else jnp.take(v, index, axis)
            for v, axis in zip((x, w, g), mapped, strict=True)
        )
        check([part[index] for part in together], one(*alone), 1e-12)


@pytest.mark.parametrize("cotangent", [True, False])
@pytest.mark.parametrize("operand", [0, 1])
def test_vmapped_cotangents_of_shared_operands(cotangent, operand):
    # The Jacobian maps over the cotangent alone, or over the tangent alone.
    theirs, ours = theirs_and_ours((1, 1), "SAME")
    x, w = drawn(5, (2, 3, 3, 2), (3, 3, 2, 2))
    jacobian = jax.jacrev if cotangent else jax.jacfwd
    check(*(jax.jit(jacobian(f, operand))(x, w) for f in (ours, theirs)), 1e-12)
