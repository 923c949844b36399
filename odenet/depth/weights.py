"""Weights over depth: the parameters of every layer.

The parameters of all layers are stacked along a leading axis, so that integrators scan over them;
`fields()` returns them in functional form.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import NonNegativeFloat, PositiveInt

from odenet.arrays import Key, Scalar
from odenet.depth.basis import Basis
from odenet.depth.grid import DepthGrid
from odenet.depth.layer import Layer, checked_layer
from odenet.depth.layer_fields import LayerFields as LayerFields
from odenet.depth.refine import Prolongation, refined_cells
from odenet.depth.weights_config import MakeField, MovedWeights, WeightsConfig
from odenet.errors import ConfigError


def init_stacked(
    make_field: MakeField,
    num_sets: int,
    takes_time: bool,
    initialise: Literal["each", "once"] = "each",
    *,
    rngs: nnx.Rngs,
) -> Layer:
    """One field whose arrays have a leading axis `num_sets`.

    Args:
        make_field: Initialises one field.
        num_sets: Number of sets of weights.
        takes_time: Whether the field has weights for the time `t`.
        initialise: Whether each set is initialised by its own key, or all by the same.
        rngs: Random keys.
    """
    keys = jax.random.split(rngs.params(), 1 if initialise == "once" else num_sets)
    keys = jnp.broadcast_to(keys, (num_sets,))

    @jax.jit
    def init(keys: Key[jax.Array, " sets"]):
        def one(key):
            return nnx.split(checked_layer(make_field(takes_time, nnx.Rngs(key))))

        return jax.vmap(lambda key: one(key)[1])(keys)

    abstract = nnx.eval_shape(lambda key: make_field(takes_time, nnx.Rngs(key)), keys[0])
    return nnx.merge(nnx.graphdef(abstract), init(keys))


class FieldStack(nnx.Module):
    """A vector field with one set of parameters per layer, stacked along axis 0.

    Args:
        make_field: Initialises one field.
        num_layers: Number of sets of weights.
        takes_time: Whether the field has weights for the time `t`.
        smoothness: Weight of the penalty on change over depth.
        initialise: Whether each layer is initialised by its own key, or all by the same.
        rngs: Random keys; every layer uses its own split.
    """

    def __init__(
        self,
        make_field: MakeField,
        num_layers: int,
        takes_time: bool,
        smoothness: float = 0.0,
        initialise: Literal["each", "once"] = "each",
        *,
        rngs: nnx.Rngs,
    ):
        self.num_layers = num_layers
        self.smoothness = smoothness
        self.stacked = init_stacked(make_field, num_layers, takes_time, initialise, rngs=rngs)
        self.stacked.number_layers(num_layers)

    @property
    def needs_positive_steps(self) -> bool:
        """Whether every step size must be above 0: no, weights belong to the index of a step."""
        return False

    @property
    def are_functions(self) -> bool:
        """Whether the weights are functions of depth: no, every layer has its own set."""
        return False

    @property
    def has_batch_statistics(self) -> bool:
        """Whether the field has batch statistics."""
        return self.stacked.has_training_mode

    def fields(self, *, training: bool = False) -> LayerFields:
        """The fields of all layers in functional form.

        Args:
            training: Whether batch norms use the statistics of the batch, if the field has any.
        """
        graphdef, state = nnx.split(self.stacked)
        takes_start = self.stacked.takes_start

        def with_batch_statistics(params, t, h):
            field = nnx.merge(graphdef, params, copy=True)  # only the statistics of the copy change
            value = field.with_batch_statistics(t, h)
            return value, nnx.state(field, nnx.BatchStat)

        if training and self.has_batch_statistics:
            return LayerFields(
                with_batch_statistics, state, self.num_layers, uses_batch_statistics=True
            )

        def apply(params, *at):
            *start, t, h = at
            return nnx.merge(graphdef, params)(t, h, *start)

        if not self.stacked.prepares:
            return LayerFields(apply, state, self.num_layers, takes_start=takes_start)

        def prepare(params, h):
            return params, nnx.merge(graphdef, params).prepare(h)

        def evaluate(prepared, *at):
            (params, constants), (*start, t, h) = prepared, at
            return nnx.merge(graphdef, params).evaluate(constants, t, h, *start)

        return LayerFields(evaluate, state, self.num_layers, prepare, takes_start=takes_start)

    def penalty(self, grid: DepthGrid) -> Scalar:
        r"""$\frac{\alpha}{2} \sum_j h_j \|(\theta_{j+1} - \theta_j) / h_j\|^2$, a scalar.

        With $\alpha$ the smoothness, it is $\frac{\alpha}{2} \int \|\dot\theta\|^2 dt$ of weights
        that are linear between the layers; $h_j$ is the time from the start of one set of weights
        to the start of the next (Haber and Ruthotto 2017, arXiv:1705.03341, sec. 5). Biases and
        scales are included.

        Args:
            grid: The block's own grid; all steps must be above 0.
        """
        if not self.smoothness:
            return jnp.zeros((), dtype=float)
        h = grid.per_layer().taus[:-1]
        changes = (
            jnp.sum(jnp.diff(leaf, axis=0) ** 2, axis=range(1, leaf.ndim)).astype(h.dtype)
            for leaf in jax.tree.leaves(nnx.state(self.stacked, nnx.Param))
        )
        return self.smoothness / 2 * jnp.sum(sum(changes) / h)

    def of_layers(self, grid: DepthGrid | None = None) -> Any:
        """Weights and running statistics of all layers, a tree with leading axis `num_layers`."""
        del grid
        return nnx.state(self.stacked, (nnx.Param, nnx.BatchStat))

    def at_steps(self, grid: DepthGrid) -> LayerFields:
        """The fields at the starts of the steps of `grid`: the fields of the layers."""
        return self.over(grid)

    def over(self, grid: DepthGrid, *, training: bool = False) -> LayerFields:
        """The fields of the layers of `grid`: all, or a regular subset (see `restrict`).

        Args:
            grid: The depth axis; its number of layers divides the number of these layers.
            training: Whether batch norms use the statistics of the batch, if the field has any.
        """
        return self.fields(training=training).restrict(grid.num_layers)


class SharedWeightsConfig(WeightsConfig):
    """One set of weights at every depth, without a time input: the field is autonomous."""

    kind: Literal["shared"] = "shared"

    @property
    def serves_any_steps(self) -> bool:
        """Whether the same weights serve any number of steps: yes."""
        return True

    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights: 1."""
        del num_steps
        return 1

    def build(self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs) -> FieldStack:
        """Make the stack; `num_layers` is 1 for any `num_steps`."""
        del num_steps
        return FieldStack(make_field, 1, False, rngs=rngs)


