"""A stage without a block: only its projection, such as a layer of a plain perceptron."""

from typing import Any, Literal

from flax import nnx

from odenet.integrators import Integration, SolverStats
from odenet.integrators.state_types import checked_state
from odenet.models.base import Block, BlockConfig
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.path_integrals import PathIntegrals


class EmptyBlock(Block):
    """No layers: the state as it is."""

    def layer_weights(self) -> Any:
        """Weights of every layer: a tree without leaves."""
        return nnx.State({})

    def __call__(
        self,
        h0: Any,
        discretisation: Discretisation = AS_TRAINED,
        *,
        save_path: bool = False,
        training: bool = False,
        path_integrals: PathIntegrals | None = None,
    ) -> Integration:
        """`h0` itself, shape `(batch, *state)`; `nfe` is 0.

        Raises:
            StateTypeError: if the states are integers.
            ConfigError: if an argument requires an ODE.
        """
        del training
        self.refuse_as_ode(discretisation, path_integrals)
        h0 = checked_state(h0)
        return Integration(h0, h0[None] if save_path else None, SolverStats.of(0, 0))


class EmptyBlockConfig(BlockConfig):
    """No block: the stage is only its projection, which may change the width.

    A perceptron with different widths is a stem and projections of `kind: linear`, each with its
    `activation`, and `block: none`.
    """

    kind: Literal["none"] = "none"

    @property
    def summary(self) -> str:
        """A description of the block in one line."""
        return "no block"

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> EmptyBlock:
        """Make the block for states of `shape` (one example's)."""
        del shape, rngs
        return EmptyBlock()
