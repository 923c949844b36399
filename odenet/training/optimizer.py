"""Optimisers and learning-rate schedules, with groups for step sizes and biases."""

import abc
from collections.abc import Collection
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from odenet.errors import ConfigError
from odenet.part import PartConfig
from odenet.training.freezing import TransferredConfig, frozen, frozen_until, without_frozen

Schedule = optax.Schedule


class LearningRateScheduleConfig(PartConfig, abc.ABC, family="schedule"):
    """Base of the configuration of every learning-rate schedule after the warm-up."""

    kind: str

    @abc.abstractmethod
    def build(self, num_steps: int) -> Schedule:
        """The factor of the learning rate as a function of the step, over `num_steps` steps."""


class ConstantScheduleConfig(LearningRateScheduleConfig):
    """A constant learning rate after the warm-up."""

    kind: Literal["constant"] = "constant"

    def build(self, num_steps: int) -> Schedule:
        """The factor of the learning rate as a function of the step, over `num_steps` steps."""
        del num_steps
        return optax.constant_schedule(1.0)


class CosineScheduleConfig(LearningRateScheduleConfig):
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter 2017, arXiv:1608.03983)."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(default=0.0, ge=0, le=1)
    """Factor at the last step."""

    def build(self, num_steps: int) -> Schedule:
        """The factor of the learning rate as a function of the step, over `num_steps` steps."""
        return optax.cosine_decay_schedule(1.0, max(num_steps, 1), alpha=self.final)


class StepScheduleConfig(LearningRateScheduleConfig):
    """Piecewise-constant factor: He et al. 2015 divide by 10 at 1/2 and 3/4 of the training."""

    kind: Literal["step"] = "step"
    at: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """Positions of the changes as fractions of the steps after the warm-up, increasing."""
    factor: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _increasing(self):
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"the positions `at` must increase; got {list(self.at)}")
        return self

    def build(self, num_steps: int) -> Schedule:
        """The factor of the learning rate as a function of the step, over `num_steps` steps."""
        boundaries: dict[int, float] = {}
        for point in self.at:
            step = round(point * num_steps)
            boundaries[step] = boundaries.get(step, 1.0) * self.factor
        return optax.piecewise_constant_schedule(1.0, boundaries)


class GroupConfig(PartConfig):
    """Differences between one group of parameters and the weights."""

    learning_rate_factor: NonNegativeFloat = 1.0
    """Factor on the learning rate of the group; 0 freezes it."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of the group."""


