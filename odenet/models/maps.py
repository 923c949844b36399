"""Projections: maps of states, with their output shapes."""

import abc
from typing import Any

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import After, Array, Before, Float, Scalar, StepSizes
from odenet.depth.step_sizes import AbstractStepSizes
from odenet.errors import located
from odenet.fields.activations import ActivationName, activation
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm, Padding, in_mode

Shape = tuple[int, ...]


class FixedMatrix(nnx.Variable):
    """A matrix that is stored with the network and not trained."""


class Projection(nnx.Module):
    """A map of states, with its output shape.

    Args:
        operation: The map, applied to a batch.
        shape: Output shape of one example's state.
    """

    def __init__(self, operation: nnx.Module, shape: Shape):
        self.operation = operation
        self.shape = shape

    def __call__(self, x: Before, *, training: bool = False) -> After:
        """The projected state, shape `(batch, *shape)`.

        Args:
            x: Input states.
            training: Training mode: batch norms use batch statistics and update the running ones.
        """
        # A plain layer of Flax, such as a convolution, has no training mode.
        training = training and isinstance(self.operation, StateMap)
        return in_mode(self.operation, training)(x)

    def penalty(self) -> Scalar:
        """The penalty on its step sizes in the objective; zero for fixed step sizes."""
        penalties = [sizes.penalty().astype(float) for sizes in self._step_sizes()]
        return sum(penalties, jnp.zeros((), dtype=float))

    def taus(self) -> list[StepSizes]:
        """Step sizes of its layers, in order."""
        return [sizes.taus().astype(float) for sizes in self._step_sizes()]

    def _step_sizes(self) -> list[AbstractStepSizes]:
        modules = [module for _, module in nnx.iter_graph(self.operation)]
        return [m for m in modules if isinstance(m, AbstractStepSizes)]


_AROUND: Any = ((1, 1), (1, 1))


class StateMap(nnx.Module):
    """A map of states: the contract."""

    @abc.abstractmethod
    def __call__(self, x: Before) -> After:
        """The output state."""

    def with_batch_statistics(self, x: Before) -> After:
        """The output state in training mode, where batch norms use batch statistics."""
        return self(x)


class Identity(StateMap):
    """The state as it is."""

    def __call__(self, x: Before) -> After:
        """The output state."""
        return x


class Flatten(StateMap):
    """An image flattened to a vector."""

    def __call__(self, x: Before) -> After:
        """The output state."""
        return x.reshape(x.shape[0], -1)


class ZeroPad(StateMap):
    """Subsampling of an image by a stride, and zero padding of the channels.

    Args:
        zeros: Numbers of new channels before and after the old ones.
        stride: Stride of the remaining rows and columns.
    """

    def __init__(self, zeros: tuple[int, int], stride: int):
        self.zeros = zeros
        self.stride = stride

    def __call__(self, x: Before) -> After:
        """The output state."""
        if x.ndim == 4:
            x = x[:, :: self.stride, :: self.stride]
        return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + (self.zeros,))


class Affine(StateMap):
    """$W x + b$ of the flattened state, or $W x$.

    Args:
        inputs: Size of one example's state.
        width: Width of the output vector.
        init: Name of the initialiser of the weights.
        use_bias: Whether there is a $b$.
        rngs: Random keys.
    """

    def __init__(
        self, inputs: int, width: int, init: InitialiserName, use_bias: bool, *, rngs: nnx.Rngs
    ):
        initialiser = kernel_initialiser(init)
        self.linear = nnx.Linear(
            inputs, width, use_bias=use_bias, kernel_init=initialiser, rngs=rngs
        )

    def __call__(self, x: Before) -> After:
        """The output state."""
        return self.linear(x.reshape(x.shape[0], -1))


class Matrix(StateMap):
    """$P x$ of a vector, or $P x + b$.

    Args:
        kernel: $P^T$.
        learned: Whether $P$ is a parameter.
        has_bias: Whether there is a $b$, a parameter that is initialised to zero.
    """

    def __init__(self, kernel: Float[Array, "inputs width"], learned: bool, has_bias: bool):
        self.kernel = nnx.Param(kernel) if learned else FixedMatrix(kernel)
        self.bias = nnx.Param(jnp.zeros(kernel.shape[1], kernel.dtype)) if has_bias else None

    def __call__(self, x: Before) -> After:
        """The output state."""
        y = x @ self.kernel[...]
        return y if self.bias is None else y + self.bias[...][None, :]


class NormedMap(StateMap):
    """A map of states, defined by `through`, that may contain batch norms."""

    def __call__(self, x: Before) -> After:
        """The output state."""
        return self.through(x, False)

    def with_batch_statistics(self, x: Before) -> After:
        """The output state; batch norms use batch statistics and update the running ones."""
        return self.through(x, True)

    @abc.abstractmethod
    def through(self, x: Before, training: bool) -> After:
        """The output state, with batch norms in training mode or not."""


class Followed(NormedMap):
    """An affine map, optional batch norm, activation, optional max pooling.

    Args:
        affine: The affine map.
        norm: The batch norm after it, or None.
        activation_name: Name of the activation after the norm.
        max_pool: Padding of a 3x3 max pooling with stride 2; None for no pooling.
    """

    def __init__(
        self,
        affine: Any,
        norm: BatchNorm | None,
        activation_name: ActivationName,
        max_pool: Padding | None,
    ):
        self.affine = affine
        self.norm = norm
        self.activation_name: ActivationName = activation_name
        self.max_pool: Padding | None = max_pool

    def through(self, x: Before, training: bool) -> After:
        """The output state, with the batch norm in training mode or not."""
        x = self.affine(x)
        if self.norm is not None:
            x = in_mode(self.norm, training)(x)
        x = activation(self.activation_name)(x)
        if self.max_pool is not None:
            around = "SAME" if self.max_pool == "same" else _AROUND
            x = nnx.max_pool(x, (3, 3), (2, 2), around)
        return x


class Preceded(NormedMap):
    """Optional batch norm, activation, and an affine map: a shortcut with pre-activation.

    Args:
        norm: The batch norm before the activation, or None.
        activation_name: Name of the activation before the affine map.
        affine: The affine map.
    """

    def __init__(self, norm: BatchNorm | None, activation_name: ActivationName, affine: Any):
        self.norm = norm
        self.activation_name: ActivationName = activation_name
        self.affine = affine

    def through(self, x: Before, training: bool) -> After:
        """The output state, with the batch norm in training mode or not."""
        if self.norm is not None:
            x = in_mode(self.norm, training)(x)
        return self.affine(activation(self.activation_name)(x))


class Sequence(NormedMap):
    """The stem, followed by the projection of the first stage.

    Args:
        stem: The map from the inputs.
        projection: The map from the output of the stem.
    """

    def __init__(self, stem: Projection, projection: Projection):
        self.stem = stem
        self.projection = projection

    def through(self, x: Before, training: bool) -> After:
        """The output state of both."""
        h = self.stem(x, training=training)
        with located("the projection after it"):
            return self.projection(h, training=training)
