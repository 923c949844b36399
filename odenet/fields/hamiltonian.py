"""Partitioned fields: Hamiltonian dynamics."""

import abc
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from pydantic import PositiveInt, model_validator

from odenet.arrays import State, Time
from odenet.errors import ConfigError
from odenet.fields.activations import ActivationName, activation, require_small_start
from odenet.fields.base import VectorField
from odenet.fields.initialisers import InitialiserName
from odenet.fields.stable import StableFieldConfig, TimeBias, refuse_small_product
from odenet.fields.transposed import apply_kernel, init_kernel, transpose_kernel


class SeparableField(VectorField):
    """A partitioned field: `y' = derivative_of_y(t, z)`, `z' = derivative_of_z(t, y)`."""

    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned: yes."""
        return True

    @abc.abstractmethod
    def derivative_of_y(self, t: Time, z: State) -> State:
        """`y'`, of the shape of `z`."""

    @abc.abstractmethod
    def derivative_of_z(self, t: Time, y: State) -> State:
        """`z'`, of the shape of `y`."""

    def __call__(self, t: Time, h: State) -> State:
        """dh/dt at `(t, h)` with `h = [y; z]`, of the shape of `h`."""
        y, z = jnp.split(h, 2, axis=-1)
        return jnp.concatenate([self.derivative_of_y(t, z), self.derivative_of_z(t, y)], axis=-1)


class HamiltonianField(SeparableField):
    r"""$y' = \sigma(K z + b_1 + t v_1)$, $z' = -\sigma(K^T y + b_2 + t v_2)$.

    Haber and Ruthotto 2017, arXiv:1705.03341, sec. 4.2. Each equation has its own bias; the
    authors' code (Meganet.m) is the case $b_1 = b_2$, and a bias inside
    $z' = \sigma(-K^T y + b)$ is $b_2 = -b$ for an odd activation. With constant weights,
    $\sum S(K z + b_1) + \sum S(K^T y + b_2)$, where $S' = \sigma$, is conserved, and the field is
    Hamiltonian in $(K^T y, z)$.

    Args:
        half: Half the width of the vectors, or of the channels of the images.
        side: Side of the kernels of a convolution, odd; None on vectors.
        activation_name: Name of the activation.
        takes_time: Whether the biases have weights for the time.
        init: Name of the initialiser of `K`.
        rngs: Random keys.
    """

    def __init__(
        self,
        half: int,
        side: int | None,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        fan_in = half * (side or 1) ** 2
        self.activation_name: ActivationName = activation_name
        self.kernel = init_kernel(half, half, side, init, rngs=rngs)
        self.bias_y = TimeBias(half, fan_in, takes_time, init, rngs=rngs)
        self.bias_z = TimeBias(half, fan_in, takes_time, init, rngs=rngs)

    def last_weights(self) -> list[nnx.Param]:
        """The weights of the map, including those of the time inputs."""
        times = [bias.time for bias in (self.bias_y, self.bias_z)]
        return [self.kernel, *(time.kernel for time in times if time is not None)]

    def derivative_of_y(self, t: Time, z: State) -> State:
        """`sigma(K z + b1)`."""
        inner = apply_kernel(self.kernel[...], z) + self.bias_y(t, z.ndim)
        return activation(self.activation_name)(inner)

    def derivative_of_z(self, t: Time, y: State) -> State:
        """`-sigma(K^T y + b2)`."""
        inner = apply_kernel(transpose_kernel(self.kernel[...]), y) + self.bias_z(t, y.ndim)
        return -activation(self.activation_name)(inner)


class TwoLayerHamiltonianField(SeparableField):
    r"""$y' = K_1^T \sigma(K_1 z + b_1 + t v_1)$, $z' = -K_2^T \sigma(K_2 y + b_2 + t v_2)$.

    Chang et al. 2018, arXiv:1709.03698. With constant weights it is Hamiltonian with the energy
    $\sum S(K_1 z + b_1) + \sum S(K_2 y + b_2)$, where $S' = \sigma$.

    Args:
        half: Half the width of the vectors, or of the channels of the images.
        hidden: Width, or channels, of `K_1 z` and `K_2 y`.
        side: Side of the kernels of a convolution, odd; None on vectors.
        activation_name: Name of the activation.
        takes_time: Whether the biases have weights for the time.
        init: Name of the initialiser of the kernels.
        rngs: Random keys.
    """

    def __init__(
        self,
        half: int,
        hidden: int,
        side: int | None,
        activation_name: ActivationName,
        takes_time: bool,
        init: InitialiserName = "lecun_normal",
        *,
        rngs: nnx.Rngs,
    ):
        fan_in = half * (side or 1) ** 2
        self.activation_name: ActivationName = activation_name
        self.kernel_y = init_kernel(half, hidden, side, init, rngs=rngs)
        self.kernel_z = init_kernel(half, hidden, side, init, rngs=rngs)
        self.bias_y = TimeBias(hidden, fan_in, takes_time, init, rngs=rngs)
        self.bias_z = TimeBias(hidden, fan_in, takes_time, init, rngs=rngs)

    def last_weights(self) -> list[nnx.Param]:
        """The weights of both maps."""
        return [self.kernel_y, self.kernel_z]

    def derivative_of_y(self, t: Time, z: State) -> State:
        """`K1^T sigma(K1 z + b1)`."""
        return self._map_and_transpose(self.kernel_y, self.bias_y, t, z)

    def derivative_of_z(self, t: Time, y: State) -> State:
        """`-K2^T sigma(K2 y + b2)`."""
        return -self._map_and_transpose(self.kernel_z, self.bias_z, t, y)

    def _map_and_transpose(self, weights: nnx.Param, bias: TimeBias, t: Time, x: State) -> State:
        kernel = weights[...]
        inner = apply_kernel(kernel, x) + bias(t, x.ndim)
        return apply_kernel(transpose_kernel(kernel), activation(self.activation_name)(inner))


class _PartitionedFieldConfig(StableFieldConfig):
    @property
    def is_separable(self) -> bool:
        """Whether the state is partitioned: yes."""
        return True

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a state of `shape` (one example's) that cannot be split into `[y; z]`."""
        super().check(shape)
        if shape[-1] % 2:
            raise ConfigError(
                f"field kind={self.kind} partitions the last axis of its state into two equal "
                f"parts, so its size must be even; got shape {shape}; use an even width"
            )


