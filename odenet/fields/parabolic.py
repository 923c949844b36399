"""Parabolic fields, which smooth as heat flow does: `-K^T sigma(K h + b)`."""

from typing import Literal

from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import State, Time
from odenet.fields.activations import ActivationName, activation
from odenet.fields.base import VectorField
from odenet.fields.initialisers import InitialiserName
from odenet.fields.stable import (
    StableFieldConfig,
    TimeBias,
    refuse_non_monotone,
    refuse_small_product,
)
from odenet.fields.transposed import apply_kernel, init_kernel, transpose_kernel


class ParabolicField(VectorField):
    r"""$f(t, h) = -K^T \sigma(K h + b + t v)$.

    Ruthotto and Haber 2020, arXiv:1804.04272, sec. 3. The Jacobian $-K^T \mathrm{diag}(\sigma') K$
    is symmetric and has no positive eigenvalue. The flow is therefore non-expansive for any
    weights: the distance $|h - g|$ of two states does not grow. Explicit Euler preserves this for
    steps of at most $2 / (\max \sigma' \, |K|^2)$.

    Args:
        width: Width of the vectors, or channels of the images.
        hidden: Width, or channels, of `K h`.
        side: Side of the kernels of a convolution, odd; None on vectors.
        activation_name: Name of a non-decreasing activation.
        takes_time: Whether the bias has weights `v` for the time.
        init: Name of the initialiser of `K`.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        side: int | None,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        self.activation_name: ActivationName = activation_name
        self.kernel = init_kernel(width, hidden, side, init, rngs=rngs)
        self.bias = TimeBias(hidden, width * (side or 1) ** 2, takes_time, init, rngs=rngs)

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the map."""
        return [self.kernel]

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)`, of the shape of `h`."""
        kernel = self.kernel[...]
        sigma = activation(self.activation_name)
        inner = sigma(apply_kernel(kernel, h) + self.bias(t, h.ndim))
        return -apply_kernel(transpose_kernel(kernel), inner)


class ParabolicFieldConfig(StableFieldConfig):
    """-K^T sigma(K h + b): a non-expansive flow."""

    kind: Literal["parabolic"] = "parabolic"
    hidden: PositiveInt | None = None
    """Width, or channels, of `K h`; default: the width of the state."""

    @model_validator(mode="after")
    def _stays_stable_and_starts_unscaled(self):
        refuse_non_monotone(self.kind, self.activation)
        refuse_small_product(self.kind, self.last_init)
        return self

    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> ParabolicField:
        """Make the field of one of `depth` layers for states of `shape`."""
        return ParabolicField(
            shape[-1],
            self.hidden or shape[-1],
            self.side(shape),
            self.activation,
            takes_time,
            self.init,
            rngs=rngs,
        )
