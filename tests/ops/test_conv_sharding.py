"""The convolution on several devices."""

import jax
import jax.numpy as jnp
from against_xla import check, drawn, theirs_and_ours
from jax import lax
from jax.sharding import AxisType


def sharded(x, kind):
    mesh = jax.make_mesh((4,), ("batch",), (kind,), devices=jax.devices()[:4])
    spec = jax.sharding.PartitionSpec("batch")
    return jax.device_put(x, jax.sharding.NamedSharding(mesh, spec))


def test_shardings_in_types_are_left_to_xla():
    _, ours = theirs_and_ours((1, 1), "SAME")
    x, w = drawn(9, (4, 8, 8, 2), (3, 3, 2, 2))
    assert "odenet_conv" in str(jax.make_jaxpr(ours)(sharded(x, AxisType.Auto), w))
    assert "odenet_conv" not in str(jax.make_jaxpr(ours)(sharded(x, AxisType.Explicit), w))


def test_sharded_and_pmapped_batches_equal_one_device():
    _, ours = theirs_and_ours((1, 1), "SAME")
    x, w = drawn(9, (16, 8, 8, 32), (3, 3, 32, 32))

    def gradient(x, w):
        return jax.grad(lambda x, w: jnp.sum(jnp.sin(ours(x, w))), (0, 1))(x, w)

    expected = jax.jit(gradient)(x, w)
    check(jax.jit(gradient)(sharded(x, AxisType.Auto), w), expected, 1e-12)

    def mapped(x, w):
        gx, gw = gradient(x, w)
        return gx, lax.psum(gw, "devices")

    gx, gw = jax.pmap(mapped, "devices", in_axes=(0, None), devices=jax.devices()[:4])(
        x.reshape(4, 4, *x.shape[1:]), w
    )
    check((gx.reshape(x.shape), gw[0]), expected, 1e-12)
