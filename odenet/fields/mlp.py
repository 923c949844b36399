"""Multilayer-perceptron fields on vectors, including the simplified residual layer."""

import itertools
from typing import ClassVar, Literal

from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import After, Before, Time
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName, activation, require_small_start
from odenet.fields.base import ShapeChange, TimeWeight, Transition, VectorField, require_rank
from odenet.fields.branch import BranchConfig
from odenet.fields.initialisers import InitialiserName, kernel_initialiser

Form = Literal["inside", "outside", "between"]


class MLPField(VectorField):
    r"""$f(t, h)$ composed of affine maps $A_i x = W_i x + v_i t + b_i$ and an activation $\sigma$.

    * `inside`: $\sigma A_n \cdots \sigma A_1 h$; with one map it is the simplified residual layer
      $\sigma(W h + b)$ (Haber and Ruthotto 2017, arXiv:1705.03341, eq. 2.1);
    * `outside`: $A_n \sigma \cdots A_1 \sigma h$, the weight outside the activation;
    * `between`: $A_n \sigma \cdots \sigma A_1 h$, the usual field of neural ODEs (Chen et al.
      2018, arXiv:1806.07366, sec. 5).

    Args:
        widths: Widths before, between and after the affine maps; for a vector field, the first
            equals the last.
        form: Position of the activation.
        activation_name: Name of the activation.
        takes_time: Whether every affine map has weights `v_i` for the time.
        init: Name of the initialiser of the weights.
        rngs: Random keys.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        form: Form,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        pairs = list(itertools.pairwise(widths))
        self.form = form
        self.activation_name: ActivationName = activation_name
        initialiser = kernel_initialiser(init)
        self.affine = nnx.List(
            [nnx.Linear(i, o, kernel_init=initialiser, rngs=rngs) for i, o in pairs]
        )
        self.time = nnx.List(
            [TimeWeight((o,), i + 1, init, rngs=rngs) for i, o in pairs] if takes_time else []
        )

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the last affine map."""
        return [layer.kernel for layer in (self.affine[-1], *self.time[-1:])]

    def __call__(self, t: Time, h: Before) -> After:
        """dh/dt at `(t, h)`, shape `(batch, width)`."""
        sigma = activation(self.activation_name)
        last = len(self.affine) - 1
        x = h
        for index, affine in enumerate(self.affine):
            if self.form == "outside":
                x = sigma(x)
            x = affine(x)
            if self.time:
                x = x + (t * self.time[index].kernel[...]).astype(x.dtype)[None, :]
            if self.form == "inside" or (self.form == "between" and index < last):
                x = sigma(x)
        return x


class MLPFieldConfig(BranchConfig):
    """A multilayer-perceptron field on vectors."""

    is_map: ClassVar[bool] = True

    kind: Literal["mlp"] = "mlp"
    form: Form = "inside"
    """`inside`: sigma(W h + b); `outside`: W sigma(h) + b; `between`: W2 sigma(W1 h + b1) + b2."""
    activation: ActivationName = "tanh"
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the layers inside the field; empty for a single affine map."""

    @model_validator(mode="after")
    def _last_map_makes_the_field_small(self):
        if self.form == "inside":
            fix = "form=outside or between"
            require_small_start("form=inside", self.activation, self.last_init, fix)
        return self

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that is not a vector."""
        require_rank("mlp", shape, 1, "use field kind=conv, or a stem of kind=linear or flatten")

    def init_field(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> MLPField:
        """Make the field of one of `depth` layers for states of `shape` `(width,)`."""
        return self._from(shape[0], shape[0], takes_time, rngs=rngs)

    def init_transition(self, change: ShapeChange, *, rngs: nnx.Rngs) -> Transition:
        """Make the branch of a layer between two widths, with a matrix of that shape."""
        assert change.stride == 1
        if change.strided_weight:
            raise ConfigError(
                "field kind=mlp takes no stride, so strided_weight would be ignored; remove it"
            )
        branch = self._from(change.shape[0], change.width, False, rngs=rngs)
        return Transition(None, branch, None)

    def build_map(
        self,
        shape: tuple[int, ...],
        width: int,
        takes_time: bool,
        *,
        depth: int | None = None,
        rngs: nnx.Rngs,
    ) -> MLPField:
        """Make a map of the same form from vectors of `shape` to those of `width`."""
        self.check(shape)
        made = self._from(shape[0], width, takes_time, rngs=rngs)
        self.scaled(made, depth)
        return made

    def _from(self, inputs: int, outputs: int, takes_time: bool, *, rngs: nnx.Rngs) -> MLPField:
        widths = (inputs, *self.hidden, outputs)
        return MLPField(widths, self.form, self.activation, takes_time, self.init, rngs=rngs)
