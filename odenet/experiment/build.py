"""Builds the objects of an experiment from its configuration."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from odenet.arrays import Array
from odenet.data import Dataset, Split, TrainingBatches, evaluation_batches, is_small
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.start import Begin, Origin
from odenet.models import Discretisation, Network, abstract_network, count_parameters, init_network
from odenet.narration import doing
from odenet.objectives import Objective
from odenet.objectives.regularisers import build_regularisers
from odenet.training import Evaluator, TrainState, TrainStep
from odenet.training.average_statistics import AverageStatistics
from odenet.training.parallel import Compiled, Placement
from odenet.training.state import init_state, split_network


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The objects of an experiment: data, network, objective, optimiser, placement.

    Attributes:
        config: The configuration.
        dataset: The data.
        graphdef: Structure of the network.
        num_parameters: Number of trainable parameters.
        objective: The minimised objective.
        optimizer: The optimiser, from gradients to updates.
        placement: The devices of the training.
        template: Shapes and types of the training state.
        init: Makes the state before the first step, once; see `start`.
        origin: Source run of the weights in `start`, or None if they were initialised.
    """

    config: ExperimentConfig
    dataset: Dataset
    graphdef: nnx.GraphDef
    num_parameters: int
    objective: Objective
    optimizer: optax.GradientTransformation
    placement: Placement
    template: TrainState
    init: Callable[[], TrainState]
    origin: Origin | None = None

    @property
    def start(self) -> TrainState:
        """The state before the first step, on the devices; the first access initialises it."""
        return self.init()

    def batches(self) -> TrainingBatches:
        """The training batches, from the first step."""
        training = self.config.training
        return TrainingBatches(
            self.dataset.train,
            training.batch_size,
            training.dispatch_steps,
            self.config.seed,
            self._resident,
        )

    @property
    def _resident(self) -> bool:
        return is_small(self.dataset.train, self.config.training.resident_bytes)

    def resident(self) -> dict[str, Array] | None:
        """The training split on the devices, or None if it is streamed."""
        if not self._resident:
            return None
        train = self.dataset.train
        return self.placement.place(
            {"inputs": np.asarray(train.inputs), "targets": np.asarray(train.targets)}
        )

    def compile(self, resident: dict[str, Array] | None, chunk: dict[str, np.ndarray]) -> Compiled:
        """Compile the training dispatch for chunks like `chunk`."""
        placed = self.placement.place_chunk(chunk)
        return self.placement.compile(self.train_step(), self.template, resident, placed)

    def train_step(self) -> TrainStep:
        """The training dispatch, before compilation."""
        augment = self.config.data.augmentation
        return TrainStep(
            self.graphdef,
            self.objective,
            self.optimizer,
            self.config.training.optimizer.learning_rate_at(self.config.training.num_steps),
            self.dataset.normalization,
            None if augment is None else augment.build(),
            training=self.config.training.uses_batch_statistics,
            nfe_budget=self.config.training.nfe_budget,
            skip_failed=self.config.training.on_solver_failure == "skip",
        )

    def check_statistics(self) -> None:
        """Refuse a batch that has only one value per channel at a batch norm.

        Only a batch of one example can have one; the network is traced in this case alone.

        Raises:
            ConfigError: naming the layer.
        """
        if self.config.training.batch_size > 1 or not self.config.training.uses_batch_statistics:
            return
        inputs = jax.ShapeDtypeStruct((1, *self.dataset.input_shape), np.float32)
        states = self.template.params, self.template.statistics
        jax.eval_shape(lambda x, *states: self.network(*states)(x, training=True), inputs, *states)

    def finish(self) -> Callable[[TrainState], TrainState] | None:
        """The transformation of the state after the last step, or None."""
        training = self.config.training
        if training.average_statistics is None:
            return None
        return AverageStatistics(
            self.graphdef,
            self.dataset.normalization,
            self.dataset.train,
            training.batch_size,
            training.average_statistics,
            self.config.seed,
        )

    def evaluator(self, split: Split, discretisation: Discretisation | None = None) -> Evaluator:
        """An evaluator on a split, in batches of at most the training's batch size."""
        size = min(self.config.training.batch_size, len(split))
        return Evaluator(
            self.graphdef,
            self.objective,
            self.dataset.normalization,
            evaluation_batches(split, size),
            discretisation,
        )

    def network(self, params: Any, statistics: Any) -> Network:
        """The network with the given parameters and statistics."""
        return nnx.merge(self.graphdef, params, statistics)

    def split(self, name: str) -> Split:
        """The split `name`: `train`, `validation` or `test`."""
        return getattr(self.dataset, name)


def build(
    config: ExperimentConfig,
    data_dir: Path | None = None,
    begin: Begin | None = None,
    dataset: Dataset | None = None,
) -> Experiment:
    """Build the objects of an experiment.

    Args:
        config: The experiment.
        data_dir: Folder of the published data sets, or None for the default folder.
        begin: Maps the initialised weights to the first ones; for an experiment with `start`.
        dataset: The data if they are already in memory, or None.

    Raises:
        ConfigError: if parts do not fit each other, or `begin` is missing or superfluous.
        DataError: if data are missing or damaged.
    """
    if (config.start is None) != (begin is None):
        raise ConfigError(
            "the first weights of an experiment with `start` come from another run: train it by "
            "run(), or read the trained network by load()"
        )
    dataset = _read(config, data_dir) if dataset is None else dataset
    _refuse_other_targets(config, dataset)
    config.training.check_data(len(dataset.train))
    placement = config.training.parallel.build(config.training.batch_size)
    init_key, train_key = jax.random.split(jax.random.key(config.seed))
    sizes = dataset.input_shape, dataset.num_outputs
    with doing("building the network"):
        network = abstract_network(config.model, *sizes)
    graphdef, *variables = split_network(network)

    def initialised() -> tuple[Any, Any]:
        with doing("initialising the network"):
            return split_network(init_network(config.model, *sizes, init_key))[1:]

    origin = None
    if begin is not None:
        *variables, origin = begin(*initialised())
    transferred = () if origin is None else origin.transferred_params
    optimizer = config.training.optimizer.build(
        config.training.num_steps, variables[0], transferred
    )

    def first_state(params: Any, statistics: Any) -> TrainState:
        return init_state(params, statistics, optimizer, train_key)

    def start() -> TrainState:
        return placement.place(first_state(*(initialised() if begin is None else variables)))

    return Experiment(
        config,
        dataset,
        graphdef,
        count_parameters(network),
        Objective(config.loss.build(), build_regularisers(config.loss.regularisers)),
        optimizer,
        placement,
        jax.eval_shape(first_state, *variables),
        functools.cache(start),
        origin,
    )


def _read(config: ExperimentConfig, data_dir: Path | None) -> Dataset:
    with doing(f"reading data ({config.data.kind})"):
        return config.data.build(data_dir)


def _refuse_other_targets(config: ExperimentConfig, dataset: Dataset) -> None:
    """Refuse a classifier on values, and a regressor on classes."""
    classes = config.model.is_classifier
    if classes != (dataset.num_classes is not None):
        targets = "values" if dataset.num_classes is None else "classes"
        raise ConfigError(
            f"model.kind={config.model.kind} does not fit data.kind={config.data.kind}, whose "
            f"targets are {targets}; use model.kind={'regressor' if classes else 'classifier'}"
        )
