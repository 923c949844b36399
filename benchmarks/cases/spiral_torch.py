"""The training step of torchdiffeq's `examples/ode_demo.py`, by default without the adjoint."""

import torch
from torch import nn
from torchdiffeq import odeint

from benchmarks import weights
from benchmarks.declaration import Settings, Work
from benchmarks.torch_training import tensor, training


class ODEFunc(nn.Module):
    """The field of the demo, with a count of its evaluations."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 2))
        self.nfe = 0

    def forward(self, t, y):
        """dy/dt."""
        self.nfe += 1
        return self.net(y**3)


def build(settings: Settings, double: bool) -> Work:
    """The torchdiffeq side."""
    arrays = weights.spiral_batch(settings["batch"], settings["times"], double)
    start, ts, targets = (tensor(array) for array in arrays)
    rtol, atol = settings["rtol"], settings["atol"]

    def loss(module):
        module.nfe = 0
        path = odeint(module, start, ts, rtol=rtol, atol=atol)
        return torch.mean(torch.abs(path - targets)), path

    def optimizer(parameters):
        return torch.optim.RMSprop(parameters, lr=1e-3)

    def facts(module):
        return {"nfe": module.nfe}

    return training(ODEFunc, loss, weights.spiral(double), optimizer, facts)
