"""Parts of every kind that `docs/own_part.md` does not walk through, as a user would write them."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from odenet import (
    AbstractStepSizes,
    DepthScheduleConfig,
    FieldStack,
    LearningRateScheduleConfig,
    Loss,
    MonitorConfig,
    ObjectiveConfig,
    OptimizerConfig,
    PathIntegralConfig,
    Projection,
    ProjectionConfig,
    StepSizesConfig,
    WeightsConfig,
)


class SquaredLabels(Loss):
    def __call__(self, outputs, targets):
        error = jnp.square(outputs - jax.nn.one_hot(targets, outputs.shape[-1])).sum(-1)
        return {"loss": error, "largest": jnp.abs(outputs).max(-1)}


class SquaredLabelsConfig(ObjectiveConfig):
    """The squared distance of the outputs from one-hot labels."""

    kind: Literal["squared_labels"] = "squared_labels"
    fits = frozenset({"logits"})

    def build(self):
        return SquaredLabels()


class SizeConfig(PathIntegralConfig):
    """The integral of |h|^2."""

    kind: Literal["size"] = "size"

    @property
    def name(self):
        return "size"

    def build(self):
        return lambda field, t, h, probe: jnp.sum(jnp.square(h), axis=tuple(range(1, h.ndim)))


class FirstPixelsConfig(ProjectionConfig):
    """The first components of the flattened state."""

    kind: Literal["first_pixels"] = "first_pixels"

    def build(self, shape, width, *, rngs):
        return Projection(FirstPixels(width), (width,))


class FirstPixels(nnx.Module):
    def __init__(self, width):
        self.width = width

    def __call__(self, h):
        return h.reshape(len(h), -1)[:, : self.width]


class DecreasingStepSizes(AbstractStepSizes):
    def __init__(self, num_steps):
        self.log_first = nnx.Param(jnp.zeros(()))
        self.num_steps = num_steps

    def taus(self):
        return jnp.exp(self.log_first[...]) / jnp.arange(1, self.num_steps + 1)


class DecreasingConfig(StepSizesConfig):
    """tau / n in step n, with tau above 0 and learned."""

    kind: Literal["decreasing"] = "decreasing"
    is_learned = True

    @property
    def stays_positive(self):
        return True

    def build(self, num_steps):
        return DecreasingStepSizes(num_steps)


class OneSetConfig(WeightsConfig):
    """One set of weights."""

    kind: Literal["one_set"] = "one_set"

    def num_sets(self, num_steps):
        return 1

    def build(self, make_field, num_steps, *, rngs):
        return FieldStack(make_field, 1, False, rngs=rngs)


@dataclasses.dataclass(frozen=True)
class Norm:
    value: float

    def plain(self):
        return {"norm": self.value}


class NormMonitorConfig(MonitorConfig):
    """The norm of all parameters."""

    kind: Literal["norm"] = "norm"

    def build(self, experiment):
        return lambda params, statistics: Norm(float(optax.global_norm(params)))


class DivideOnceConfig(DepthScheduleConfig):
    """Twice as many layers after a step."""

    kind: Literal["divide_once"] = "divide_once"
    step: int

    @property
    def intervals(self):
        return {"step": (self.step,)}

    def due(self, step):
        return step == self.step

    def check(self, network):
        return network.refined(2, "constant").network

    def apply(self, network):
        return network.refined(2, "constant")


class SignsConfig(OptimizerConfig):
    """Steps of the size of the learning rate in every parameter."""

    kind: Literal["signs"] = "signs"

    def transform(self, rate, weight_decay):
        return optax.sign_sgd(rate)


class LateConfig(LearningRateScheduleConfig):
    """No learning before a step."""

    kind: Literal["late"] = "late"
    begin: int = 2

    def build(self, num_steps):
        return lambda step: jnp.where(step < self.begin, 0.0, 1.0)
