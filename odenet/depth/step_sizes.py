"""The step sizes `tau` of a block: fixed, or learned in one of four parametrisations.

A residual layer is one explicit Euler step, `h + tau * f(t, h)`, so there is one `tau` for every
step of the grid. `taus()` is differentiable; what is learned is stored unconstrained.
"""

import abc
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from odenet.arrays import Scalar, StepSizes
from odenet.part import PartConfig

Sharing = Literal["shared", "per_layer"]
Parametrisation = Literal["free", "positive", "simplex", "remainder"]
KEEP_SUM: frozenset[Parametrisation] = frozenset({"simplex", "remainder"})
"""Under these, the step sizes sum to the horizon whatever is learned."""


class FixedStepSizes(nnx.Module):
    """Step sizes that are not learned.

    Args:
        values: One finite step size per step, in order.
    """

    def __init__(self, values: tuple[float, ...]):
        self.values = values

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the default float type."""
        return jnp.asarray(self.values, dtype=float)

    def penalty(self) -> Scalar:
        """Zero: nothing is learned."""
        return jnp.zeros((), dtype=float)


class LearnedStepSizes(nnx.Module):
    r"""Step sizes that are learned, `tau = g(raw)` with `raw` a parameter of any real value.

    * `free`: $\tau_k = r_k$, any sign (Antil, Díaz and Herberg 2022, arXiv:2204.08528);
    * `positive`: $\tau_k = \log(1 + e^{r_k})$;
    * `simplex`: $\tau_k = T\,e^{r_k} / \sum_j e^{r_j}$, so that $\sum_k \tau_k = T$ exactly;
    * `remainder`: $\tau_k = r_k$ but for the last, $\tau_N = T - \sum_{k<N} r_k$, any sign.
      Gradients see that the last depends on all others, $\partial\tau_N / \partial r_k = -1$ (the
      constraint of Herberg, Herzog and Köhne 2023, inside of the gradient, not after the step).

    All start at `horizon / num_steps`. The penalty is
    $c_T (\sum\tau - T)^2 + c_1 \sum|\tau| + c_2 \sum\tau^2$
    (Herberg, Herzog and Köhne 2023, arXiv:2306.16111).

    Args:
        num_steps: Number of steps, at least 1.
        horizon: `T`, the length of the depth axis at the start, positive.
        sharing: `shared` learns one number for all steps, `per_layer` one for every step.
        parametrisation: `free`, `positive`, `simplex` or `remainder`.
        penalties: The weights `(c_T, c_1, c_2)`, each at least 0.
    """

    def __init__(
        self,
        num_steps: int,
        horizon: float,
        sharing: Sharing,
        parametrisation: Parametrisation,
        penalties: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ):
        self.num_steps = num_steps
        self.horizon = horizon
        self.parametrisation = parametrisation
        self.penalties = penalties
        tau = horizon / num_steps
        start = {"positive": _inverse_softplus(tau), "simplex": 0.0}.get(parametrisation, tau)
        learned = num_steps - (parametrisation == "remainder")
        shape = () if sharing == "shared" else (learned,)
        self.raw = nnx.Param(jnp.full(shape, start, dtype=jnp.float32))

    def taus(self) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the type of the parameter."""
        if self.parametrisation == "remainder":
            raw = self.raw[...]
            return jnp.concatenate([raw, (self.horizon - jnp.sum(raw))[None]])
        raw = jnp.broadcast_to(self.raw[...], (self.num_steps,))
        if self.parametrisation == "positive":
            return jax.nn.softplus(raw)
        if self.parametrisation == "simplex":
            return jax.nn.softmax(raw) * self.horizon
        return raw

    def penalty(self) -> Scalar:
        """The weighted sum of the three penalties, a scalar."""
        taus = self.taus()
        to_horizon, l1, l2 = self.penalties
        return (
            to_horizon * (jnp.sum(taus) - self.horizon) ** 2
            + l1 * jnp.sum(jnp.abs(taus))
            + l2 * jnp.sum(taus**2)
        )


def _inverse_softplus(y: float) -> float:
    return y + math.log(-math.expm1(-y))