class OptimizerConfig(PartConfig, abc.ABC, family="optimizer"):
    """Base of the configuration of every optimiser: learning rate, groups, clipping, freezing."""

    kind: str
    learning_rate: PositiveFloat = Field(default=1e-3, allow_inf_nan=False)
    schedule: LearningRateScheduleConfig = ConstantScheduleConfig()
    """Decay of the learning rate after the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Steps over which the learning rate rises linearly from 0."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of the weights (kernels); biases and step sizes have their own."""
    step_sizes: GroupConfig | None = None
    """The learned step sizes `tau`; without it, the learning rate of the weights and no decay."""
    biases: GroupConfig | None = None
    """Biases and the scales of norms; without it, the settings of the step sizes."""
    only: Literal["step_sizes"] | None = None
    """`step_sizes` trains the learned step sizes alone: all other parameters keep every bit."""
    transferred: TransferredConfig | None = None
    """Settings of the parameters transferred from the run that `start` names, in every group;
    without it, those of new parameters."""
    gradient_clip: PositiveFloat | None = None
    """Largest global norm of the gradient; a longer one is scaled down to it."""

    @model_validator(mode="after")
    def _only_ignores_nothing(self):
        ignored = [
            name for name in ("weight_decay", "biases", "transferred") if getattr(self, name)
        ]
        if self.only is not None and ignored:
            raise ValueError(
                f"only=step_sizes would ignore {', '.join(ignored)}; remove the ignored options, "
                f"or remove only"
            )
        return self

    @abc.abstractmethod
    def transform(self, rate: Schedule, weight_decay: float) -> optax.GradientTransformation:
        """Make the optimiser of one group of parameters.

        Args:
            rate: The learning rate of the group, a function of the step.
            weight_decay: Weight decay of the group.
        """

    def learning_rate_at(self, num_steps: int) -> Schedule:
        """The learning rate of the weights as a function of the step.

        Raises:
            ConfigError: if the warm-up is as long as the training.
        """
        if self.warmup_steps >= num_steps:
            raise ConfigError(
                f"training.optimizer.warmup_steps must be less than training.num_steps="
                f"{num_steps}; got {self.warmup_steps}"
            )
        after = self.schedule.build(num_steps - self.warmup_steps)
        warmup = optax.linear_schedule(0.0, 1.0, self.warmup_steps)
        factor = optax.join_schedules([warmup, after], [self.warmup_steps])
        vector = np.full(1, self.learning_rate)  # an argument of the compiled step

        def rate(step):
            base = jax.lax.squeeze(jnp.asarray(vector, dtype=float), (0,))
            return jnp.asarray(base * jnp.asarray(factor(step), base.dtype), jnp.float32)

        return rate

    def build(
        self, num_steps: int, params: Any, transferred: Collection[str] = ()
    ) -> optax.GradientTransformation:
        """Make the optimiser of a training of `num_steps` steps for parameters like `params`.

        Args:
            num_steps: Number of steps.
            params: Nested dict of parameters by attribute name.
            transferred: Paths of the parameters that came from another run, such as
                `head/linear/kernel`.

        Raises:
            ConfigError: if there are options for step sizes but none is learned, or if the
                transferred parameters would stay frozen to the end.
        """
        labels = parameter_groups(params, transferred if self.transferred is not None else ())
        self._refuse_ignored(num_steps, set(jax.tree.leaves(labels)))
        rate = self.learning_rate_at(num_steps)
        groups = {"weights": GroupConfig(weight_decay=self.weight_decay)}
        groups |= {"step_sizes": self.step_sizes or GroupConfig()}
        groups |= {"biases": self.biases or GroupConfig()}
        parts: dict[Any, optax.GradientTransformation] = {
            name: self.transform(_scaled(rate, group.learning_rate_factor), group.weight_decay)
            for name, group in groups.items()
        }
        frozen_steps_of: dict[str, int] = {}
        if self.only is not None:
            frozen_steps_of = {name: num_steps for name in groups if name != self.only}
            parts |= {name: frozen() for name in frozen_steps_of}
        elif self.transferred is not None:
            for name, group in groups.items():
                parts[TRANSFERRED + name] = self._transferred(rate, group, self.transferred)
                frozen_steps_of[TRANSFERRED + name] = self.transferred.frozen_steps(num_steps)
        grouped = optax.partition(parts, labels)
        if self.gradient_clip is None:
            return grouped
        clipped = optax.chain(optax.clip_by_global_norm(self.gradient_clip), grouped)
        if not any(frozen_steps_of.values()):
            return clipped
        is_frozen = jax.tree.map(lambda label: label in frozen_steps_of, labels)
        return optax.chain(without_frozen(is_frozen, max(frozen_steps_of.values())), clipped)

    def _transferred(
        self, rate: Schedule, group: GroupConfig, transferred: TransferredConfig
    ) -> optax.GradientTransformation:
        factor = group.learning_rate_factor * transferred.learning_rate_factor
        if not transferred.learning_rate_factor:
            return frozen()
        wait = transferred.unfreeze_at or 0
        # A frozen part counts its own steps from 0, while the schedule advances.
        late = _scaled(lambda step: rate(step + wait), factor)
        transform = self.transform(late, group.weight_decay)
        return frozen_until(transform, wait) if wait else transform

    def _refuse_ignored(self, num_steps: int, present: set[str]) -> None:
        learned = any(label.endswith("step_sizes") for label in present)
        for name in ("step_sizes", "only"):
            if getattr(self, name) is not None and not learned:
                raise ConfigError(
                    f"training.optimizer.{name} would be ignored: no step size is learned; remove "
                    f"it, or set the block's step_sizes.kind=learned"
                )
        wait = 0 if self.transferred is None else self.transferred.unfreeze_at or 0
        if wait >= num_steps:
            raise ConfigError(
                f"training.optimizer.transferred.unfreeze_at must be less than training.num_steps="
                f"{num_steps}, else nothing is unfrozen; got {wait}; to freeze permanently, set "
                f"learning_rate_factor=0 instead"
            )


TRANSFERRED = "transferred_"
"""Prefix of the names of the groups whose parameters came from another run."""


def _scaled(rate: Schedule, factor: float) -> Schedule:
    return lambda step: rate(step) * jnp.float32(factor)


def parameter_groups(params: Any, transferred: Collection[str] = ()) -> Any:
    """The group of every parameter, as a tree of `weights`, `biases` and `step_sizes`.

    Args:
        params: Nested dict of parameters by attribute name. A parameter below `step_sizes` is a
            step size; one named `bias` or `scale` is a bias.
        transferred: Paths of the parameters in the groups `transferred_weights` and so on.
    """

    def group(path, _leaf):
        names = [str(getattr(entry, "key", entry)) for entry in path]
        origin = TRANSFERRED if "/".join(names) in transferred else ""
        if "step_sizes" in names:
            return origin + "step_sizes"
        return origin + ("biases" if names[-1] in ("bias", "scale") else "weights")

    return jax.tree_util.tree_map_with_path(group, params)


class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum; weight decay adds to the gradient (L2)."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_has_momentum(self):
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov would be ignored without momentum; set momentum above 0")
        return self

    def transform(self, rate: Schedule, weight_decay: float) -> optax.GradientTransformation:
        """Make the optimiser of one group of parameters."""
        decay = [optax.add_decayed_weights(weight_decay)] if weight_decay else []
        momentum = self.momentum or None
        return optax.chain(*decay, optax.sgd(rate, momentum, nesterov=self.nesterov))


class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    kind: Literal["adamw"] = "adamw"
    b1: float = Field(default=0.9, ge=0, lt=1)
    b2: float = Field(default=0.999, ge=0, lt=1)
    eps: PositiveFloat = 1e-8

    def transform(self, rate: Schedule, weight_decay: float) -> optax.GradientTransformation:
        """Make the optimiser of one group of parameters."""
        return optax.adamw(rate, self.b1, self.b2, self.eps, weight_decay=weight_decay)
