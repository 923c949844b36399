"""Multilayer-perceptron fields on vectors, the simplified residual layer among them."""

import itertools
from typing import Literal

from flax import nnx
from pydantic import PositiveInt

from odenet.arrays import State, Time
from odenet.fields.base import ActivationName, TimeWeight, activation, require_rank
from odenet.part import PartConfig

Form = Literal["inside", "outside", "between"]


class MLPField(nnx.Module):
    r"""$f(t, h)$ made of affine maps $A_i x = W_i x + v_i t + b_i$ and an activation $\sigma$.

    * `inside`: $\sigma A_n \cdots \sigma A_1 h$; with one map it is the simplified residual layer
      $\sigma(W h + b)$ (Haber and Ruthotto 2017, arXiv:1705.03341, eq. 2.1);
    * `outside`: $A_n \sigma \cdots A_1 \sigma h$, the weight outside the activation;
    * `between`: $A_n \sigma \cdots \sigma A_1 h$, the usual field of neural ODEs (Chen et al.
      2018, arXiv:1806.07366, sec. 5).

    Args:
        width: Width of the state.
        hidden: Widths between the first and the last affine map; empty for a single map.
        form: Where the activation stands.
        activation_name: Name of the activation.
        takes_time: Whether every affine map has weights `v_i` for the time.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        hidden: tuple[int, ...],
        form: Form,
        activation_name: ActivationName,
        takes_time: bool,
        *,
        rngs: nnx.Rngs,
    ):
        widths = (width, *hidden, width)
        pairs = list(itertools.pairwise(widths))
        self.form = form
        self.activation_name: ActivationName = activation_name
        self.affine = nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in pairs])
        self.time = nnx.List(
            [TimeWeight((o,), i + 1, rngs=rngs) for i, o in pairs] if takes_time else []
        )

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, shape `(batch, width)`."""
        sigma = activation(self.activation_name)
        last = len(self.affine) - 1
        x = h
        for index, affine in enumerate(self.affine):
            if self.form == "outside":
                x = sigma(x)
            x = affine(x)
            if self.time:
                x = x + (t * self.time[index].kernel[...])[None, :]
            if self.form == "inside" or (self.form == "between" and index < last):
                x = sigma(x)
        return x


class MLPFieldConfig(PartConfig):
    """A multilayer-perceptron field on vectors."""

    kind: Literal["mlp"] = "mlp"
    form: Form = "inside"
    """`inside`: sigma(W h + b); `outside`: W sigma(h) + b; `between`: W2 sigma(W1 h + b1) + b2."""
    activation: ActivationName = "tanh"
    hidden: tuple[PositiveInt, ...] = ()
    """Widths of the layers inside the field; empty for a single affine map."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that is not a vector."""
        require_rank("mlp", shape, 1, "use field kind=conv, or a stem of kind=linear or flatten")

    def build(self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs) -> MLPField:
        """Make the field for states of `shape` `(width,)`."""
        self.check(shape)
        return MLPField(shape[0], self.hidden, self.form, self.activation, takes_time, rngs=rngs)
