"""The networks of the odenet sides that are not an experiment's: ResNet-20, the MNIST ODE-Net."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.lax import conv_general_dilated

from benchmarks.weights import RESNET20_STAGES

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_EPSILON = 1e-5  # torch's


def batch_norm(x, scale, bias, epsilon):
    """Normalise by the statistics of the batch; gives the result, the mean and the variance."""
    mean = jnp.mean(x, axis=(0, 1, 2))
    var = jnp.mean(jnp.square(x), axis=(0, 1, 2)) - jnp.square(mean)
    factor = scale * jax.lax.rsqrt(var + epsilon)
    return x * factor + (bias - mean * factor), mean, var


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """A convolution of NHWC images, padded by zeros on every side."""
    return conv_general_dilated(
        x, kernel, (stride, stride), ((padding, padding),) * 2, dimension_numbers=_LAYOUT
    )


def resnet20(weights: dict[str, jax.Array], x: jax.Array) -> tuple[jax.Array, dict[str, Any]]:
    """ResNet-20 while it is trained; gives logits and the new running statistics."""
    statistics: dict[str, jax.Array] = {}

    def norm(name, x):
        y, mean, var = batch_norm(x, weights[f"{name}.scale"], weights[f"{name}.bias"], _EPSILON)
        count = x.size // x.shape[-1]
        news = {"mean": mean, "var": var * (count / (count - 1))}
        for leaf, new in news.items():
            old = weights[f"{name}.{leaf}"]
            statistics[f"{name}.{leaf}"] = 0.9 * old + 0.1 * new
        return y

    h = jax.nn.relu(norm("stem_norm", conv(x, weights["stem.kernel"])))
    for stage, (channels, first_stride) in enumerate(RESNET20_STAGES):
        for block in range(3):
            name, stride = f"stages.{stage}.{block}", first_stride if block == 0 else 1
            y = norm(f"{name}.norm1", conv(h, weights[f"{name}.conv1.kernel"], stride))
            y = norm(f"{name}.norm2", conv(jax.nn.relu(y), weights[f"{name}.conv2.kernel"]))
            missing = channels - h.shape[-1]
            shortcut = h[:, ::stride, ::stride]
            if missing:  # option A: zeros in the new channels, half of them on either side
                half = missing // 2
                shortcut = jnp.pad(shortcut, ((0, 0),) * 3 + ((half, missing - half),))
            h = jax.nn.relu(shortcut + y)
    pooled = jnp.mean(h, axis=(1, 2))
    return pooled @ weights["head.kernel"] + weights["head.bias"], statistics


def group_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int = 32) -> jax.Array:
    """Group norm of NHWC images: channels are reduced over space first, then within groups."""
    batch, _, _, channels = x.shape
    size = channels // groups

    def over_group(sums):
        grouped = jnp.mean(sums.reshape(batch, groups, size), axis=2, keepdims=True)
        return jnp.broadcast_to(grouped, (batch, groups, size)).reshape(batch, channels)

    mean = over_group(jnp.mean(x, axis=(1, 2)))
    var = over_group(jnp.mean(jnp.square(x), axis=(1, 2))) - jnp.square(mean)
    factor = scale * jax.lax.rsqrt(var + _EPSILON)
    return x * factor[:, None, None] + (bias - mean * factor)[:, None, None]


class TimeConvField(nnx.Module):
    """The field of torchdiffeq's MNIST example: norm, ReLU, convolution, twice, then a norm.

    The time is an input channel of both convolutions; since it is constant over the image, its
    part is `t` times the convolution of ones.

    Args:
        weights: Arrays whose names begin with `field.`.
    """

    def __init__(self, weights: dict[str, Any]):
        self.weights = nnx.Dict(
            {
                name.removeprefix("field.").replace(".", "_"): nnx.Param(jnp.asarray(array))
                for name, array in weights.items()
                if name.startswith("field.")
            }
        )

    def __call__(self, t: jax.Array, h: jax.Array) -> jax.Array:
        """dh/dt at `(t, h)`, shape `(batch, height, width, channels)`."""
        w = {name: weight[...] for name, weight in self.weights.items()}
        ones = jnp.ones((1, *h.shape[1:3], 1), h.dtype)
        for index in (1, 2):
            h = jax.nn.relu(group_norm(h, w[f"norm{index}_scale"], w[f"norm{index}_bias"]))
            h = conv(h, w[f"conv{index}_kernel"]) + w[f"conv{index}_bias"]
            h = h + t * conv(ones, w[f"conv{index}_time"])
        return group_norm(h, w["norm3_scale"], w["norm3_bias"])
