r"""The residual units of He et al. 2016 (arXiv:1603.05027, fig. 4), with batch norm.

The five arrangements order the same operations differently. Three of them apply nothing to the
sum: $h_1 = h_0 + \tau F(h_0)$ is a step of explicit Euler, and the branch $F$ a vector field. They
are ReLU before addition (c), ReLU-only pre-activation (d), full pre-activation (e). The original
unit (a) and batch norm after addition (b) also transform the sum, so they are no step of any
method.
"""

from typing import ClassVar, Literal

import jax
from flax import nnx
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from odenet.arrays import After, Before, Time
from odenet.errors import ConfigError, located
from odenet.fields.arrangement import ORDER, Arrangement
from odenet.fields.base import ShapeChange, Transition, VectorField
from odenet.fields.branch import BranchConfig
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm, Padding, convolution, padding_of


class ResidualField(VectorField):
    """Weights, batch norms and ReLUs in a given order, on vectors or images.

    Weights have no bias. The field is autonomous. If widths and strides keep the shape of the
    state, it is a vector field.

    Args:
        widths: Channels before, between and after the weights.
        kernel_sizes: Side of the square kernels, one for each weight; None for vectors.
        order: Letters `W`, `B` and `R`, in the order of application.
        epsilon: Added to the variances of the batch norms.
        momentum: Weight of the batch in the update of the running statistics.
        init: Name of the initialiser of the weights.
        strides: One stride for each weight; default: 1.
        padding: Zero padding of images.
        rngs: Random keys.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        kernel_sizes: tuple[int, ...] | None,
        order: str,
        epsilon: float,
        momentum: float,
        init: InitialiserName = "he_fan_out",
        strides: tuple[int, ...] | None = None,
        padding: Padding = "symmetric",
        *,
        rngs: nnx.Rngs,
    ):
        self.order = order
        weights, norms, place = [], [], 0
        for letter in order:
            if letter == "W":
                stride = 1 if strides is None else strides[place]
                size = None if kernel_sizes is None else kernel_sizes[place]
                pair = widths[place], widths[place + 1]
                weights.append(_weight(*pair, size, stride, padding, init, rngs=rngs))
                place += 1
            elif letter == "B":
                norms.append(BatchNorm(widths[place], epsilon, momentum, rngs=rngs))
        self.weights, self.norms = nnx.List(weights), nnx.List(norms)

    def last_weights(self) -> list[nnx.Param]:
        """Factors of the branch: the scale of a final norm, else the last weight."""
        if self.order.rindex("B") > self.order.rindex("W"):
            return [self.norms[-1].scale]
        return [self.weights[-1].kernel]

    def __call__(self, t: Time, h: Before) -> After:
        """dh/dt at `h`, normalised by the running statistics."""
        del t
        return self._through(h, list(self.norms))

    def with_batch_statistics(self, t: Time, h: Before) -> After:
        """dh/dt at `h`, normalised by the batch statistics; updates the running ones."""
        del t
        return self._through(h, [norm.with_batch_statistics for norm in self.norms])

    def _through(self, x: Before, norms: list) -> After:
        weights, norms_left = iter(self.weights), enumerate(norms)
        for letter in self.order:
            if letter == "R":
                x = jax.nn.relu(x)
            elif letter == "W":
                x = next(weights)(x)
            else:
                index, norm = next(norms_left)
                with located(f"norm {index} of a residual branch"):
                    x = norm(x)
        return x


def _weight(
    inputs: int,
    outputs: int,
    kernel_size: int | None,
    stride: int,
    padding: Padding,
    init: InitialiserName,
    *,
    rngs: nnx.Rngs,
) -> nnx.Module:
    if kernel_size is None:
        initialiser = kernel_initialiser(init)
        return nnx.Linear(inputs, outputs, use_bias=False, kernel_init=initialiser, rngs=rngs)
    around = padding_of(padding, kernel_size)
    return convolution(
        inputs, outputs, kernel_size, stride, around, init=init, use_bias=False, rngs=rngs
    )


class ResidualFieldConfig(BranchConfig):
    """The residual units of He et al. 2016 with batch norm, on vectors or images."""

    transition_options: ClassVar[frozenset[str]] = frozenset({"widened_weight", "shared"})

    kind: Literal["residual"] = "residual"
    arrangement: Arrangement = "full_preactivation"
    """Order of weights, batch norm, ReLU and sum: (a) to (e) of fig. 4 of the paper. With (a),
    `original`, and (b), a layer is no Euler step."""
    unit: Literal["basic", "bottleneck"] = "basic"
    """`basic`: two weights of the state's width, 3x3 on images; `bottleneck`: 1x1, 3x3, 1x1 with
    fewer channels between them."""
    reduction: PositiveInt | None = None
    """Ratio of a bottleneck's outer to inner width; default: 4."""
    norm_epsilon: PositiveFloat = 1e-5
    """Added to the variances."""
    momentum: float = Field(default=0.1, gt=0, le=1)
    """Weight of the batch in the update of the running statistics."""
    init: InitialiserName = "he_fan_out"
    """Initialiser of the weights, by name; the code of the paper uses `he_fan_out`."""

    @model_validator(mode="after")
    def _nothing_ignored(self):
        if self.unit == "basic" and self.reduction is not None:
            raise ValueError("unit=basic would ignore reduction; remove it, or use bottleneck")
        if self.arrangement == "relu_before_addition" and self.last_init == "zero":
            raise ValueError(
                "last_init=zero with arrangement=relu_before_addition could not be trained: the "
                "input of the last ReLU would be 0, where its gradient is 0; use last_init=1/L, or "
                "another arrangement"
            )
        return self

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that does not fit the field."""
        if len(shape) not in (1, 3):
            raise ConfigError(
                f"field kind=residual acts on vectors (width,) and images (height, width, "
                f"channels); its block's state has shape {shape}"
            )
        if self.unit == "bottleneck" and shape[-1] % self._reduction:
            divisors = [n for n in range(2, shape[-1] + 1) if shape[-1] % n == 0]
            near = sorted(divisors, key=lambda n: abs(n - self._reduction))[:3]
            raise ConfigError(
                f"reduction must divide the width {shape[-1]}; got {self._reduction}; nearest: "
                f"{sorted(near)}"
            )

    @property
    def has_batch_norm(self) -> bool:
        """Whether the field has batch statistics: yes."""
        return True

    @property
    def sum_option(self) -> str:
        """The arrangement, which decides `acts_on_sum`."""
        return f"arrangement={self.arrangement}"

    def check_as_layer(self) -> None:
        """Refuse it as a feed-forward layer, which does not keep batch statistics."""
        super().check_as_layer()
        raise ValueError(
            "a feed-forward block does not support batch statistics; use field "
            "kind=conv with group norm, or kind=mlp"
        )

    @property
    def acts_on_sum(self) -> bool:
        """Whether a map is applied to the sum of state and branch, as in (a) and (b)."""
        return ORDER[self.arrangement].after > 0

    @property
    def _reduction(self) -> int:
        return self.reduction or 4

    @property
    def _kernel_sizes(self) -> tuple[int, ...]:
        return (3, 3) if self.unit == "basic" else (1, 3, 1)

    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> ResidualField:
        """Make the branch of one of `depth` layers for states of `shape`.

        Raises:
            ConfigError: if the field should depend on time.
        """
        if takes_time:
            raise ConfigError(
                "field kind=residual takes no time input; use weights.kind=per_layer or shared"
            )
        letters = self._letters[: -ORDER[self.arrangement].after or None]
        return self._part(letters, shape, shape[-1], rngs=rngs)

    def init_after(self, width: int, *, rngs: nnx.Rngs) -> ResidualField | None:
        """The map applied to the sum, for states of `width` channels; None in (c), (d), (e)."""
        after = ORDER[self.arrangement].after
        return self._norms_alone(self._letters[-after:], width, rngs=rngs) if after else None

    def init_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the parts of a unit from states of `shape` to states of `width` channels."""
        order = ORDER[self.arrangement]
        strides = [1] * len(self._kernel_sizes)
        if change.strided_weight >= len(strides):
            raise ConfigError(
                f"unit={self.unit} has {len(strides)} weights, so strided_weight="
                f"{change.strided_weight + 1} does not exist"
            )
        strides[change.strided_weight] = change.stride
        if change.widened_weight and self.unit != "basic":
            raise ConfigError(
                f"widened_weight is an option of basic units; in a unit={self.unit} all weights "
                f"change the width; remove it"
            )
        if change.widened_weight and change.width == change.shape[-1]:
            raise ConfigError(
                f"widened_weight would be ignored: the width remains {change.width}; remove it"
            )
        if not change.shared and not order.shared:
            raise ConfigError(
                f"shared=false would be ignored: with arrangement={self.arrangement} there is no "
                f"norm or activation before the first weight; remove it"
            )
        end, num_shared = len(self._letters) - order.after, order.shared if change.shared else 0
        letters, shared = self._letters[num_shared:end], self._letters[:num_shared]
        before = self._norms_alone(shared, change.shape[-1], rngs=rngs) if shared else None
        options = tuple(strides), change.padding
        first = change.shape[-1] if change.widened_weight else change.width
        branch = self._part(letters, change.shape, change.width, *options, first, rngs=rngs)
        return Transition(before, branch, self.init_after(change.width, rngs=rngs))

    @property
    def _letters(self) -> str:
        return ORDER[self.arrangement].each * len(self._kernel_sizes)

    def _norms_alone(self, letters: str, width: int, *, rngs: nnx.Rngs) -> ResidualField:
        return ResidualField(
            (width,), None, letters, self.norm_epsilon, self.momentum, self.init, rngs=rngs
        )

    def _part(
        self,
        letters: str,
        shape: tuple[int, ...],
        width: int,
        strides: tuple[int, ...] | None = None,
        padding: Padding = "symmetric",
        first: int | None = None,
        *,
        rngs: nnx.Rngs,
    ) -> ResidualField:
        between = (first or width,) if self.unit == "basic" else (width // self._reduction,) * 2
        return ResidualField(
            (shape[-1], *between, width),
            self._kernel_sizes if len(shape) == 3 else None,
            letters,
            self.norm_epsilon,
            self.momentum,
            self.init,
            strides,
            padding,
            rngs=rngs,
        )
