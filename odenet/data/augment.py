"""Normalisation of inputs, and random crops and flips of images, on the device."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key, Shaped
from pydantic import NonNegativeInt

from odenet.data.dataset import Normalization
from odenet.part import PartConfig

Augmentation = Callable[[Array, Array], Array]
"""A random transformation of a batch of training images, `(key, images) -> images`. It keeps their
shape, dtype and classes."""


class AugmentConfig(PartConfig):
    """Padding, random crop and random flip: the augmentation of He et al. 2015, sec. 4.2."""

    padding: NonNegativeInt = 4
    """Black pixels added on each side before the random crop to the original size."""
    flip: bool = True
    """Whether images are mirrored left to right with probability 1/2."""

    def build(self) -> Augmentation:
        """Build the augmentation, a pure function of a key and images."""

        def augment(
            key: Key[Array, ""], images: Shaped[Array, "batch height width channels"]
        ) -> Shaped[Array, "batch height width channels"]:
            return pad_crop_flip(key, images, self.padding, self.flip)

        return augment


def normalize(
    inputs: Shaped[Array | np.ndarray, "*lead last"], normalization: Normalization
) -> Float32[Array, "*lead last"]:
    r"""Normalise inputs: $(x - \mu) / \sigma$, for uint8 images $(x / 255 - \mu) / \sigma$.

    Args:
        inputs: uint8 images, or float32 images or vectors, with any number of leading axes.
        normalization: Mean and standard deviation along the last axis of `inputs`.
    """
    x = jnp.asarray(inputs, dtype=jnp.float32)
    if inputs.dtype == jnp.uint8:
        x = x / jnp.float32(255.0)
    lead = tuple(range(x.ndim - 1))
    mean = jnp.expand_dims(jnp.asarray(normalization.mean, dtype=jnp.float32), lead)
    std = jnp.expand_dims(jnp.asarray(normalization.std, dtype=jnp.float32), lead)
    return (x - mean) / std


def pad_crop_flip(
    key: Key[Array, ""],
    images: Shaped[Array, "batch height width channels"],
    padding: int,
    flip: bool,
) -> Shaped[Array, "batch height width channels"]:
    """Crop one random window from each padded image, and mirror it with probability 1/2.

    The window is uniform over the `(2 padding + 1)^2` positions, independently per image [1]. The
    border is black. [1] normalises first, so that its border has the mean colour.

    Args:
        key: Random key, used once.
        images: Images before normalisation.
        padding: Pixels on each side, at least 0.
        flip: Whether to mirror images.

    References:
        [1] He et al. 2015, arXiv:1512.03385, sec. 4.2.
    """
    batch, height, width, channels = images.shape
    key_offset, key_flip = jax.random.split(key)
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    offsets = jax.random.randint(key_offset, (batch, 2), 0, 2 * padding + 1, dtype=jnp.int32)

    def window(image: Array, offset: Array) -> Array:
        start = (offset[0], offset[1], jnp.int32(0))
        return jax.lax.dynamic_slice(image, start, (height, width, channels))

    cropped = jax.vmap(window)(padded, offsets)
    if not flip:
        return cropped
    mirrored = jax.random.bernoulli(key_flip, 0.5, (batch, 1, 1, 1))
    return jnp.where(mirrored, cropped[:, :, ::-1, :], cropped)
