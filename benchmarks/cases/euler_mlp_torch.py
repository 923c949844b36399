"""A residual network with learned step sizes, one module per layer."""

import torch
from torch import nn

from benchmarks import weights
from benchmarks.declaration import Settings, Work
from benchmarks.torch_training import classification, tensor


class Layer(nn.Linear):
    """`h + tau tanh(W h + b)`."""

    def __init__(self, width: int):
        super().__init__(width, width)
        self.tau = nn.Parameter(torch.tensor(1.0))

    def forward(self, h):
        """The state after the layer."""
        return h + self.tau * torch.tanh(super().forward(h))


class ResNet(nn.Module):
    """Layers and an affine head."""

    def __init__(self, layers: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(*[Layer(width) for _ in range(layers)])
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        """Logits of a batch."""
        return self.head(self.layers(x))


def build(settings: Settings, double: bool) -> Work:
    """The torch side."""
    layers, width = settings["layers"], settings["width"]
    inputs, labels = weights.vectors(settings["batch"], width, 10, double)
    start = weights.euler_mlp(layers, width, double)
    return classification(lambda: ResNet(layers, width), tensor(inputs), labels, start, 0.1)
