"""A trained run in Python: network, predictions, metrics, and evaluation under overrides."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from odenet.analysis.field_path import field_paths
from odenet.data import Dataset, normalize
from odenet.errors import ConfigError
from odenet.experiment.build import Experiment
from odenet.experiment.config import ExperimentConfig, Overrides, override_pairs
from odenet.experiment.description import described
from odenet.experiment.directory import METRICS, RESULTS, read_json
from odenet.experiment.evaluate import load_trained, measured
from odenet.experiment.logged import logged_arrays
from odenet.experiment.predictions import Predictions, as_stored, predicted
from odenet.models import Discretisation, Network
from odenet.models.given_taus import with_taus
from odenet.ops.batch_axis import padded_batch
from odenet.training.checkpoint import Checkpoint, Folder
from odenet.training.state import split_network


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A trained network with its data and its records, as returned by `odenet.load`.

    It is immutable: `with_overrides` and `with_taus` return another run.

    Attributes:
        directory: The run directory.
        experiment: The experiment of the network: data, objective, optimiser, devices.
        checkpoint: Step, parameters, statistics and moments of the optimiser.
        which: Name of the checkpoint.
        overrides: Overrides since the training: dotted keys and values.
        given_taus: Step sizes set by `with_taus`, one sequence per stage; or None.
        data_dir: Folder of the published data sets, or None for the default folder.
    """

    directory: Path
    experiment: Experiment
    checkpoint: Checkpoint
    which: Folder = "last"
    overrides: tuple[tuple[str, Any], ...] = ()
    given_taus: tuple[tuple[float, ...], ...] | None = None
    data_dir: Path | None = None

    @property
    def config(self) -> ExperimentConfig:
        """The experiment, with overrides applied."""
        return self.experiment.config

    @property
    def dataset(self) -> Dataset:
        """The data: `train`, `validation` and `test`, with stored (not normalised) inputs."""
        return self.experiment.dataset

    @property
    def step(self) -> int:
        """Number of optimiser steps at the checkpoint."""
        return self.checkpoint.step

    @functools.cached_property
    def network(self) -> Network:
        """The network: `network(x) -> Prediction`, for *normalised* inputs.

        `predict` takes stored inputs. `network.blocks[k](h0)` integrates block `k` alone.
        """
        state = self.checkpoint.state
        return self.experiment.network(state.params, state.statistics)

    @functools.cached_property
    def results(self) -> dict[str, Any] | None:
        """Content of `results.json`, or None before the training is complete."""
        path = self.directory / RESULTS
        return read_json(path) if path.exists() else None

    @functools.cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """All logged metrics of the training, as arrays by `split/name`, oldest first.

        `metrics["validation/accuracy"]` was measured after the steps `metrics["validation/step"]`.
        A metric that is missing in a record is NaN in its array.

        Raises:
            RunDirectoryError: if `metrics.jsonl` is damaged.
        """
        return logged_arrays(self.directory / METRICS)

    @property
    def taus(self) -> list[np.ndarray]:
        """Step sizes of every stage whose depth is time, including its leading layers."""
        return [np.asarray(taus) for taus in jax.device_get(self.network.taus())]

    def weights(self, layer: int, stage: int = 0) -> dict[str, np.ndarray]:
        """Weights and running statistics of one layer of a block, by dotted name.

        Args:
            layer: Index of a set of weights of the block, from 0; -1 is the last. Weights that are
                functions of depth are evaluated at the start of that step.
            stage: Index of the block, from 0.

        Raises:
            ConfigError: if there is no such layer.
        """
        blocks = self.network.blocks
        if not -len(blocks) <= stage < len(blocks):
            raise ConfigError(f"the network has {len(blocks)} stages, from 0; got stage {stage}")
        flat = nnx.to_flat_state(blocks[stage].layer_weights())
        arrays = {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat}
        count = len(next(iter(arrays.values()), ()))
        if not -count <= layer < count:
            raise ConfigError(
                f"stage {stage} has {count} sets of weights, layers 0 to {count - 1}; got {layer}"
                if count
                else f"stage {stage} has no layers; network.projections[{stage}] has its weights"
            )
        return {name: array[layer] for name, array in arrays.items()}

    def predict(self, inputs: Any, discretisation: Discretisation | None = None) -> Predictions:
        """Predictions of the network for inputs in the form of the data set.

        Inputs are normalised as in training, and evaluated in batches of the training's size.

        Args:
            inputs: Shape `(n, *example)` as in `dataset.test.inputs`: images of the same dtype and
                range (grey images also without the channel axis), or vectors of numbers.
            discretisation: Another integrator or number of steps for every block.

        Returns:
            `outputs` for every example; for a classifier also `labels` and `probabilities`.

        Raises:
            ConfigError: if the inputs have not the form of the data set, or a block does not allow
                the discretisation.

        Warns:
            SolverWarning: if a solve did not reach the end of its interval.
        """
        return predicted(
            self._forward,
            as_stored(inputs, self.dataset),
            self.config.training.batch_size,
            self.dataset.num_classes is not None,
            discretisation,
        )

    @functools.cached_property
    def _forward(self) -> Any:
        state, experiment = self.checkpoint.state, self.experiment

        @functools.partial(jax.jit, static_argnums=4)
        def forward(
            params: Any, statistics: Any, inputs: Any, weights: Any, way: Discretisation | None
        ):
            x = normalize(inputs, experiment.dataset.normalization)
            with padded_batch(weights):
                outputs, stats = experiment.network(params, statistics)(x, way)
            return outputs, stats.failure

        return functools.partial(forward, state.params, state.statistics)

    def paths(self, inputs: Any) -> list[np.ndarray]:
        """States of examples at all grid points of every block of the network.

        All examples are integrated at once and all states are stored: use few examples.

        Args:
            inputs: As in `predict`.

        Returns:
            For every block an array of shape `(points, n, *state)`, from the initial to the final
            state of the block.

        Raises:
            ConfigError: if the inputs have not the form of the data set.
        """
        x = normalize(as_stored(inputs, self.dataset), self.dataset.normalization)
        return list(jax.device_get(self._paths(x)))

    @functools.cached_property
    def _paths(self) -> Any:
        state, experiment = self.checkpoint.state, self.experiment

        @jax.jit
        def paths(params: Any, statistics: Any, x: Any):
            network = experiment.network(params, statistics)
            return [found.path for found in field_paths(network, x)]

        return functools.partial(paths, state.params, state.statistics)

    def evaluate(
        self,
        overrides: Overrides = (),
        *,
        split: str = "test",
        step_factor: float = 1.0,
        **keywords: Any,
    ) -> dict[str, Any]:
        """Metrics on a split, as in `odenet eval`, optionally under another integrator.

        Args:
            overrides: As in `load`.
            split: `train`, `validation` or `test`.
            step_factor: Number of steps, as a multiple of those in training.
            keywords: Overrides as keywords, with `__` for the dot:
                `run.evaluate(model__block__integrator={"kind": "rk4"})`.

        Returns:
            `accuracy` (classifiers), `loss`, `nfe` and the other metrics, with the step of the
            checkpoint and the time per batch.

        Raises:
            OdenetError: see its subclasses.
        """
        if split not in ("train", "validation", "test"):
            raise ConfigError(f"a split is train, validation or test; got {split!r}")
        pairs = override_pairs(overrides)
        pairs += override_pairs({key.replace("__", "."): value for key, value in keywords.items()})
        run = self.with_overrides(pairs) if pairs else self
        about = {"directory": str(self.directory), "split": split, "checkpoint": self.which}
        return about | measured(run.experiment, run.checkpoint, split, step_factor)

    def with_overrides(self, overrides: Overrides) -> "Run":
        """The same run with further overrides of its experiment.

        Args:
            overrides: As in `load`, for the integrator or the data.

        Raises:
            OdenetError: see its subclasses.
        """
        pairs = [*self.overrides, *override_pairs(overrides)]
        run = load(self.directory, pairs, self.which, self.data_dir)
        return run if self.given_taus is None else run.with_taus(self.given_taus)

    def with_taus(self, taus: Any) -> "Run":
        """The same run with the same weights and other, fixed step sizes.

        Args:
            taus: For every stage an array as in the list `taus`; for a network of one stage also
                this array alone. The number of steps of a block is any multiple of its number of
                layers.

        Raises:
            ConfigError: if they do not fit the network.
        """
        alone = all(np.ndim(tau) == 0 for tau in taus)
        stages = [np.asarray(stage, float) for stage in ([taus] if alone else taus)]
        network = with_taus(self.network, stages)
        graphdef, params, statistics = split_network(network)
        state = dataclasses.replace(
            self.checkpoint.state, params=params, statistics=statistics, opt_state=()
        )
        return dataclasses.replace(
            self,
            experiment=dataclasses.replace(self.experiment, graphdef=graphdef),
            checkpoint=dataclasses.replace(self.checkpoint, state=state),
            given_taus=tuple(tuple(stage.tolist()) for stage in stages),
        )

    def __repr__(self) -> str:
        lines = described(
            self.experiment, self.results, self.checkpoint, self.which, dict(self.overrides)
        )
        taus = [] if self.given_taus is None else ["  taus      set by with_taus"]
        return "\n".join([f"Run({self.directory})", *lines, *taus])


def load(
    directory: Path | str,
    overrides: Overrides = (),
    which: Folder = "last",
    data_dir: Path | str | None = None,
) -> Run:
    """Load a trained network from its run directory, optionally under another integrator.

    Args:
        directory: A run directory.
        overrides: `"dotted.key=value"`, one or several, or a mapping from dotted keys to values,
            for the integrator or the data; parameters must still fit.
        which: The last checkpoint, the best, or the start of the training.
        data_dir: Folder of the published data sets, or None for the default folder.

    Raises:
        ConfigError: if the directory holds a comparison, or an override has no effect.
        OdenetError: see its other subclasses.
    """
    directory, pairs = Path(directory), override_pairs(overrides)
    folder = None if data_dir is None else Path(data_dir)
    experiment, checkpoint = load_trained(directory, pairs, which, folder)
    return Run(directory, experiment, checkpoint, which, tuple(pairs), None, folder)
