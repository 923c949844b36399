"""stem -> [block, projection]* -> head: the shape of every model here."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from pydantic import Field

from odenet.arrays import Array, Float, Key, Scalar
from odenet.errors import ConfigError
from odenet.fields.base import ActivationName, activation
from odenet.fields.initialisers import InitialiserName, kernel_initialiser
from odenet.fields.layers import BatchNorm
from odenet.integrators import SolverStats
from odenet.models.blocks import BlockConfig, DepthBlock, DepthBlockConfig, Discretisation
from odenet.models.feedforward import FeedForwardBlock, FeedForwardBlockConfig
from odenet.models.projections import (
    IdentityConfig,
    LinearConfig,
    Projection,
    ProjectionConfig,
)
from odenet.part import PartConfig

HeadInit = InitialiserName | Literal["zero"]


class Prediction(NamedTuple):
    """What a network says about a batch, and what its blocks cost.

    Attributes:
        outputs: Logits or values, shape `(batch, num_outputs)`.
        stats: Sum over the blocks.
    """

    outputs: Float[Array, "batch outputs"]
    stats: SolverStats


class Head(nnx.Module):
    """Norm if there is one, activation, mean over the image if there is one, affine map.

    Args:
        width: Channels of the state.
        num_outputs: Number of logits or values.
        activation_name: Name of the activation before the mean.
        init: Name of the law of the affine map's weights.
        norm: The batch norm before the activation, or None.
        rngs: Random keys.
    """

    def __init__(
        self,
        width: int,
        num_outputs: int,
        activation_name: ActivationName,
        init: HeadInit = "lecun_normal",
        norm: BatchNorm | None = None,
        *,
        rngs: nnx.Rngs,
    ):
        self.activation_name: ActivationName = activation_name
        self.norm = norm
        self.linear = nnx.Linear(
            width, num_outputs, kernel_init=kernel_initialiser(init), rngs=rngs
        )

    def __call__(
        self, h: Float[Array, "batch *state"], *, live: bool = False
    ) -> Float[Array, "batch outputs"]:
        """Outputs of the last state; `live` as in `Network`."""
        if self.norm is not None:
            h = self.norm.observe(h) if live else self.norm(h)
        h = activation(self.activation_name)(h)
        if h.ndim == 4:
            h = jnp.mean(h, axis=(1, 2))
        return self.linear(h)


class Network(nnx.Module):
    """A model whose depth is a sequence of blocks.

    Args:
        projections: One before each block; the first is the stem.
        blocks: The blocks, each keeping the shape of its state.
        head: From the last state to the outputs.
    """

    def __init__(
        self,
        projections: list[Projection],
        blocks: list[DepthBlock | FeedForwardBlock],
        head: Head,
    ):
        self.projections = nnx.List(projections)
        self.blocks = nnx.List(blocks)
        self.head = head

    def __call__(
        self,
        x: Float[Array, "batch *inputs"],
        discretisation: Discretisation | None = None,
        *,
        live: bool = False,
    ) -> Prediction:
        """Outputs of a batch.

        Args:
            x: Inputs, vectors or NHWC images.
            discretisation: Another integrator or number of steps for every block.
            live: Whether batch norms use the statistics of this batch, as in training, and move
                their running ones towards them.

        Raises:
            ConfigError: if a block cannot be integrated that way.
        """
        stats = SolverStats.of(0, 0)
        for projection, block in zip(self.projections, self.blocks, strict=True):
            x = projection(x)
            if isinstance(block, DepthBlock):
                integration = block(x, discretisation or Discretisation(), live=live)
            elif discretisation is None:
                integration = block(x)
            else:
                raise ConfigError(
                    "a feed-forward block is not a discretised ODE: it has no step size, so no "
                    "other integrator can run it"
                )
            x, stats = integration.h1, stats + integration.stats
        return Prediction(self.head(x, live=live), stats)

    def penalty(self) -> Scalar:
        """Sum of the blocks' penalties on their step sizes."""
        penalties = [block.penalty() for block in self.blocks]
        return jnp.sum(jnp.stack(penalties))


