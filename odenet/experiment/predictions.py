"""Predictions for inputs in the form of a data set."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from odenet.data import Dataset, Split, evaluation_batches
from odenet.errors import ConfigError
from odenet.integrators import Failure
from odenet.models import Discretisation
from odenet.training.loop import SolverWarning


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """Outputs of a network for `n` examples.

    Attributes:
        outputs: Logits or values, float32 of shape `(n, num_outputs)`.
        is_classifier: Whether the outputs are logits.
    """

    outputs: np.ndarray
    is_classifier: bool

    @property
    def labels(self) -> np.ndarray:
        """The most likely class of every example, int32 of shape `(n,)`.

        Raises:
            ConfigError: if the outputs are values.
        """
        self._require_logits("labels")
        return np.argmax(self.outputs, axis=-1).astype(np.int32)

    @property
    def probabilities(self) -> np.ndarray:
        """The softmax of the logits, shape `(n, num_classes)`.

        Raises:
            ConfigError: if the outputs are values.
        """
        self._require_logits("probabilities")
        shifted = np.exp(self.outputs - self.outputs.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)

    def _require_logits(self, name: str) -> None:
        if not self.is_classifier:
            raise ConfigError(f"a regressor has no {name}; its values are in `outputs`")


def as_stored(inputs: Any, dataset: Dataset) -> np.ndarray:
    """Convert inputs to an array of the dtype and shape of a data set.

    Args:
        inputs: Examples along the first axis.
        dataset: The data set that determines dtype and shape.

    Raises:
        ConfigError: naming the given and the required dtype and shape.
    """
    array, like = np.asarray(inputs), dataset.train.inputs
    shape = dataset.input_shape
    if len(shape) == 3 and shape[-1] == 1 and array.shape[1:] == shape[:-1]:
        array = array[..., None]
    wanted = f"{like.dtype} of shape (n, {', '.join(map(str, shape))})"
    given = f"{array.dtype} of shape {array.shape}"
    if array.shape[1:] != shape or not len(array):
        fix = "; one example needs a first axis: inputs[None]" if array.shape == shape else ""
        raise ConfigError(f"inputs must have the form of the data set, {wanted}; got {given}{fix}")
    if array.dtype == like.dtype:
        return array
    vectors = len(shape) == 1 and array.dtype.kind in "iuf"
    images = len(shape) == 3 and like.dtype.kind == array.dtype.kind == "f"
    if not (vectors or images):
        raise ConfigError(
            f"inputs must have the form of the data set and are normalised here, so they must be "
            f"{wanted}; got {given}; for pixels from 0 to 255 use `inputs.astype(np.uint8)`; for "
            f"normalised inputs use run.network"
        )
    return array.astype(like.dtype)


def predicted(
    forward: Callable[[Any, Any, Discretisation | None], tuple[jax.Array, jax.Array]],
    inputs: np.ndarray,
    batch_size: int,
    is_classifier: bool,
    discretisation: Discretisation | None,
) -> Predictions:
    """Outputs for all inputs, in batches as in an evaluation.

    Args:
        forward: Compiled function of a batch, its example weights (0 for padding) and the
            discretisation; returns the outputs and the failure code of the solves.
        inputs: Inputs in the form of the data set.
        batch_size: Batch size of the training; fewer inputs form one batch.
        is_classifier: Whether outputs are logits.
        discretisation: Passed to `forward`.

    Warns:
        SolverWarning: if a solve did not reach the end of its interval.
    """
    split = Split(inputs, np.zeros(len(inputs), np.int32))
    batches = evaluation_batches(split, min(batch_size, len(split)))
    found = jax.device_get(
        [
            forward(batch, weights, discretisation)
            for batch, weights in zip(batches.inputs, batches.weights, strict=True)
        ]
    )
    failures = [int(failure) for _, failure in found]
    if any(failures):
        first = next(index for index, failure in enumerate(failures) if failure)
        warnings.warn(
            f"solves did not reach the end of their interval in {np.count_nonzero(failures)} of "
            f"{len(failures)} batches, first in batch {first}: {Failure(failures[first]).reason}",
            SolverWarning,
            stacklevel=3,
        )
    outputs = np.stack([outputs for outputs, _ in found])
    return Predictions(outputs[batches.weights > 0], is_classifier)