class StepSizesConfig(PartConfig, abc.ABC, family="step_sizes"):
    """Base of the configuration of every choice of step sizes."""

    kind: str

    @property
    @abc.abstractmethod
    def stays_positive(self) -> bool:
        """Whether every step size is above 0 whatever is learned."""

    @abc.abstractmethod
    def build(self, num_steps: int) -> FixedStepSizes | LearnedStepSizes:
        """Make the step sizes of a block of `num_steps` steps.

        Raises:
            ValueError: if the number of steps does not fit.
        """


class FixedStepSizesConfig(StepSizesConfig):
    """Fixed step sizes, by one value, by a list, or by the horizon that they share equally."""

    kind: Literal["fixed"] = "fixed"
    tau: float | None = Field(default=None, allow_inf_nan=False)
    """One step size for every step; 1 makes each step the residual layer of He et al. 2015."""
    taus: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = None
    """A step size for every step, in order."""
    horizon: PositiveFloat | None = Field(default=None, allow_inf_nan=False)
    """Length of the depth axis, split equally."""

    @model_validator(mode="after")
    def _one_rule(self):
        given = [name for name in ("tau", "taus", "horizon") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"fixed step sizes follow from one of tau, taus and horizon; got {given}; keep one"
            )
        return self

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0."""
        return all(tau > 0 for tau in self.taus or (1.0 if self.tau is None else self.tau,))

    def build(self, num_steps: int) -> FixedStepSizes:
        """Make the step sizes of a block of `num_steps` steps; without options, `tau` is 1."""
        if self.taus is not None:
            if len(self.taus) != num_steps:
                raise ValueError(
                    f"taus needs one value per step: num_steps is {num_steps}, "
                    f"got {len(self.taus)} values"
                )
            return FixedStepSizes(self.taus)
        if self.horizon is not None:
            return FixedStepSizes((self.horizon / num_steps,) * num_steps)
        return FixedStepSizes((1.0 if self.tau is None else self.tau,) * num_steps)


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
    """`per_layer` learns one tau for every step (a residual layer is one step), `shared` one."""
    parametrisation: Parametrisation = "free"
    """`free`: any real number; `positive`: softplus; `simplex`: positive with a fixed sum;
    `remainder`: any real numbers, of which the last makes up a fixed sum."""
    horizon: PositiveFloat | None = Field(default=None, allow_inf_nan=False)
    """Length of the depth axis at the start (and for `simplex` and `remainder` always); without it,
    `num_steps`, so that every tau starts at 1."""
    penalty: PenaltyConfig = PenaltyConfig()

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if self.keeps_sum and self.sharing == "shared":
            raise ValueError(
                f"{self.parametrisation} fixes the sum of the step sizes, so one shared tau could "
                f"not be learned; use sharing=per_layer, or parametrisation=positive"
            )
        if self.keeps_sum and self.penalty.horizon:
            raise ValueError(
                f"{self.parametrisation} keeps the horizon exactly, so penalty.horizon would be "
                f"ignored; remove it, or use parametrisation=positive"
            )
        return self

    @property
    def keeps_sum(self) -> bool:
        """Whether the step sizes sum to the horizon whatever is learned."""
        return self.parametrisation in KEEP_SUM

    @property
    def stays_positive(self) -> bool:
        """Whether every step size is above 0 whatever is learned."""
        return self.parametrisation in ("positive", "simplex")

    def build(self, num_steps: int) -> LearnedStepSizes:
        """Make the step sizes of a block of `num_steps` steps.

        Raises:
            ValueError: if there is one step, which `remainder` would not learn.
        """
        if self.parametrisation == "remainder" and num_steps == 1:
            raise ValueError(
                "remainder learns all step sizes but the last, and there is one; use "
                "parametrisation=positive or free, or step_sizes.kind=fixed"
            )
        return LearnedStepSizes(
            num_steps,
            float(num_steps) if self.horizon is None else self.horizon,
            self.sharing,
            self.parametrisation,
            (self.penalty.horizon, self.penalty.l1, self.penalty.l2),
        )