class HeadConfig(PartConfig):
    """From the last state to the outputs: norm, activation, mean over the image, affine map."""

    norm: Literal["none", "batch"] = "none"
    """`batch` with `activation: relu` is what follows the last unit of a pre-activation network
    (He et al. 2016, arXiv:1603.05027, sec. 4.1)."""
    activation: ActivationName = "identity"
    init: HeadInit = "lecun_normal"
    """Law of the initial weights, by name; with `zero`, as in Fixup, all outputs start at zero."""

    def build(self, width: int, num_outputs: int, *, rngs: nnx.Rngs) -> Head:
        """Make the head for states of `width` channels."""
        norm = BatchNorm(width, 1e-5, 0.1, rngs=rngs) if self.norm == "batch" else None
        return Head(width, num_outputs, self.activation, self.init, norm, rngs=rngs)


class StageConfig(PartConfig):
    """A block of one width, and how its state is made from the stage before."""

    width: int = Field(ge=1, le=10**6)
    """Width of the vector, or number of channels of the image."""
    projection: ProjectionConfig = IdentityConfig()
    """From the state of the stage before; the first stage has the stem instead."""
    block: BlockConfig | None = None
    """The block of this stage; without it, the model's `block`."""


class NetworkConfig(PartConfig):
    """Base of the models: what a classifier and a regressor have in common."""

    stem: ProjectionConfig = LinearConfig()
    """From the inputs to the first state."""
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    """The stages in order; one is enough for a network of constant width."""
    block: BlockConfig = DepthBlockConfig()
    """The block of every stage that does not have its own."""
    head: HeadConfig = HeadConfig()

    @property
    def blocks(self) -> list[DepthBlockConfig | FeedForwardBlockConfig]:
        """The block of every stage."""
        return [stage.block or self.block for stage in self.stages]

    @property
    def has_batch_norm(self) -> bool:
        """Whether any part has batch statistics."""
        in_blocks = any(
            isinstance(block, DepthBlockConfig) and block.has_batch_norm for block in self.blocks
        )
        return in_blocks or self.head.norm == "batch"

    def check_trainable(self, *, live: bool) -> None:
        """Refuse what can be evaluated, but not trained.

        Args:
            live: Whether training uses the batch statistics of each batch.

        Raises:
            ConfigError: naming the stage.
        """
        for index, block in enumerate(self.blocks):
            try:
                if isinstance(block, DepthBlockConfig):
                    block.check_trainable(live=live)
            except ConfigError as error:
                raise ConfigError(f"model.stages.{index}: {error}") from error

    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Network:
        """Make the network for inputs of `input_shape` (one example's).

        Raises:
            ConfigError: naming the stage, if shapes do not fit.
        """
        if not isinstance(self.stages[0].projection, IdentityConfig):
            raise ConfigError(
                "model.stages.0.projection would be ignored: model.stem brings the inputs to the "
                "first stage; move it there"
            )
        shape, projections, blocks = tuple(input_shape), [], []
        for index, stage in enumerate(self.stages):
            where = "model.stem" if index == 0 else f"model.stages.{index}.projection"
            config = self.stem if index == 0 else stage.projection
            try:
                projections.append(config.build(shape, stage.width, rngs=rngs))
                shape = projections[-1].shape
                where = f"model.stages.{index}"
                blocks.append(self.blocks[index].build(shape, rngs=rngs))
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
        head = self.head.build(shape[-1], num_outputs, rngs=rngs)
        return Network(projections, blocks, head)


class ClassifierConfig(NetworkConfig):
    """A network that gives one logit per class."""

    kind: Literal["classifier"] = "classifier"


class RegressorConfig(NetworkConfig):
    """A network that gives one real value per output."""

    kind: Literal["regressor"] = "regressor"


def init_network(
    config: NetworkConfig, input_shape: tuple[int, ...], num_outputs: int, key: Key[Array, ""]
) -> Network:
    """Make a network with its initialisers compiled, as a function of the key alone.

    Args:
        config: The model.
        input_shape: Shape of one example.
        num_outputs: Number of classes or values.
        key: Random key; the same key gives the same bytes.

    Raises:
        ConfigError: naming the stage, if shapes do not fit.
    """

    def build(key):
        return config.build(input_shape, num_outputs, rngs=nnx.Rngs(key))

    graphdef = nnx.graphdef(nnx.eval_shape(build, key))
    state = jax.jit(lambda key: nnx.split(build(key))[1])(key)
    return nnx.merge(graphdef, state)


def count_parameters(network: Network) -> int:
    """Number of trainable numbers in the network."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(network, nnx.Param)))
