"""Networks: stem -> [block, projection]* -> head."""

from typing import ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Shaped
from pydantic import Field, PositiveInt, model_validator

from odenet.arrays import Array, Float, Scalar, StepSizes
from odenet.errors import ConfigError, located
from odenet.integrators import SolverStats
from odenet.models.base import Block, BlockConfig
from odenet.models.blocks import DepthBlockConfig
from odenet.models.discretisation import AS_TRAINED, Discretisation
from odenet.models.head import Head, HeadConfig
from odenet.models.maps import Projection, Sequence
from odenet.models.model_config import ModelConfig, Outputs
from odenet.models.path_integrals import PathIntegrals
from odenet.models.projections import (
    IdentityConfig,
    LinearConfig,
    ProjectionConfig,
)
from odenet.models.transition import StageProjectionConfig
from odenet.part import PartConfig


class Prediction(NamedTuple):
    """Outputs of a network for a batch, and solver statistics.

    Attributes:
        outputs: Logits or values, shape `(batch, num_outputs)`.
        stats: Solver statistics, summed over the blocks.
    """

    outputs: Float[Array, "batch outputs"]
    stats: SolverStats


class Network(nnx.Module):
    """A model whose depth is a sequence of blocks.

    Args:
        projections: One projection before each block; the first is the stem, followed by the
            projection of the first stage if it has one.
        blocks: The blocks, which keep the shape of the state.
        head: The map from the last state to the outputs.
    """

    def __init__(
        self,
        projections: list[Projection],
        blocks: list[Block],
        head: Head,
    ):
        self.projections = nnx.List(projections)
        self.blocks = nnx.List(blocks)
        self.head = head

    def __call__(
        self,
        x: Shaped[Array, "batch *inputs"],
        discretisation: Discretisation | None = None,
        *,
        training: bool = False,
    ) -> Prediction:
        """Outputs of a batch.

        Args:
            x: Inputs, vectors or NHWC images.
            discretisation: Another integrator or number of steps for every block.
            training: Training mode: batch norms use batch statistics and update the running ones.

        Raises:
            ConfigError: if a block does not support the discretisation, inputs are integers, or the
                batch of a batch norm in training has a single value per channel; naming the layer.
        """
        return self._through(x, discretisation, training, None)[0]

    def with_path_integrals(
        self,
        x: Shaped[Array, "batch *inputs"],
        path_integrals: PathIntegrals,
        *,
        training: bool = False,
    ) -> tuple[Prediction, Float[Array, "batch integrands"]]:
        """Outputs of a batch, and its path integrals, summed over the stages.

        Args:
            x: Inputs, vectors or NHWC images.
            path_integrals: The integrands, and the end time of the solves.
            training: As in `__call__`.

        Raises:
            ConfigError: if a block is no ODE, or its integrator does not compute path integrals.
        """
        return self._through(x, None, training, path_integrals)

    def _through(
        self,
        x: Shaped[Array, "batch *inputs"],
        discretisation: Discretisation | None,
        training: bool,
        path_integrals: PathIntegrals | None,
    ) -> tuple[Prediction, Float[Array, "batch integrands"]]:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            raise ConfigError(
                f"a network takes floating-point inputs, normalised as in training; got "
                f"{x.dtype}; give raw inputs to odenet.load(RUN).predict, or normalise them "
                f"first: odenet.data.normalize(inputs, dataset.normalization)"
            )
        stats = SolverStats.of(0, 0)
        count = 0 if path_integrals is None else len(path_integrals.integrands)
        integrals = jnp.zeros((len(x), count), x.dtype)
        pairs = zip(self.projections, self.blocks, strict=True)
        for stage, (projection, block) in enumerate(pairs):
            with located(f"model.stages.{stage}.projection" if stage else "model.stem"):
                x = projection(x, training=training)
            here = None if path_integrals is None else path_integrals.at_stage(stage)
            with located(f"model.stages.{stage}.block"):
                integration = block(
                    x, discretisation or AS_TRAINED, training=training, path_integrals=here
                )
            num_layers = len(projection.taus())  # each layer evaluates its branch once
            x = integration.h1
            if integration.integrals is not None:
                integrals = integrals + integration.integrals
            found = integration.stats.at_stage(stage, x)
            stats = stats + SolverStats.of(num_layers, num_layers) + found
        with located("model.head"):
            outputs = self.head(x, training=training)
        return Prediction(outputs, stats), integrals

    def penalty(self) -> Scalar:
        """Sum of the penalties of all blocks and projections."""
        parts = [*self.projections, *self.blocks]
        return jnp.sum(jnp.stack([part.penalty().astype(float) for part in parts]))

    def taus(self) -> list[StepSizes]:
        """Step sizes of every stage whose depth is time: first the projection, then the block."""
        return [
            jnp.concatenate([*projection.taus(), block.residual.grid().taus.astype(float)])
            for projection, block in zip(self.projections, self.blocks, strict=True)
            if block.residual is not None
        ]


