"""A run in Python: its network, what it predicts, what was measured, and how it runs otherwise."""

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
    """A trained network with its data and its record, as `odenet.load` gives it.

    It is not changed by anything: `with_overrides` and `with_taus` give another one.

    Attributes:
        directory: The run directory.
        experiment: What the network was built from: data, objective, optimiser, devices.
        checkpoint: Step, parameters, statistics and moments of the optimiser.
        which: Folder checkpoint that is.
        overrides: What was set otherwise since the training, by dotted key.
        given_taus: Step sizes that `with_taus` has set, one sequence per stage; or None.
        data_dir: Folder of the published data sets, or None for the usual places.
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
        """The experiment, overrides applied."""
        return self.experiment.config

    @property
    def dataset(self) -> Dataset:
        """The data: `train`, `validation` and `test`, inputs as they are stored."""
        return self.experiment.dataset

    @property
    def step(self) -> int:
        """After how many steps of the optimiser the checkpoint was written."""
        return self.checkpoint.step

    @functools.cached_property
    def network(self) -> Network:
        """The network: `network(x) -> Prediction`, for *normalised* inputs.

        `predict` takes inputs as they are stored. A block is integrated by
        `network.blocks[k](h0)`.
        """
        state = self.checkpoint.state
        return self.experiment.network(state.params, state.statistics)

    @functools.cached_property
    def results(self) -> dict[str, Any] | None:
        """What `results.json` holds, or None while the training is not complete."""
        path = self.directory / RESULTS
        return read_json(path) if path.exists() else None

    @functools.cached_property
    def metrics(self) -> dict[str, np.ndarray]:
        """Every number that the training logged, as arrays by `split/name`, oldest first.

        `metrics["validation/accuracy"]` was measured after the steps `metrics["validation/step"]`.
        Where a record lacks a number, the array holds NaN.

        Raises:
            RunDirectoryError: if `metrics.jsonl` is damaged.
        """
        return logged_arrays(self.directory / METRICS)

    @property
    def taus(self) -> list[np.ndarray]:
        """Step sizes of every stage whose depth is time, those of layers that lead to it first."""
        return [np.asarray(taus) for taus in jax.device_get(self.network.taus())]

    def weights(self, layer: int, stage: int = 0) -> dict[str, np.ndarray]:
        """Weights and running statistics of one layer of a block, by dotted name.

        Args:
            layer: A set of weights of the block, from 0; -1 is the last. Weights that are functions
                of depth are those at the start of that step.
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
        """What the network says about inputs as the data set holds them.

        They are normalised as the training's were, and run in batches of the training's size.

        Args:
            inputs: Shape `(n, *example)` as in `dataset.test.inputs`: images in the same type and
                range (grey ones also without their channel), or vectors of numbers.
            discretisation: Another integrator or number of steps for every block.

        Returns:
            `outputs` for every example; of a classifier `labels` and `probabilities` too.

        Raises:
            ConfigError: if the inputs are not like those of the data set, or a block cannot be
                integrated that way.

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
        """States of examples at all points of the grid, for every block of the network.

        All examples are followed at once, and every state is kept: take a few.

        Args:
            inputs: As in `predict`.

        Returns:
            For every block an array of shape `(points, n, *state)`: from the state in which the
            block begins to the one in which it ends.

        Raises:
            ConfigError: if the inputs are not like those of the data set.
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
        """Metrics on a split, as `odenet eval` gives them, maybe under another integrator.

        Args:
            overrides: As in `load`.
            split: `train`, `validation` or `test`.
            step_factor: Number of steps, as a multiple of those in training.
            keywords: Overrides as keywords, `__` standing for the dot:
                `run.evaluate(model__block__integrator={"kind": "rk4"})`.

        Returns:
            `accuracy` (classifiers), `loss`, `nfe` and the other metrics, with the step of the
            checkpoint and the time per batch.

        Raises:
            OdenetError: as its children say.
        """
        if split not in ("train", "validation", "test"):
            raise ConfigError(f"a split is train, validation or test; got {split!r}")
        pairs = override_pairs(overrides)
        pairs += override_pairs({key.replace("__", "."): value for key, value in keywords.items()})
        run = self.with_overrides(pairs) if pairs else self
        about = {"directory": str(self.directory), "split": split, "checkpoint": self.which}
        return about | measured(run.experiment, run.checkpoint, split, step_factor)

    def with_overrides(self, overrides: Overrides) -> "Run":
        """The same run with some more of its experiment set otherwise.

        Args:
            overrides: As in `load`, for the integrator or the data.

        Raises:
            OdenetError: as its children say.
        """
        pairs = [*self.overrides, *override_pairs(overrides)]
        run = load(self.directory, pairs, self.which, self.data_dir)
        return run if self.given_taus is None else run.with_taus(self.given_taus)

    def with_taus(self, taus: Any) -> "Run":
        """The same run with the same weights and other step sizes, no longer learned.

        Args:
            taus: For every stage an array like that in the list `taus`; of a network of one stage
                also that array alone. A block takes any multiple of its number of layers as steps.

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
    """A trained network from its run directory, maybe under another integrator.

    Args:
        directory: A run directory.
        overrides: `"dotted.key=value"`, one or several, or a mapping from dotted keys to values,
            for the integrator or the data; the parameters must still fit.
        which: The last checkpoint, the best, or the start of the training.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if it is the directory of a comparison, or an override has no effect.
        OdenetError: as its other children say.
    """
    directory, pairs = Path(directory), override_pairs(overrides)
    folder = None if data_dir is None else Path(data_dir)
    experiment, checkpoint = load_trained(directory, pairs, which, folder)
    return Run(directory, experiment, checkpoint, which, tuple(pairs), None, folder)