class HamiltonianFieldConfig(_PartitionedFieldConfig):
    """y' = sigma(K z + b1), z' = -sigma(K^T y + b2), of a state [y; z]."""

    kind: Literal["hamiltonian"] = "hamiltonian"

    @model_validator(mode="after")
    def _starts_small(self):
        ends, fix = f"field kind={self.kind}", "activation=tanh, or last_init=unscaled"
        require_small_start(ends, self.activation, self.last_init, fix)
        return self

    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> HamiltonianField:
        """Make the field of one of `depth` layers for states of `shape`."""
        half, side = shape[-1] // 2, self.side(shape)
        return HamiltonianField(half, side, self.activation, takes_time, self.init, rngs=rngs)


class TwoLayerHamiltonianFieldConfig(_PartitionedFieldConfig):
    """y' = K1^T sigma(K1 z + b1), z' = -K2^T sigma(K2 y + b2), of a state [y; z]."""

    kind: Literal["two_layer_hamiltonian"] = "two_layer_hamiltonian"
    hidden: PositiveInt | None = None
    """Width, or channels, of `K1 z` and `K2 y`; default: half the width of the state."""

    @model_validator(mode="after")
    def _starts_unscaled(self):
        refuse_small_product(self.kind, self.last_init)
        return self

    def init_field(
        self, shape: tuple[int, ...], takes_time: bool, *, rngs: nnx.Rngs
    ) -> TwoLayerHamiltonianField:
        """Make the field of one of `depth` layers for states of `shape`."""
        half = shape[-1] // 2
        return TwoLayerHamiltonianField(
            half,
            self.hidden or half,
            self.side(shape),
            self.activation,
            takes_time,
            self.init,
            rngs=rngs,
        )
