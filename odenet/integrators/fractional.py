"""Networks with memory: the Caputo derivative of order gamma in place of the first derivative."""

import dataclasses
import math
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from pydantic import Field as Option

from odenet.arrays import Array, Float, State, StepSizes, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators.base import Integration, Integrator, SolverStats
from odenet.integrators.config import IntegratorConfig
from odenet.integrators.equation import Equation, fractional
from odenet.integrators.gradient_methods import EXACT, by_remat
from odenet.integrators.path import path_through
from odenet.integrators.remat import scan_depth


def memory_coefficients(taus: StepSizes, gamma: float) -> Float[Array, "num_steps num_steps"]:
    r"""Weights of earlier increments in every step of the L1 scheme on unequal steps.

    $a_{nj} = \frac{\tau_n^\gamma}{\tau_j} \left[ (t_{n+1} - t_j)^{1-\gamma}
    - (t_{n+1} - t_{j+1})^{1-\gamma} \right]$ for $j < n$, else 0, with $t$ the grid's times; for
    equal steps, $(n + 1 - j)^{1-\gamma} - (n - j)^{1-\gamma}$ (Antil, Khatri, Löhner and Verma
    2020, arXiv:2004.00719; Antil, Díaz and Herberg 2022, arXiv:2204.08528).

    Args:
        taus: Step sizes, none negative. A step of size zero has weight 0 in all others, and the
            others have weight 0 in it.
        gamma: Order of the derivative, above 0 and at most 1.
    """
    times = DepthGrid(taus).times
    steps = jnp.arange(len(taus))
    # A step of size zero has no increment and no memory; its powers have no derivative.
    stands = taus == 0
    earlier = (steps[None, :] < steps[:, None]) & ~stands[None, :] & ~stands[:, None]
    taus = jnp.where(stands, 1, taus)
    # Time from the start of step j to the end of step n; the difference of two nearly equal powers
    # is written without cancellation.
    elapsed = jnp.where(earlier, times[1:, None] - times[None, :-1], 2 * taus[None, :])
    power = 1 - gamma
    fallen = -jnp.expm1(power * jnp.log1p(-taus[None, :] / elapsed))
    weights = (taus**gamma)[:, None] / taus[None, :] * elapsed**power * fallen
    return jnp.where(earlier, weights, jnp.zeros_like(weights))


def caputo_derivative(
    taus: StepSizes, path: Float[Array, "points *state"], gamma: float
) -> Float[Array, "num_steps *state"]:
    r"""The Caputo derivative of order `gamma` at the ends of all steps, by the L1 scheme.

    $D^\gamma h(t_{n+1}) \approx \frac{1}{\Gamma(2-\gamma)\,\tau_n^\gamma} \left[ d_n
    + \sum_{j<n} a_{nj} d_j \right]$ with the increments $d_j = h_{j+1} - h_j$ and $a$ as in
    `memory_coefficients`. Its error is of order $2 - \gamma$ for smooth $h$.

    Args:
        taus: Step sizes, all positive.
        path: States at all points of the grid.
        gamma: Order of the derivative, above 0 and at most 1.
    """
    increments = jnp.diff(path, axis=0)
    total = increments + jnp.tensordot(memory_coefficients(taus, gamma), increments, axes=1)
    scale = math.gamma(2 - gamma) * taus**gamma
    return total / scale.reshape(-1, *[1] * (path.ndim - 1))


def _power(tau: Time, gamma: float) -> Time:
    """`tau**gamma`, with derivative 0 at 0, where that of a power below 1 is infinite."""
    if gamma == 1:
        return tau
    stands = tau == 0
    return jnp.where(stands, jnp.zeros_like(tau), jnp.where(stands, 1, tau) ** gamma)


