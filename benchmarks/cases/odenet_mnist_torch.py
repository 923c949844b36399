"""The network of torchdiffeq's `examples/odenet_mnist.py`, with the modules of the example."""

import torch
from torch import nn
from torch.nn import functional
from torchdiffeq import odeint, odeint_adjoint

from benchmarks import weights
from benchmarks.declaration import Settings, Work
from benchmarks.torch_training import classification, nchw


class ConcatConv2d(nn.Conv2d):
    """A convolution with the time as an additional first channel."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs + 1, outputs, 3, 1, 1)

    def forward(self, t, x):
        """The convolution of `x` with a channel full of `t`."""
        tt = torch.ones_like(x[:, :1, :, :]) * t
        return super().forward(torch.cat([tt, x], 1))


class ODEFunc(nn.Module):
    """The field of the example."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(min(32, channels), channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv1 = ConcatConv2d(channels, channels)
        self.norm2 = nn.GroupNorm(min(32, channels), channels)
        self.conv2 = ConcatConv2d(channels, channels)
        self.norm3 = nn.GroupNorm(min(32, channels), channels)
        self.nfe = 0

    def forward(self, t, x):
        """dx/dt; counts the evaluation."""
        self.nfe += 1
        out = self.relu(self.norm1(x))
        out = self.relu(self.norm2(self.conv1(t, out)))
        return self.norm3(self.conv2(t, out))


class ODENet(nn.Module):
    """Stem, solve from 0 to 1, head."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 3, 1),
            nn.GroupNorm(32, 64),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 4, 2, 1),
            nn.GroupNorm(32, 64),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 64, 4, 2, 1),
        )
        self.field = ODEFunc(64)
        self.head_norm = nn.GroupNorm(32, 64)
        self.head = nn.Linear(64, 10)
        tolerance, steps = settings["tolerance"], settings["fixed_steps"]
        if steps:  # for the comparison of exact gradients; the adjoint equation has none
            self.solve = odeint
            self.options = {"method": "midpoint", "options": {"step_size": 1 / steps}}
        else:
            self.solve = odeint_adjoint if settings["adjoint"] else odeint
            self.options = {"rtol": tolerance, "atol": tolerance}
        self.forward_nfe = 0

    def forward(self, x):
        """Logits of a batch."""
        self.field.nfe = 0
        h = self.stem(x)
        times = torch.tensor([0, 1]).type_as(h)
        h = self.solve(self.field, h, times, **self.options)[1]
        self.forward_nfe = self.field.nfe
        return self.head(functional.relu(self.head_norm(h)).mean(dim=(2, 3)))


def build(settings: Settings, double: bool) -> Work:
    """The torchdiffeq side, its backward pass by backpropagation or by the adjoint equation."""
    side = settings["side"]
    inputs, labels = weights.images(settings["batch"], (side, side, 1), 10, double)
    start, rate = weights.odenet_mnist(double), settings["learning_rate"]

    def facts(module):
        return {"nfe": module.forward_nfe}

    return classification(lambda: ODENet(settings), nchw(inputs), labels, start, rate, facts)
