"""The published ResNet-20, built from the package's operations."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.weights import RESNET20_STAGES
from odenet.ops.conv import conv_general_dilated
from odenet.ops.norm import batch_norm

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_EPSILON = 1e-5  # torch's


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 1) -> jax.Array:
    """A convolution of NHWC images, padded by zeros on every side."""
    return conv_general_dilated(
        x, kernel, (stride, stride), ((padding, padding),) * 2, dimension_numbers=_LAYOUT
    )


def resnet20(
    weights: dict[str, jax.Array], x: jax.Array, blocks: int
) -> tuple[jax.Array, dict[str, Any]]:
    """ResNet-20 in training mode; returns logits and the new running statistics.

    Args:
        weights: Weights by name.
        x: Images.
        blocks: Number of blocks per stage; the published network has three.
    """
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
        for block in range(blocks):
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
