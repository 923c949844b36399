"""A torch side: the usual loop of zero_grad, backward and step over an `nn.Module`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.declaration import Arrays, Probe, Work
from benchmarks.layouts import from_torch, to_torch

Loss = Callable[[torch.nn.Module], tuple[torch.Tensor, torch.Tensor]]
"""`module -> (loss, outputs)`."""


def training(
    make_module: Callable[[], torch.nn.Module],
    loss: Loss,
    weights: Arrays,
    make_optimizer: Callable[[Any], torch.optim.Optimizer],
    facts: Callable[[torch.nn.Module], dict[str, Any]] | None = None,
) -> Work:
    """Steps of an optimiser on `loss`, always on the same batch.

    Args:
        make_module: Builds the network; its parameters have the names of `weights`.
        loss: Loss function; it holds the batch.
        weights: Initial weights, in odenet's layouts.
        make_optimizer: Builds the optimiser from the parameters.
        facts: Computes facts from the module, after its last step.
    """
    current: dict[str, Any] = {}

    def reset() -> None:
        module = make_module()
        _load(module, weights)
        module.train()
        current["module"], current["optimizer"] = module, make_optimizer(module.parameters())

    def step() -> None:
        current["optimizer"].zero_grad()
        value, _ = loss(current["module"])
        value.backward()
        current["optimizer"].step()

    def probe() -> Probe:
        reset()
        module = current["module"]
        value, outputs = loss(module)
        value.backward()
        grads = {name: parameter.grad for name, parameter in module.named_parameters()}
        gradients = from_torch(_on_host(grads), weights)
        reset()
        for _ in range(2):
            step()
        updated = from_torch(_on_host(current["module"].state_dict()), weights)
        found = {"loss": value.detach(), "outputs": outputs.detach()}
        return Probe(_on_host(found), gradients, updated)

    reset()
    return Work(step, reset, lambda: facts(current["module"]) if facts else {}, probe)


def classification(
    make_module: Callable[[], torch.nn.Module],
    inputs: torch.Tensor,
    labels: np.ndarray,
    weights: Arrays,
    learning_rate: float,
    facts: Callable[[torch.nn.Module], dict[str, Any]] | None = None,
) -> Work:
    """Steps of SGD with momentum on the cross entropy of a network's logits; see `training`."""
    targets = tensor(labels).long()

    def loss(module):
        logits = module(inputs)
        return functional.cross_entropy(logits, targets), logits

    def optimizer(parameters):
        return torch.optim.SGD(parameters, lr=learning_rate, momentum=0.9)

    return training(make_module, loss, weights, optimizer, facts)


def tensor(array: np.ndarray) -> torch.Tensor:
    """A copy of `array` as a tensor."""
    return torch.from_numpy(np.ascontiguousarray(array).copy())


def nchw(images: np.ndarray) -> torch.Tensor:
    """Images `(batch, height, width, channels)` in torch's layout, channels first."""
    return tensor(images.transpose(0, 3, 1, 2))


def _load(module: torch.nn.Module, weights: Arrays) -> None:
    state = {name: tensor(np.asarray(array)) for name, array in to_torch(weights).items()}
    found = module.to(next(iter(state.values())).dtype).load_state_dict(state, strict=False)
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise ValueError(f"weights do not fit: {missing=}, unexpected={found.unexpected_keys}")


def _on_host(tensors: dict[str, torch.Tensor]) -> Arrays:
    return {
        name: value.detach().numpy().copy()
        for name, value in tensors.items()
        if not name.endswith("num_batches_tracked")
    }
