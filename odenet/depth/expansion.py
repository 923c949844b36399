"""Weights as functions of depth: basis expansions, for any number of steps."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import Array, Scalar
from odenet.depth.basis import Basis, BasisName
from odenet.depth.grid import DepthGrid
from odenet.depth.refine import Prolongation, refined_cells
from odenet.depth.weights import (
    FieldStack,
    LayerFields,
    MakeField,
    PerLayerWeightsConfig,
    init_stacked,
)
from odenet.depth.weights_config import MovedWeights, WeightsConfig
from odenet.errors import ConfigError


class FieldExpansion(nnx.Module):
    r"""A vector field whose weights are $\theta(t) = \sum_k \beta_k\,\phi_k(t / T)$.

    `T` is the horizon of the grid: the weights are a function of relative depth, independent of the
    number of steps and of the solver. All weights of the field are expanded: kernels, biases and
    scales.

    Running batch statistics are expanded in hat functions on as many knots, for every basis of the
    weights, so that a variance cannot become negative between knots. A training step of `N` steps
    updates the statistics of a knot by the mean of the batch statistics of the steps near it,
    weighted by its hat function.

    With `piecewise_linear`, every knot is initialised independently. With the other bases, the
    coefficient of the first, constant, function is initialised and all others are 0: the weights
    do not depend on depth at initialisation.

    Args:
        make_field: Initialises one field.
        basis: The functions of the depth.
        rngs: Random keys.
    """

    def __init__(self, make_field: MakeField, basis: Basis, *, rngs: nnx.Rngs):
        self.basis = basis
        self.num_layers = 1
        self.stacked = init_stacked(make_field, basis.size, False, rngs=rngs)
        if basis.kind != "piecewise_linear":
            params = nnx.state(self.stacked, nnx.Param)
            nnx.update(self.stacked, jax.tree.map(lambda leaf: leaf.at[1:].set(0), params))

    @property
    def needs_positive_steps(self) -> bool:
        """Whether every step size must be above 0: yes, weights are functions on [0, 1]."""
        return True

    @property
    def are_functions(self) -> bool:
        """Whether the weights are functions of depth: yes."""
        return True

    @property
    def has_batch_statistics(self) -> bool:
        """Whether the field has batch statistics."""
        return self.stacked.has_training_mode

    @property
    def _knots(self) -> Basis:
        return Basis("piecewise_linear", self.basis.size)

    def over(self, grid: DepthGrid, *, training: bool = False) -> LayerFields:
        """The field at every depth of `grid`, in functional form.

        Args:
            grid: The depth axis that the weights are functions of.
            training: Whether batch norms use the statistics of the batch, if the field has any.
        """
        graphdef, coefficients, statistics = nnx.split(self.stacked, nnx.Param, ...)

        def at(params, t) -> tuple[Any, Any]:
            coefficients, statistics, horizon = params
            s = t / horizon.astype(t.dtype)
            return _combined(coefficients, self.basis, s), _combined(statistics, self._knots, s)

        def apply(params, *where):
            *start, t, h = where
            return nnx.merge(graphdef, *at(params, t))(t, h, *start)

        def with_batch_statistics(params, t, h):
            weights, running = at(params, t)

            def normalised(running):
                field = nnx.merge(graphdef, weights, running, copy=True)
                value = field.with_batch_statistics(t, h)
                return nnx.state(field, nnx.BatchStat), value

            # Running statistics become (1 - m) * running + m * batch. At running = 0 the value is
            # m * batch, and the derivative 1 - m.
            zeros, ones = (jax.tree.map(like, running) for like in (jnp.zeros_like, jnp.ones_like))
            new, kept, value = jax.jvp(normalised, (zeros,), (ones,), has_aux=True)
            return value, (t / params[2].astype(t.dtype), new, kept)

        lead = jax.tree.map(lambda leaf: leaf[None], (coefficients, statistics, grid.horizon))
        if training and self.has_batch_statistics:
            return LayerFields(
                with_batch_statistics, lead, 1, uses_batch_statistics=True, collect=self._collected
            )
        return LayerFields(apply, lead, 1, takes_start=self.stacked.takes_start)

    def _collected(self, statistics: Any) -> Any:
        """Statistics at the knots after a training step, from the batch statistics of all steps."""
        s, new, kept = jax.tree.map(lambda leaf: leaf[0], statistics)
        hats = self._knots(s)
        fractions = hats / jnp.sum(hats, axis=1, keepdims=True)
        running = nnx.state(self.stacked, nnx.BatchStat)

        def moved(running, new, kept):
            return kept[:1] * running + jnp.tensordot(fractions.astype(new.dtype), new, axes=1)

        return jax.tree.map(moved, running, new, kept)

    def penalty(self, grid: DepthGrid) -> Scalar:
        """Zero: the smoothness of the weights follows from the basis."""
        del grid
        return jnp.zeros((), dtype=float)

    def of_layers(self, grid: DepthGrid) -> Any:
        """Weights and running statistics at the starts of all steps, leading axis `num_steps`."""
        return self.at_steps(grid).params

    def at_steps(self, grid: DepthGrid) -> LayerFields:
        """The fields at the starts of all steps of `grid`, one set of weights for each step.

        Explicit Euler evaluates exactly these fields; they make the network a stack of layers.
        """
        graphdef, coefficients, statistics = nnx.split(self.stacked, nnx.Param, ...)
        s = grid.times[:-1] / grid.horizon
        weights = _combined(coefficients, self.basis, s)
        running = _combined(statistics, self._knots, s)

        def apply(params, t, h):
            return nnx.merge(graphdef, params)(t, h)

        return LayerFields(apply, nnx.merge_state(weights, running), grid.num_steps)


def _combined(coefficients: Any, basis: Basis, s: Array) -> Any:
    """Values at the depths `s` of the functions with these coefficients."""
    values = jnp.moveaxis(basis(s), 0, -1)
    return jax.tree.map(
        lambda leaf: jnp.tensordot(values.astype(leaf.dtype), leaf, axes=1), coefficients
    )


class BasisWeightsConfig(WeightsConfig):
    """Weights that are functions of depth, with a few coefficients for any number of steps."""

    kind: Literal["basis"] = "basis"
    basis: BasisName = "piecewise_linear"
    """The basis: `piecewise_constant` cells (as `per_layer` with `num_layers`), `piecewise_linear`
    hat functions, `legendre` or `chebyshev` polynomials, or `fourier` (periodic)."""
    num_basis: PositiveInt = 4
    """Number of basis functions, equal to the number of stored sets of weights."""

    @property
    def is_smooth(self) -> bool:
        """Whether the weights vary continuously with depth, not piecewise constant."""
        return self.basis != "piecewise_constant"

    @model_validator(mode="after")
    def _enough(self):
        if self.basis == "piecewise_linear" and self.num_basis < 2:
            raise ValueError(
                f"basis=piecewise_linear needs a knot at both ends, so num_basis is at least 2; "
                f"got {self.num_basis}; for weights constant in depth use weights.kind=shared"
            )
        return self

    @property
    def are_functions(self) -> bool:
        """Whether the weights vary continuously with depth, not piecewise constant."""
        return self.is_smooth

    @property
    def counts_functions(self) -> bool:
        """Whether the number of sets is a number of basis functions: yes."""
        return True

    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights on the grid: the number of cells, or 1."""
        del num_steps
        return 1 if self.is_smooth else self.num_basis

    def num_functions(self, num_steps: int) -> int:
        """Number of basis functions of the weights."""
        del num_steps
        return self.num_basis

    def refined(self, num_steps: int, new: int, prolongation: Prolongation) -> MovedWeights:
        """The number of cells changes in proportion to the steps; smooth bases do not change."""
        if not self.is_smooth:
            number, move = refined_cells(self.num_basis, num_steps, new, prolongation)
            return MovedWeights(self.model_copy(update={"num_basis": number}), move)
        stays = super().refined(num_steps, new, prolongation)
        if self.num_basis > new:
            raise ConfigError(
                f"{new} steps evaluate the weights at {new} depths, fewer than the "
                f"{self.num_basis} basis functions; change weights.num_basis too"
            )
        return stays

    def depth_functions(self, num_steps: int) -> Basis:
        """The basis functions."""
        del num_steps
        return Basis(self.basis, self.num_basis)

    def in_basis(self, basis: Basis, num_steps: int) -> "BasisWeightsConfig":
        """The options with another basis, or another number of basis functions."""
        del num_steps
        return BasisWeightsConfig(basis=basis.kind, num_basis=basis.size)

    def build(
        self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs
    ) -> FieldStack | FieldExpansion:
        """Make the expansion.

        Raises:
            ConfigError: if there are fewer steps than basis functions.
        """
        if self.num_basis > num_steps:
            raise ConfigError(
                f"{num_steps} steps evaluate the weights at {num_steps} depths, so "
                f"weights.num_basis is at most {num_steps}; got {self.num_basis}"
            )
        if self.basis == "piecewise_constant":
            cells = PerLayerWeightsConfig(num_layers=self.num_basis)
            return cells.build(make_field, num_steps, rngs=rngs)
        return FieldExpansion(make_field, Basis(self.basis, self.num_basis), rngs=rngs)
