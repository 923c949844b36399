"""Initial weights and batches of all sides of a benchmark: only NumPy, with fixed seeds."""

from typing import Any

import numpy as np

from benchmarks.declaration import Arrays

RESNET20_STAGES = ((16, 1), (32, 2), (64, 2))
"""Channels of a stage, and the stride of its first convolution."""


class _Initialiser:
    """Initialises the weights of layers, with the variance of He et al. 2015 for ReLUs."""

    def __init__(self, seed: int, double: bool):
        self.rng = np.random.default_rng(seed)
        self.dtype = np.float64 if double else np.float32
        self.weights: Arrays = {}

    def conv(self, name: str, size: int, inputs: int, outputs: int, *, bias: bool = True) -> None:
        fan_in = size * size * inputs
        self.normal(f"{name}.kernel", (size, size, inputs, outputs), (2 / fan_in) ** 0.5)
        if bias:
            self.normal(f"{name}.bias", (outputs,), 0.05)

    def affine(self, name: str, inputs: int, outputs: int, std: float | None = None) -> None:
        self.normal(f"{name}.kernel", (inputs, outputs), std or inputs**-0.5)
        self.normal(f"{name}.bias", (outputs,), 0.05)

    def norm(self, name: str, channels: int, *, statistics: bool = False) -> None:
        self.weights[f"{name}.scale"] = self.rng.uniform(0.8, 1.2, channels).astype(self.dtype)
        self.normal(f"{name}.bias", (channels,), 0.05)
        if statistics:
            self.weights[f"{name}.mean"] = np.zeros(channels, self.dtype)
            self.weights[f"{name}.var"] = np.ones(channels, self.dtype)

    def normal(self, name: str, shape: tuple[int, ...], std: float) -> None:
        self.weights[name] = (std * self.rng.normal(size=shape)).astype(self.dtype)


def images(batch: int, shape: tuple[int, int, int], classes: int, double: bool) -> Any:
    """Normal images `(batch, height, width, channels)` and labels, int32."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(batch, *shape)).astype(np.float64 if double else np.float32)
    return inputs, rng.integers(0, classes, batch, dtype=np.int32)


def resnet20(double: bool, blocks: int = 3) -> Arrays:
    """ResNet-20 for CIFAR-10 (He et al. 2015, arXiv:1512.03385, sec. 4.2, option A)."""
    draw = _Initialiser(0, double)
    draw.conv("stem", 3, 3, 16, bias=False)
    draw.norm("stem_norm", 16, statistics=True)
    inputs = 16
    for stage, (channels, _) in enumerate(RESNET20_STAGES):
        for block in range(blocks):
            name = f"stages.{stage}.{block}"
            draw.conv(f"{name}.conv1", 3, inputs, channels, bias=False)
            draw.norm(f"{name}.norm1", channels, statistics=True)
            draw.conv(f"{name}.conv2", 3, channels, channels, bias=False)
            draw.norm(f"{name}.norm2", channels, statistics=True)
            inputs = channels
    draw.affine("head", 64, 10)
    return draw.weights


def odenet_mnist(double: bool) -> Arrays:
    """The network of torchdiffeq's `examples/odenet_mnist.py`, 64 channels."""
    draw = _Initialiser(0, double)
    draw.conv("stem.0", 3, 1, 64)
    draw.norm("stem.1", 64)
    draw.conv("stem.3", 4, 64, 64)
    draw.norm("stem.4", 64)
    draw.conv("stem.6", 4, 64, 64)
    for index in (1, 2):
        draw.norm(f"field.norm{index}", 64)
        # The initialisation of torch for 65 inputs, the first of which is the time.
        std = (1 / (3 * 9 * 65)) ** 0.5
        draw.normal(f"field.conv{index}.kernel", (3, 3, 64, 64), std)
        draw.normal(f"field.conv{index}.time", (3, 3, 1, 64), std)
        draw.normal(f"field.conv{index}.bias", (64,), std)
    draw.norm("field.norm3", 64)
    draw.norm("head_norm", 64)
    draw.affine("head", 64, 10)
    return draw.weights


def spiral(double: bool) -> Arrays:
    """The network of torchdiffeq's `examples/ode_demo.py`: N(0, 0.1^2), zero biases."""
    draw = _Initialiser(0, double)
    for name, inputs, outputs in (("net.0", 2, 50), ("net.2", 50, 2)):
        draw.normal(f"{name}.kernel", (inputs, outputs), 0.1)
        draw.weights[f"{name}.bias"] = np.zeros(outputs, draw.dtype)
    return draw.weights


def spiral_batch(batch: int, times: int, double: bool) -> Any:
    """Windows of the demo's true orbit, `dy/dt = A^T y^3` at 1000 times in [0, 25].

    Returns:
        Initial states `(batch, 2)`, times `(times,)` from 0, and targets `(times, batch, 2)`.
    """
    dtype = np.float64 if double else np.float32
    matrix = np.array([[-0.1, 2.0], [-2.0, -0.1]])
    ts = np.linspace(0.0, 25.0, 1000)
    orbit, y, substeps = [np.array([2.0, 0.0])], np.array([2.0, 0.0]), 10
    tau = (ts[1] - ts[0]) / substeps
    for _ in range((len(ts) - 1) * substeps):
        k1 = (y**3) @ matrix
        k2 = ((y + tau / 2 * k1) ** 3) @ matrix
        k3 = ((y + tau / 2 * k2) ** 3) @ matrix
        k4 = ((y + tau * k3) ** 3) @ matrix
        y = y + tau / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        orbit.append(y)
    path = np.stack(orbit[::substeps])
    starts = np.random.default_rng(1).choice(len(ts) - times, batch, replace=False)
    targets = np.stack([path[starts + i] for i in range(times)])
    return path[starts].astype(dtype), ts[:times].astype(dtype), targets.astype(dtype)


def euler_mlp(layers: int, width: int, double: bool) -> Arrays:
    """A residual network `h + tau tanh(W h + b)` with a `tau` per layer, and an affine head."""
    draw = _Initialiser(0, double)
    for layer in range(layers):
        draw.affine(f"layers.{layer}", width, width)
        draw.weights[f"layers.{layer}.tau"] = np.asarray(1 / layers * (1 + layer % 3), draw.dtype)
    draw.affine("head", width, 10)
    return draw.weights


def vectors(batch: int, width: int, classes: int, double: bool) -> Any:
    """Normal vectors `(batch, width)` and labels, int32."""
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(batch, width)).astype(np.float64 if double else np.float32)
    return inputs, rng.integers(0, classes, batch, dtype=np.int32)


def mlp_field(width: int, hidden: int, double: bool) -> Arrays:
    """A vector field `W2 tanh(W1 h + b1) + b2`."""
    draw = _Initialiser(0, double)
    draw.affine("affine.0", width, hidden)
    draw.affine("affine.1", hidden, width)
    return draw.weights
