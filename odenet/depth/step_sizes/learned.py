"""Learned step sizes, as functions of unconstrained parameters."""

from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from odenet.arrays import Int, Scalar, StepSizes
from odenet.depth.refine import Transfer, refined_taus, step_matrix
from odenet.depth.step_sizes.base import (
    AbstractStepSizes,
    MovedStepSizes,
    StepSizeParams,
    StepSizesConfig,
)
from odenet.depth.step_sizes.parametrisation import (
    PARAMETRISATIONS,
    Parametrisation,
    ParametrisationName,
)
from odenet.errors import ConfigError
from odenet.part import PartConfig

Sharing = Literal["shared", "per_layer"]


class LearnedStepSizes(AbstractStepSizes):
    r"""Learned step sizes `tau = g(raw)`, with an unconstrained parameter `raw`.

    All step sizes start at `horizon / num_steps`. The penalty is
    $c_T (\sum\tau - T)^2 + c_1 \sum|\tau| + c_2 \sum\tau^2$
    (Herberg, Herzog and Köhne 2023, arXiv:2306.16111).

    Args:
        parametrisation: The map `g`, with the number of steps and the horizon `T`.
        penalties: The weights `(c_T, c_1, c_2)`, each at least 0.
    """

    def __init__(
        self,
        parametrisation: Parametrisation,
        penalties: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ):
        self.parametrisation = parametrisation
        self.penalties = penalties
        self.raw = nnx.Param(
            jnp.full(parametrisation.shape, parametrisation.start, dtype=jnp.float32)
        )

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the type of the parameter."""
        return self.parametrisation.forward(jnp.asarray(self.raw[...]))

    def penalty(self) -> Scalar:
        """The weighted sum of the three penalties, a scalar."""
        taus = self.taus()
        to_horizon, l1, l2 = self.penalties
        return (
            to_horizon * (jnp.sum(taus) - self.parametrisation.horizon) ** 2
            + l1 * jnp.sum(jnp.abs(taus))
            + l2 * jnp.sum(taus**2)
        )


def step_size_transfer(sizes: LearnedStepSizes, num_steps: int) -> tuple[np.ndarray, Transfer]:
    r"""The parameters of learned step sizes on another grid, and the transfer of their moments.

    Step sizes are transferred by `step_matrix`, $\tau' = M \tau$. The Jacobian of the new by the
    old parameters is $J'^+ M J$, with $J$ and $J'$ the Jacobians of the two parametrisations; the
    pseudoinverse gives the smallest change of parameters for a change of step sizes.

    Args:
        sizes: The learned step sizes.
        num_steps: The new number of steps.

    Returns:
        The new parameters, and the Jacobian as a transfer.
    """
    here = sizes.parametrisation
    there = type(here)(num_steps, here.horizon, here.shared)
    raw = there.inverse(refined_taus(np.asarray(sizes.taus()), num_steps))
    moved = step_matrix(here.num_steps, num_steps) @ here.jacobian(np.asarray(sizes.raw[...]))
    return raw, Transfer(np.linalg.pinv(there.jacobian(raw)) @ moved)


class PenaltyConfig(PartConfig):
    """Weights of the penalties on learned step sizes (Herberg, Herzog and Köhne 2023)."""

    horizon: NonNegativeFloat = 0.0
    """Weight of `(sum(taus) - horizon)^2`."""
    l1: NonNegativeFloat = 0.0
    """Weight of `sum(|taus|)`."""
    l2: NonNegativeFloat = 0.0
    """Weight of `sum(taus^2)`."""


class LearnedStepSizesConfig(StepSizesConfig):
    """Learned step sizes."""

    kind: Literal["learned"] = "learned"
    sharing: Sharing = "per_layer"
    """`per_layer` learns one tau for every step (a residual layer is one step), `shared` a single
    tau for all steps."""
    parametrisation: ParametrisationName = "free"
    """`free`: any real number; `positive`: softplus; `simplex`: positive with a fixed sum;
    `remainder`: any real numbers with a fixed sum, which determines the last."""
    horizon: PositiveFloat | None = Field(default=None, allow_inf_nan=False)
    """Length of the depth axis at the start (for `simplex` and `remainder` always); default:
    `num_steps`, so that every tau starts at 1."""
    penalty: PenaltyConfig = PenaltyConfig()

    is_learned: ClassVar[bool] = True
    """Whether training changes the step sizes."""

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if self.keeps_sum and self.sharing == "shared":
            raise ValueError(
                f"{self.parametrisation} fixes the sum of the step sizes, so a shared tau would "
                f"not be learned; use sharing=per_layer, or parametrisation=positive"
            )
        if self.keeps_sum and self.penalty.horizon:
            raise ValueError(
                f"{self.parametrisation} keeps the horizon exactly, so penalty.horizon would be "
                f"ignored; remove it, or use parametrisation=positive"
            )
        return self

    @property
    def _class(self) -> type[Parametrisation]:
        return PARAMETRISATIONS[self.parametrisation]

    @property
    def rule(self) -> str:
        """Name of the parametrisation."""
        return self.parametrisation

    @property
    def keeps_sum(self) -> bool:
        """Whether the step sizes sum to the horizon for all parameters."""
        return self._class.keeps_sum

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0 for all parameters."""
        return self._class.stays_positive

    @property
    def least_steps(self) -> int:
        """The smallest number of steps with a learned step size."""
        return 1 + self._class.num_dependent

    @property
    def kept_whole(self) -> str | None:
        """The reason why layers cannot be pruned by step size, or None if they can."""
        return "one step size serves all of its layers" if self.sharing == "shared" else None

    def start_horizon(self, num_steps: int) -> float:
        """The sum of the step sizes before training."""
        return float(num_steps) if self.horizon is None else self.horizon

    def build(self, num_steps: int) -> LearnedStepSizes:
        """Make the step sizes of a block of `num_steps` steps.

        Raises:
            ValueError: if `num_steps` is 1 with `remainder`, which would not learn it.
        """
        if num_steps < self.least_steps:
            raise ValueError(
                f"{self.rule} learns all step sizes except the last, and there is only one; use "
                f"parametrisation=positive or free, or step_sizes.kind=fixed"
            )
        return LearnedStepSizes(
            self._class(num_steps, self.start_horizon(num_steps), self.sharing == "shared"),
            (self.penalty.horizon, self.penalty.l1, self.penalty.l2),
        )

    def with_params(self, num_steps: int, params: StepSizeParams) -> LearnedStepSizes:
        """The step sizes at given parameters; without parameters, the initial step sizes."""
        sizes = self.build(num_steps)
        if params:
            sizes.raw[...] = jnp.asarray(params["raw"])
        return sizes

    def moved(self, num_steps: int, new: int, params: StepSizeParams) -> MovedStepSizes:
        """The same depth axis with another number of steps; moments follow by the chain rule."""
        raw, move = step_size_transfer(self.with_params(num_steps, params), new)
        config = self.model_copy(update={"horizon": self.start_horizon(num_steps)})
        return MovedStepSizes(config, {"raw": raw}, {"raw": move})

    def divided(self, num_units: int) -> tuple["LearnedStepSizesConfig", "LearnedStepSizesConfig"]:
        """Options for the first unit, and for the others."""
        if self.keeps_sum:
            raise ValueError(
                f"{self.rule} keeps the sum of a block's step sizes, but the first unit of a stage "
                f"is a separate layer; use parametrisation=positive with penalty.horizon"
            )
        if self.horizon is None:
            return self, self
        each = self.horizon / num_units
        first, others = (
            self.model_copy(update={"horizon": part}) for part in (each, self.horizon - each)
        )
        return first, others

    def pruned(self, num_steps: int, kept: tuple[float, ...]) -> "LearnedStepSizesConfig":
        """Options after layers were removed.

        The target of a horizon penalty is unchanged; a fixed sum becomes the sum of the remaining
        step sizes.
        """
        horizon = float(sum(kept)) if self.keeps_sum else self.start_horizon(num_steps)
        return self.model_copy(update={"horizon": horizon})

    def pruned_leaf(self, leaf: np.ndarray, kept: Int[np.ndarray, " kept"]) -> np.ndarray:
        """A parameter, or a moment of it, after layers were removed."""
        before = self._class(len(leaf) + self._class.num_dependent, 1.0)
        return before.pruned(leaf, kept)

    def check_start(self, trained: StepSizesConfig, steps: tuple[int, int]) -> None:
        """Refuse to start from parameters that give other step sizes under these options."""
        if not trained.is_learned:
            return
        if trained.rule != self.rule:
            raise ConfigError(
                f"the learned step sizes are {trained.rule} there and {self.rule} here, so the "
                f"same parameters would give other step sizes; set step_sizes.parametrisation="
                f"{trained.rule}"
            )
        horizons = trained.start_horizon(steps[0]), self.start_horizon(steps[1])
        if trained.keeps_sum and horizons[0] != horizons[1]:
            raise ConfigError(
                f"{trained.rule} step sizes sum to {horizons[0]} there and to {horizons[1]} here; "
                f"set step_sizes.horizon={horizons[0]}"
            )
