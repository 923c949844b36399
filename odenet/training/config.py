"""The settings of a training: lengths and intervals."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from odenet.depth.schedules import DepthScheduleConfig
from odenet.errors import ConfigError
from odenet.part import PartConfig
from odenet.part.old_keys import warn_of_old_key
from odenet.training.monitor_config import MonitorConfig
from odenet.training.optimizer import OptimizerConfig, SGDConfig
from odenet.training.parallel import ParallelConfig

_MOST_STEPS_PER_DISPATCH = 64
_OLD_MONITORS = {"gradient_flow_every": "gradient_flow", "stability_every": "stability"}
"""Old keys, each the interval of a monitor, with the kind of that monitor."""


class TrainingConfig(PartConfig):
    """A training: its length, its batches and its intervals, all counted in steps."""

    renamed_values: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "batch_statistics": {"live": "training"}
    }

    num_steps: int = Field(default=1000, ge=1, lt=2**31)
    """Number of optimiser steps."""
    batch_size: PositiveInt = 128
    """Examples per step, over all devices."""
    optimizer: OptimizerConfig = SGDConfig()
    parallel: ParallelConfig = ParallelConfig()
    """Number of devices, and the distribution of a step over them."""
    log_every: PositiveInt = 10
    """Steps between two lines of training metrics."""
    evaluate_every: PositiveInt | None = None
    """Steps between two evaluations on the validation split; without it, a tenth of all steps
    (rounded to `log_every`)."""
    watch_test: bool = False
    """Whether the test split is evaluated too, whenever the validation split is, for curves of the
    test error as in publications; it selects nothing."""
    checkpoint_every: PositiveInt | None = None
    """Steps between two checkpoints; without it, the interval of the evaluations."""
    monitors: tuple[MonitorConfig, ...] = ()
    """Measurements while the network trains, each with its `every`: `gradient_flow`, the gradient
    at every layer; `stability`, the layers' eigenvalues against the stability region of the
    method. Each writes `{kind}.jsonl`."""
    keep_checkpoints: int = Field(default=2, ge=2)
    """Number of last checkpoints kept on disk."""
    steps_per_dispatch: PositiveInt | None = None
    """Steps per dispatch to the device, a common divisor of the other numbers of steps; without
    it, the largest one up to 64."""
    resident_bytes: NonNegativeInt = 512 * 2**20
    """A training split of up to this size is placed on the device once; a larger one is
    streamed."""
    batch_statistics: Literal["training", "frozen"] = "training"
    """Mode of batch norms while training. `training`: the statistics of each batch, which update
    the running ones. `frozen`: the running statistics of the start (fine-tuning); a frozen norm
    is an affine map, and any integrator may train."""
    depth_schedule: DepthScheduleConfig | None = None
    """Change of depth while the network trains: `multilevel` divides its layers at given steps,
    `pruning` removes layers of small `tau`. Weights, step sizes, statistics and moments are kept;
    the learning-rate schedule spans the whole training. Without it, the depth is constant."""
    average_statistics: PositiveInt | None = None
    """Number of training batches, without augmentation, over which the statistics of batch norms
    are averaged after the last step, with its weights; the last evaluation, the last checkpoint and
    the test results use them. Without it, running averages stay. A `best` checkpoint of an earlier
    step keeps the statistics of that step."""
    on_solver_failure: Literal["stop", "warn", "skip"] = "stop"
    """`stop` the run at the first solve that does not reach t1; `warn` and continue with the
    gradient at the last state of the solve; `skip` the update of that step, with a warning too.
    Failures are counted, and every line of metrics has their reason and position."""
    nfe_budget: PositiveInt | None = None
    """Largest `nfe` of one training step; a step that needs more counts as a failed solve and is
    handled by `on_solver_failure`. Without it, there is no limit."""

    @classmethod
    def upgraded(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Old keys of two monitors as `monitors`, and old values as new ones."""
        data = super().upgraded(data)
        old = [name for name in _OLD_MONITORS if name in data]
        if not old:
            return data
        data = dict(data)
        given: list[Any] = list(data.get("monitors") or ())
        for name in old:
            every, kind = data.pop(name), _OLD_MONITORS[name]
            if every is not None:
                new = f"training.monitors=[{{kind: {kind}, every: {every}}}]"
                warn_of_old_key(f"training.{name}={every}", new)
                given.append({"kind": kind, "every": every})
        return data | ({"monitors": given} if given else {})

    @model_validator(mode="after")
    def _monitors_differ(self):
        kinds = [monitor.kind for monitor in self.monitors]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(
                f"monitors write one file for each kind; got {twice[0]} more than once; keep one"
            )
        return self

    @model_validator(mode="after")
    def _dispatches_fit(self):
        common = self._common_divisor
        if self.steps_per_dispatch is not None and common % self.steps_per_dispatch:
            divisors = [n for n in range(1, common + 1) if common % n == 0]
            near = sorted(divisors, key=lambda n: abs(n - (self.steps_per_dispatch or 1)))[:3]
            raise ValueError(
                f"steps_per_dispatch must divide num_steps={self.num_steps}, log_every="
                f"{self.log_every}, evaluate_every={self.evaluation_interval}, "
                f"checkpoint_every={self.checkpoint_interval}, the steps of monitors and of "
                f"depth_schedule; got {self.steps_per_dispatch}; nearest: {sorted(near)}"
            )
        return self

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether batch norms use the statistics of each batch while training."""
        return self.batch_statistics == "training"

    @property
    def statistics_option(self) -> str | None:
        """The option that only batch norms use, as `key=value`, or None if it is not set."""
        if not self.uses_batch_statistics:
            return "batch_statistics=frozen"
        if self.average_statistics is not None:
            return f"average_statistics={self.average_statistics}"
        return None

    @model_validator(mode="after")
    def _frozen_statistics_stay(self):
        if self.average_statistics is not None and not self.uses_batch_statistics:
            raise ValueError(
                f"average_statistics={self.average_statistics} would change the statistics that "
                f"batch_statistics=frozen keeps; remove one of the two"
            )
        return self

    @model_validator(mode="after")
    def _schedule_is_reached(self):
        for name, steps in self._schedule_intervals.items():
            late = [step for step in steps if step >= self.num_steps]
            if late:
                raise ValueError(
                    f"depth_schedule.{name} must be less than num_steps={self.num_steps}, so that "
                    f"the changed network is trained; got {late[0]}"
                )
        return self

    @property
    def evaluation_interval(self) -> int:
        """Steps between two evaluations."""
        return self.evaluate_every or self._tenth()

    @property
    def checkpoint_interval(self) -> int:
        """Steps between two checkpoints."""
        return self.checkpoint_every or self.evaluation_interval

    def inspection_due(self, step: int) -> bool:
        """Whether callbacks inspect the state after this step."""
        return any(step % self.monitor_interval(monitor) == 0 for monitor in self.monitors)

    def monitor_interval(self, monitor: MonitorConfig) -> int:
        """Steps between two measurements of a monitor."""
        return monitor.every or self.evaluation_interval

    def _tenth(self) -> int:
        return max(self.num_steps // 10 // self.log_every, 1) * self.log_every

    @property
    def _schedule_intervals(self) -> dict[str, tuple[int, ...]]:
        return {} if self.depth_schedule is None else self.depth_schedule.intervals

    @property
    def _common_divisor(self) -> int:
        """Greatest common divisor of all intervals between dispatches."""
        return math.gcd(
            self.num_steps,
            self.log_every,
            self.evaluation_interval,
            self.checkpoint_interval,
            *map(self.monitor_interval, self.monitors),
            *(step for steps in self._schedule_intervals.values() for step in steps),
        )

    @property
    def dispatch_steps(self) -> int:
        """Steps per dispatch to the device."""
        if self.steps_per_dispatch is not None:
            return self.steps_per_dispatch
        common = self._common_divisor
        return max(n for n in range(1, _MOST_STEPS_PER_DISPATCH + 1) if common % n == 0)

    def check_data(self, num_examples: int) -> None:
        """Refuse batches, or numbers of batches to average, that exceed the training split.

        Raises:
            ConfigError: naming both numbers.
        """
        if self.batch_size > num_examples:
            raise ConfigError(
                f"training.batch_size must be at most the {num_examples} training examples; got "
                f"{self.batch_size}"
            )
        whole = num_examples // self.batch_size
        if self.average_statistics is not None and self.average_statistics > whole:
            raise ConfigError(
                f"training.average_statistics must be at most {whole}, the full batches of "
                f"{self.batch_size} in {num_examples} training examples; got "
                f"{self.average_statistics}"
            )