@dataclasses.dataclass(frozen=True)
class Fractional(Integrator):
    r"""The explicit L1 scheme for $D^\gamma h = f(t, h)$, with $D^\gamma$ the Caputo derivative.

    $h_{n+1} = h_n + \Gamma(2-\gamma)\,\tau_n^\gamma f(t_n, h_n)
    - \sum_{j<n} a_{nj} (h_{j+1} - h_j)$: every layer depends on all earlier ones of its block; with
    $\gamma = 1$ it is a residual network (Antil, Khatri, Löhner and Verma 2020, arXiv:2004.00719;
    with step sizes of their own in every layer, Antil, Díaz and Herberg 2022, arXiv:2204.08528).

    A step of size zero keeps the state. The derivative with respect to its `tau` is infinite for
    $\gamma < 1$, as that of $\tau^\gamma$ is, and is returned as 0; with $\gamma = 1$ it is `f`.

    A step costs one evaluation of the field and `num_steps` additions of states. The backward pass
    needs `num_steps` stored states, besides the storage of the field.

    Args:
        gamma: Order of the derivative, above 0 and at most 1.
        memory_gradient: Whether the gradient includes the dependence of the coefficients `a` on the
            step sizes. Without it, the gradient with respect to `tau` is not that of the network;
            the published program trains so.
        remat: Storage for the backward pass: all intermediate values of every field evaluation, or
            its state alone.
    """

    needs_positive_steps: ClassVar[bool] = True

    gamma: float
    memory_gradient: bool = True
    remat: Literal["none", "step"] = "none"

    @property
    def name(self) -> str:
        """Its kind in experiment files."""
        return "fractional"

    @property
    def equation(self) -> Equation:
        """The equation with this order of the derivative."""
        return fractional(self.gamma)

    def amplification(self, grid: DepthGrid) -> str:
        """A sentence why it has no amplification factor."""
        del grid
        return "a step depends on all earlier ones, and so is no matrix on the state"

    def over_grid(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Integrate `h0` over the whole grid, whose step sizes must not be negative."""
        assert not fields.uses_batch_statistics
        weights = memory_coefficients(grid.taus, self.gamma)
        if not self.memory_gradient:
            weights = jax.lax.stop_gradient(weights)

        # Every increment is added at once to the memory of later steps. The gradient then keeps
        # increments, not one history per step.
        def step(field, carry, t0, tau):
            h, remembered, index = carry
            evaluate = jax.checkpoint(field) if self.remat == "step" else field
            derivative = evaluate(t0, h)
            memory = jax.lax.dynamic_index_in_dim(remembered, index, keepdims=False)
            increment = math.gamma(2 - self.gamma) * _power(tau, self.gamma) * derivative - memory
            onto = jax.lax.dynamic_index_in_dim(weights, index, axis=1, keepdims=False)
            remembered = remembered + jnp.tensordot(onto, increment, axes=0)
            h = h + increment
            return (h, remembered, index + 1), h if save_path else None

        remembered = jnp.zeros((grid.num_steps, *h0.shape), h0.dtype)
        start = (h0, remembered, jnp.zeros((), jnp.int32))
        (h1, *_), states = scan_depth(step, start, fields, grid, "none")
        path = path_through(h0, states) if save_path else None
        return Integration(h1, path, SolverStats.of(grid.num_steps, grid.num_steps))


class FractionalConfig(IntegratorConfig):
    """A network with memory: the explicit L1 scheme for a Caputo derivative."""

    kind: Literal["fractional"] = "fractional"
    gamma: Annotated[float, Option(gt=0, le=1)] = 0.5
    """Order of the derivative; 1 is a residual network."""
    memory_gradient: bool = True
    """Whether the gradient includes the dependence of the memory coefficients on learned step
    sizes; `false` omits it, as the published program of Herberg, Herzog and Köhne does."""
    remat: Literal["none", "step"] = "none"
    """Storage for the backward pass: `none` keeps all intermediate values of every field
    evaluation, `step` its state alone; the rest is recomputed."""

    def ignored_option(self, *, learns_steps: bool) -> str | None:
        """Fixed step sizes have no gradient through the memory."""
        if self.memory_gradient or learns_steps:
            return None
        return (
            "memory_gradient=false would be ignored: the step sizes are fixed, so no gradient "
            "passes through the memory's coefficients; remove it"
        )

    def gradient_methods(self, *, is_step: bool, learns_steps: bool) -> dict[str, IntegratorConfig]:
        """Every value of `remat`, and the gradient without the memory's coefficients."""
        del is_step
        methods: dict[str, IntegratorConfig] = by_remat(self, ("none", "step"))
        if learns_steps:
            methods[EXACT] = methods[EXACT].model_copy(update={"memory_gradient": True})
            cut = {"remat": "none", "memory_gradient": False}
            methods["without the memory's coefficients"] = self.model_copy(update=cut)
        return methods

    def build(self) -> Fractional:
        """Make the integrator."""
        return Fractional(self.gamma, self.memory_gradient, self.remat)
