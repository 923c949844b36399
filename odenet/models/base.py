"""The contracts of a block and of its configuration."""

import abc
from typing import Any

import jax.numpy as jnp
from flax import nnx

from odenet.arrays import Scalar, State
from odenet.depth import FieldExpansion, FieldStack
from odenet.depth.grid import DepthGrid
from odenet.depth.layer_fields import LayerFields
from odenet.depth.step_sizes import AbstractStepSizes
from odenet.errors import ConfigError
from odenet.integrators import Integration, Integrator, IntegratorConfig
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.path_integrals import PathIntegrals
from odenet.part import PartConfig

NO_STEP = (
    "is no step h + tau f(t, h) of a method, so there is no f that a solver could integrate, and "
    "its steps cannot be divided"
)


class Block(nnx.Module):
    """The layers of a stage: a map that keeps the shape of the state.

    `residual` is the block itself if its layers have step sizes, and `ode` if it discretises an
    ODE. The members that only such blocks have are accessed through these two properties.
    """

    no_ode = (
        "a feed-forward block is not a discretised ODE, nor is a stage without a block: it has no "
        "step size, so no other integrator can run it"
    )
    """The reason why the block is no ODE, for messages."""

    @property
    def residual(self) -> "ResidualBlock | None":
        """The block itself, if its layers have step sizes, else None."""
        return None

    @property
    def ode(self) -> "OdeBlock | None":
        """The block itself, if it discretises an ODE, else None."""
        return None

    @property
    def stack(self) -> Any:
        """The block itself, if it is a `LayerStack`, which discretises no ODE; else None."""
        return None

    @abc.abstractmethod
    def layer_weights(self) -> Any:
        """Weights and running statistics of every layer, a tree with a leading axis of layers."""

    def penalty(self) -> Scalar:
        """The penalty of the block in the objective: zero."""
        return jnp.zeros((), dtype=float)

    @abc.abstractmethod
    def __call__(
        self,
        h0: Any,
        discretisation: Discretisation = AS_TRAINED,
        *,
        save_path: bool = False,
        training: bool = False,
        path_integrals: PathIntegrals | None = None,
    ) -> Integration:
        """The states after the block.

        Args:
            h0: The initial states, shape `(batch, *state)`.
            discretisation: Integrator and number of steps; a choice exists only for an ODE.
            save_path: Whether to return the states between the layers too.
            training: Training mode: batch norms use batch statistics and update the running ones.
            path_integrals: Path integrals, integrated with the state of an ODE.

        Raises:
            ConfigError: if an argument requires an ODE, and the block is none.
        """

    def inverse(
        self, h1: Any, discretisation: Discretisation = AS_TRAINED, *, save_path: bool = False
    ) -> Integration:
        """Integrate backwards from the final states; see `DepthBlock.inverse`.

        Raises:
            ConfigError: if the block is no ODE.
        """
        del h1, discretisation, save_path
        raise ConfigError(f"{self.no_ode}, so it cannot be integrated backwards")

    def refuse_as_ode(
        self, discretisation: Discretisation, path_integrals: PathIntegrals | None
    ) -> None:
        """Refuse arguments that require an ODE, for a block that is none.

        Raises:
            ConfigError: for another discretisation than in training, or for path integrals.
        """
        if discretisation != AS_TRAINED:
            raise ConfigError(f"{self.no_ode}; run it with the discretisation of training")
        if path_integrals is not None:
            raise ConfigError(f"{self.no_ode}, and it has no path integrals")


class ResidualBlock(Block):
    """A block whose layers have step sizes: the contract.

    Attributes:
        weights: The layers.
        step_sizes: The step sizes, fixed or learned.
    """

    weights: FieldStack | FieldExpansion
    step_sizes: AbstractStepSizes

    @property
    def residual(self) -> "ResidualBlock":
        """The block itself."""
        return self

    def grid(self) -> DepthGrid:
        """The block's own grid."""
        return DepthGrid(self.step_sizes.taus(), self.weights.num_layers)

    @abc.abstractmethod
    def run(
        self, fields: LayerFields, grid: DepthGrid, h0: State, *, save_path: bool = False
    ) -> Integration:
        """Apply layers of the form of the block, with other weights or step sizes, to `h0`.

        Args:
            fields: The layers in functional form.
            grid: Their step sizes.
            h0: The initial states, shape `(batch, *state)`.
            save_path: Whether to return the states between the steps too.
        """

    @abc.abstractmethod
    def differentiate_by(self, config: IntegratorConfig) -> None:
        """Use the gradient method of another integrator with the same steps, in place.

        Args:
            config: One of `BlockConfig.gradient_methods`.
        """

    def layer_weights(self) -> Any:
        """Weights and running statistics of every layer, a tree with a leading axis of layers.

        Weights that are functions of depth are evaluated at the starts of the steps.
        """
        return self.weights.of_layers(self.grid())

    def penalty(self) -> Scalar:
        """The penalties on the step sizes and on the change of the weights over depth."""
        return self.step_sizes.penalty().astype(float) + self.weights.penalty(self.grid()).astype(
            float
        )


class OdeBlock(ResidualBlock):
    """A block that discretises an ODE: the contract.

    Attributes:
        integrator: The integration method; any other can run the same parameters.
    """

    integrator: Integrator

    @property
    def ode(self) -> "OdeBlock":
        """The block itself."""
        return self


class BlockConfig(PartConfig, abc.ABC, family="block"):
    """The options of a block: the contract."""

    kind: str

    @property
    @abc.abstractmethod
    def summary(self) -> str:
        """A description of the block in one line."""

    @abc.abstractmethod
    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> Block:
        """Make the block for states of `shape` (one example's).

        Raises:
            ConfigError: if the shape does not fit.
        """

    @property
    def residual(self) -> Any:
        """The options of kind=depth, if the layers have step sizes, else None."""
        return None

    @property
    def ode(self) -> Any:
        """The options of kind=depth, if the block discretises an ODE, else None."""
        return None

    @property
    def has_batch_norm(self) -> bool:
        """Whether a layer has batch statistics."""
        return False

    def gradient_methods(self) -> dict[str, IntegratorConfig]:
        """Integrators with the steps of the block and different gradient methods, by name.

        They include the block's own. Empty for a block without step sizes.
        """
        return {}

    def check_capacity(self, width: int, before: int | None) -> None:
        """Refuse a state without channels for the features that the layers add.

        Args:
            width: Width of the state.
            before: Width of the state before zero padding, or None without zero padding.

        Raises:
            ConfigError: naming the width that fits.
        """
        del width, before

    def check_trainable(self, *, training: bool) -> None:
        """Refuse a block that can be evaluated, but not trained.

        Args:
            training: Whether training uses batch statistics.

        Raises:
            ConfigError: naming the options that can be trained.
        """
        del training

    def check_discretisation(self, discretisation: Discretisation) -> None:
        """Refuse a discretisation that does not fit the block, before the block is built.

        Raises:
            ConfigError: if the block is no ODE, or does not fit the steps or the integrator.
        """
        del discretisation
        raise ConfigError(f"block.kind={self.kind} is not a discretised ODE")
