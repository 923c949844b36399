"""The contracts of a block and of its configuration: what a network asks of every stage."""

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
    """The layers of a stage: from one state to another of the same shape.

    `residual` gives a block whose layers have step sizes, `ode` one that discretises an ODE. What
    only such blocks have is asked of what the two give.
    """

    no_ode = (
        "a feed-forward block is not a discretised ODE, nor is a stage without a block: it has no "
        "step size, so no other integrator can run it"
    )
    """Why the block is no ODE, as messages say it."""

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
        """The block itself, if it is a `LayerStack`: layers that discretise no ODE; else None."""
        return None

    @abc.abstractmethod
    def layer_weights(self) -> Any:
        """Weights and running statistics of every layer, a tree with a leading axis of layers."""

    def penalty(self) -> Scalar:
        """What the block adds to the objective: zero."""
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
            h0: The first states, shape `(batch, *state)`.
            discretisation: By what and in how many steps; that of an ODE alone may be chosen.
            save_path: Whether to return the states between the layers too.
            training: Whether batch norms use batch statistics, and move the running ones.
            path_integrals: Path integrals, carried with the state of an ODE.

        Raises:
            ConfigError: if something is asked for that only an ODE has, and the block is none.
        """

    def inverse(
        self, h1: Any, discretisation: Discretisation = AS_TRAINED, *, save_path: bool = False
    ) -> Integration:
        """Integrate backwards from the last states; see `DepthBlock.inverse`.

        Raises:
            ConfigError: if the block is no ODE.
        """
        del h1, discretisation, save_path
        raise ConfigError(f"{self.no_ode}, and so none to integrate back")

    def refuse_as_ode(
        self, discretisation: Discretisation, path_integrals: PathIntegrals | None
    ) -> None:
        """Refuse what only an ODE has, for a block that is none.

        Raises:
            ConfigError: unless it is to run as it was trained, without path integrals.
        """
        if discretisation != AS_TRAINED:
            raise ConfigError(f"{self.no_ode}; run it as it was trained")
        if path_integrals is not None:
            raise ConfigError(f"{self.no_ode}, and there is nothing to integrate along it")


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
        """Carry `h0` through layers of the block's form, with other weights or step sizes.

        Args:
            fields: The layers in functional form.
            grid: Their step sizes.
            h0: The first states, shape `(batch, *state)`.
            save_path: Whether to return the states between the steps too.
        """

    @abc.abstractmethod
    def differentiate_by(self, config: IntegratorConfig) -> None:
        """Take the gradient as an integrator of the same steps does, from now on.

        Args:
            config: One of `BlockConfig.gradient_methods`.
        """

    def layer_weights(self) -> Any:
        """Weights and running statistics of every layer, a tree with a leading axis of layers.

        Weights that are functions of depth are taken at the starts of the steps.
        """
        return self.weights.of_layers(self.grid())

    def penalty(self) -> Scalar:
        """What the step sizes and the change of the weights over depth add to the objective."""
        return self.step_sizes.penalty().astype(float) + self.weights.penalty(self.grid()).astype(
            float
        )


class OdeBlock(ResidualBlock):
    """A block that discretises an ODE: the contract.

    Attributes:
        integrator: How the steps are added up; any other runs the same parameters.
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
        """What the block is, in a line."""

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
        """Integrators that take the block's steps and are differentiated otherwise, by name.

        The block's own is one of them. Without step sizes there is none.
        """
        return {}

    def check_capacity(self, width: int, before: int | None) -> None:
        """Refuse a state without channels for what the layers add.

        Args:
            width: Width of the state.
            before: Width of what comes before zeros that the projection puts behind it, or None.

        Raises:
            ConfigError: saying which width fits.
        """
        del width, before

    def check_trainable(self, *, training: bool) -> None:
        """Refuse a block that may be evaluated, but not trained.

        Args:
            training: Whether training uses the statistics of each batch.

        Raises:
            ConfigError: saying what can be trained.
        """
        del training

    def check_discretisation(self, discretisation: Discretisation) -> None:
        """Refuse a discretisation that the block cannot take, before anything is built.

        Raises:
            ConfigError: if the block is no ODE, or cannot take so many steps or the integrator.
        """
        del discretisation
        raise ConfigError(f"block.kind={self.kind} is not a discretised ODE")