class StageConfig(PartConfig):
    """A stage: a projection to its width, and a block."""

    width: int = Field(ge=1, le=10**6)
    """Width of the vector, or number of channels of the image."""
    projection: StageProjectionConfig = IdentityConfig()
    """The map from the state of the previous stage; in the first stage, from the output of the
    stem. `unit` is a residual layer itself."""
    block: BlockConfig | None = None
    """The block of this stage; default: the model's `block`."""


class NetworkConfig(ModelConfig):
    """Base of classifiers and regressors."""

    stem: ProjectionConfig = LinearConfig()
    """The stem: the map from the inputs to the first state."""
    stem_width: PositiveInt | None = None
    """Output width of the stem, if the first stage has its own projection; default: the width of
    the first stage."""
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    """The stages in order; one suffices for a network of constant width."""
    block: BlockConfig = DepthBlockConfig()
    """The block of every stage without its own."""
    head: HeadConfig = HeadConfig()

    @model_validator(mode="after")
    def _stem_width_matters(self):
        if self.stem_width is not None and self.stages[0].projection.is_identity:
            raise ValueError(
                "stem_width would be ignored: without a projection in the first stage, the stem "
                "has the width of that stage; remove it"
            )
        return self

    @model_validator(mode="after")
    def _dense_features_fit(self):
        for index, (stage, block) in enumerate(zip(self.stages, self.blocks, strict=True)):
            before = self.stages[index - 1].width if index else self._stem_width
            block.check_capacity(stage.width, before if stage.projection.pads_behind else None)
        return self

    def expanded(self) -> "NetworkConfig":
        """The network as an explicit list of stem, stages and head: itself."""
        return self

    @property
    def _stem_width(self) -> int:
        return self.stem_width or self.stages[0].width

    @property
    def blocks(self) -> list[BlockConfig]:
        """The block of every stage."""
        return [stage.block or self.block for stage in self.stages]

    @property
    def has_batch_norm(self) -> bool:
        """Whether any part has batch statistics."""
        used = [self.stem, self.head, *self.blocks, *(stage.projection for stage in self.stages)]
        return any(part.has_batch_norm for part in used)

    def check_trainable(self, *, training: bool) -> None:
        """Refuse a network that can be evaluated, but not trained.

        Args:
            training: Whether training uses batch statistics.

        Raises:
            ConfigError: naming the stage.
        """
        for index, block in enumerate(self.blocks):
            try:
                block.check_trainable(training=training)
            except ConfigError as error:
                raise ConfigError(f"model.stages.{index}: {error}") from error

    def build(self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs) -> Network:
        """Make the network for inputs of `input_shape` (one example's).

        Raises:
            ConfigError: naming the stage, if shapes do not fit.
        """
        try:
            where = "model.stem"
            stem = self.stem.build(tuple(input_shape), self._stem_width, rngs=rngs)
            shape, projections, blocks = stem.shape, [], []
            for index, stage in enumerate(self.stages):
                where = f"model.stages.{index}.projection"
                projection = stem
                if index or not stage.projection.is_identity:
                    projection = stage.projection.build(shape, stage.width, rngs=rngs)
                    shape = projection.shape
                    if not index:
                        projection = Projection(Sequence(stem, projection), shape)
                projections.append(projection)
                where = f"model.stages.{index}"
                blocks.append(self.blocks[index].build(shape, rngs=rngs))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        head = self.head.build(shape[-1], num_outputs, rngs=rngs)
        return Network(projections, blocks, head)


class ClassifierConfig(NetworkConfig):
    """A network with one logit per class as outputs."""

    kind: Literal["classifier"] = "classifier"

    outputs: ClassVar[Outputs] = "logits"


class RegressorConfig(NetworkConfig):
    """A network with real values as outputs."""

    kind: Literal["regressor"] = "regressor"
