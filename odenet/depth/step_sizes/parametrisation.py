r"""Parametrisations: maps from unconstrained parameters `raw` to step sizes, and their inverses.

* `free`: $\tau_k = r_k$, any sign (Antil, Díaz and Herberg 2022, arXiv:2204.08528);
* `positive`: $\tau_k = \log(1 + e^{r_k})$;
* `simplex`: $\tau_k = T\,e^{r_k} / \sum_j e^{r_j}$, so that $\sum_k \tau_k = T$ exactly;
* `remainder`: $\tau_k = r_k$ for $k < N$, and $\tau_N = T - \sum_{k<N} r_k$, any sign. The gradient
  includes $\partial\tau_N / \partial r_k = -1$: the constraint of Herberg, Herzog and Köhne 2023 is
  part of the gradient, not enforced after the step.
"""

import abc
import dataclasses
import math
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from odenet.arrays import Array, Float, Int, StepSizes

ParametrisationName = Literal["free", "positive", "simplex", "remainder"]


@dataclasses.dataclass(frozen=True)
class Parametrisation(abc.ABC):
    """The map from parameters to the step sizes of one block.

    Args:
        num_steps: Number of steps, at least `least_steps`.
        horizon: `T`, the initial sum of the step sizes, positive.
        shared: Whether all steps share one parameter.
    """

    num_steps: int
    horizon: float
    shared: bool = False

    keeps_sum: ClassVar[bool] = False
    """Whether the step sizes sum to the horizon for all parameters."""
    stays_positive: ClassVar[bool] = False
    """Whether every step size is above 0 for all parameters."""
    num_dependent: ClassVar[int] = 0
    """Number of final step sizes that follow from the others and have no parameter."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return () if self.shared else (self.num_steps - self.num_dependent,)

    @property
    def start(self) -> float:
        """The initial value of every parameter: all step sizes are equal and sum to `T`."""
        return self.horizon / self.num_steps

    def forward(self, raw: Float[Array, "*shape"]) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the type of the parameters."""
        return self._forward(jnp.broadcast_to(raw, (self.num_steps,)))

    def inverse(self, taus: Float[np.ndarray, " num_steps"]) -> Float[np.ndarray, "*shape"]:
        """Parameters of given step sizes, which must be in the range of `forward`."""
        raw = self._inverse(np.asarray(taus, np.float64))
        return raw[:1].reshape(()) if self.shared else raw

    def jacobian(self, raw: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "num_steps learned"]:
        """The derivative of the step sizes with respect to the parameters, in double precision."""
        with jax.enable_x64(True):
            found = jax.jacfwd(self.forward)(jnp.asarray(np.asarray(raw, np.float64)))
            return np.asarray(found).reshape(self.num_steps, -1)

    def pruned(self, leaf: np.ndarray, kept: Int[np.ndarray, " kept"]) -> np.ndarray:
        """A per-step parameter, or a moment of it, restricted to the remaining steps.

        With `keeps_sum`, the remaining step sizes are unchanged if the horizon becomes their sum.

        Args:
            leaf: The array of all steps.
            kept: Indices of the remaining steps, increasing.
        """
        return leaf[kept[: len(kept) - self.num_dependent]]

    @abc.abstractmethod
    def _forward(self, raw: Float[Array, " learned"]) -> StepSizes: ...

    @abc.abstractmethod
    def _inverse(self, taus: np.ndarray) -> np.ndarray: ...


class Free(Parametrisation):
    """Step sizes equal to the parameters, of any sign."""

    def _forward(self, raw: Float[Array, " learned"]) -> StepSizes:
        return raw

    def _inverse(self, taus: np.ndarray) -> np.ndarray:
        return taus


class Positive(Parametrisation):
    """The softplus of the parameters."""

    stays_positive = True

    @property
    def start(self) -> float:
        """The inverse softplus of the equal step size."""
        tau = self.horizon / self.num_steps
        return tau + math.log(-math.expm1(-tau))

    def _forward(self, raw: Float[Array, " learned"]) -> StepSizes:
        return jax.nn.softplus(raw)

    def _inverse(self, taus: np.ndarray) -> np.ndarray:
        return taus + np.log(-np.expm1(-taus))


class Simplex(Parametrisation):
    """The softmax of the parameters, times the horizon."""

    keeps_sum = True
    stays_positive = True

    @property
    def start(self) -> float:
        """Zero; all equal numbers give equal step sizes."""
        return 0.0

    def _forward(self, raw: Float[Array, " learned"]) -> StepSizes:
        return jax.nn.softmax(raw) * self.horizon

    def _inverse(self, taus: np.ndarray) -> np.ndarray:
        return np.log(taus / self.horizon)


class Remainder(Parametrisation):
    """All step sizes except the last are parameters; the last is the remainder of the horizon."""

    keeps_sum = True
    num_dependent = 1

    def forward(self, raw: Float[Array, " learned"]) -> StepSizes:
        """The step sizes, shape `(num_steps,)`, in the type of the parameters."""
        return self._forward(raw)

    def _forward(self, raw: Float[Array, " learned"]) -> StepSizes:
        return jnp.concatenate([raw, (self.horizon - jnp.sum(raw))[None]])

    def _inverse(self, taus: np.ndarray) -> np.ndarray:
        return taus[:-1]


PARAMETRISATIONS: dict[ParametrisationName, type[Parametrisation]] = {
    "free": Free,
    "positive": Positive,
    "simplex": Simplex,
    "remainder": Remainder,
}