class SharedWithTimeWeightsConfig(WeightsConfig):
    """One set of weights at every depth, with time as an input (Chen et al. 2018)."""

    kind: Literal["shared_with_time"] = "shared_with_time"

    @property
    def serves_any_steps(self) -> bool:
        """Whether the same weights serve any number of steps: yes."""
        return True

    @property
    def takes_time(self) -> bool:
        """Whether the field has weights for the time: yes."""
        return True

    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights: 1."""
        del num_steps
        return 1

    def build(self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs) -> FieldStack:
        """Make the stack; `num_layers` is 1 for any `num_steps`."""
        del num_steps
        return FieldStack(make_field, 1, True, rngs=rngs)


class PerLayerWeightsConfig(WeightsConfig):
    """A set of weights for every layer: piecewise constant in time, as in a residual network."""

    renamed_keys: ClassVar[Mapping[str, str]] = {"draw": "initialise"}

    kind: Literal["per_layer"] = "per_layer"
    num_layers: PositiveInt | None = None
    """Number of sets of weights, a divisor of the block's `num_steps`; default: `num_steps`."""
    smoothness: NonNegativeFloat = 0.0
    """Weight `alpha` of a penalty on change over depth, `alpha / 2` times the integral of
    `|d theta / dt|^2` (Haber and Ruthotto 2017); step sizes must stay above 0."""

    initialise: Literal["each", "once"] = "each"
    """`each` layer is initialised by its own key; with `once`, all layers are equal at
    initialisation, so the initial function of depth does not depend on the number of layers."""

    @property
    def penalises_change(self) -> bool:
        """Whether the objective penalises the change of the weights over depth."""
        return self.smoothness > 0

    def num_sets(self, num_steps: int) -> int:
        """Number of sets of weights."""
        return self.num_layers or num_steps

    def one_per_step(self, num_steps: int) -> bool:
        """Whether every step has weights of its own."""
        return self.num_sets(num_steps) == num_steps

    def refined(self, num_steps: int, new: int, prolongation: Prolongation) -> MovedWeights:
        """The number of layers changes in proportion to the steps."""
        number, move = refined_cells(self.num_sets(num_steps), num_steps, new, prolongation)
        changed = self if self.num_layers is None else self._with_layers(number)
        return MovedWeights(changed, move)

    def depth_functions(self, num_steps: int) -> Basis:
        """The indicator functions of the layers."""
        return Basis("piecewise_constant", self.num_sets(num_steps))

    def in_basis(self, basis: Basis, num_steps: int) -> "PerLayerWeightsConfig | None":
        """The options with `basis.size` layers, or None if the basis is not piecewise constant.

        A smoothness penalty is preserved only by piecewise-constant bases.
        """
        if basis.kind != "piecewise_constant":
            return None
        return self._with_layers(None if basis.size == num_steps else basis.size)

    def pruned(self) -> "PerLayerWeightsConfig":
        """Options after layers were removed: one layer for every step."""
        return self._with_layers(None)

    def _with_layers(self, num_layers: int | None) -> "PerLayerWeightsConfig":
        return self.model_copy(update={"num_layers": num_layers})

    def build(self, make_field: MakeField, num_steps: int, *, rngs: nnx.Rngs) -> FieldStack:
        """Make the stack of `num_layers` sets.

        Raises:
            ConfigError: if `num_layers` does not divide `num_steps`.
        """
        num_layers = self.num_sets(num_steps)
        if num_steps % num_layers:
            divisors = [n for n in range(1, num_steps + 1) if num_steps % n == 0]
            near = sorted(divisors, key=lambda n: abs(n - num_layers))[:3]
            raise ConfigError(
                f"weights.num_layers must divide num_steps={num_steps}; got {num_layers}; "
                f"nearest: {sorted(near)}"
            )
        return FieldStack(
            make_field, num_layers, False, self.smoothness, self.initialise, rngs=rngs
        )
