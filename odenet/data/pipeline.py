"""Batches: an endless, resumable stream for training, and one pass for evaluation."""

import sys
from collections.abc import Mapping
from typing import Any

import grain
import numpy as np

from odenet.data.dataset import Batch, Split
from odenet.data.permutation import EpochOrder
from odenet.errors import DataError


class _Dispatches:
    """The source for grain: element `i` holds the `steps` steps from `first + i * steps` on."""

    def __init__(self, split: Split, order: EpochOrder, first: int, steps: int, resident: bool):
        self._split = split
        self._order = order
        self._first = first
        self._steps = steps
        self._resident = resident

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        indices = self._order.indices(self._first + index * self._steps, self._steps)
        if self._resident:
            return {"indices": indices}
        return {"inputs": self._split.inputs[indices], "targets": self._split.targets[indices]}


class TrainingBatches:
    """An endless stream of shuffled batches; each element holds `steps` of them.

    A training step of a small model is shorter than its dispatch by Python. An element therefore
    holds `steps` consecutive batches, which the loop dispatches to the device at once. It is a dict
    with

    * `indices`, int32 of shape `(steps, batch_size)`, if the data are resident on the device;
    * else `inputs`, `(steps, batch_size, *example)`, and `targets`, prefetched by threads.

    The examples of step `s` depend only on `seed` and `s` (see `EpochOrder`); the last partial
    batch of an epoch is dropped. Close the stream, or use it in a `with`, to end the threads.

    Args:
        split: Training examples.
        batch_size: Number of examples per batch, at most the number of examples.
        steps: Number of batches per element, at least 1.
        seed: Seed of the order, at least 0 and less than 2^64.
        resident: Whether an element holds indices instead of examples.

    Raises:
        DataError: If a number is out of range.
    """

    def __init__(self, split: Split, batch_size: int, steps: int, seed: int, resident: bool):
        if not 1 <= batch_size <= len(split):
            raise DataError(
                f"a batch holds 1 to {len(split)} examples, the number of training examples; got "
                f"batch_size {batch_size}"
            )
        if steps < 1 or not 0 <= seed < 2**64:
            raise DataError(
                f"`steps` must be at least 1 and `seed` at least 0 and less than 2^64; got {steps} "
                f"and {seed}"
            )
        self.steps = steps
        self.resident = resident
        self._split = split
        self._order = EpochOrder(len(split), batch_size, seed)
        self._open(first=0)

    @property
    def steps_per_epoch(self) -> int:
        """Number of whole batches in the training split."""
        return self._order.steps_per_epoch

    @property
    def step(self) -> int:
        """The first step of the next element."""
        return self._first + self._iterator.get_state()["next_index"] * self.steps

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._iterator)

    def state(self) -> dict[str, int]:
        """The position, seed, batch size and number of examples, as plain data for JSON.

        `steps` is not part of it: a run may be resumed with another number of batches per element.
        """
        return {"step": self.step, **self._identity()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume at a saved position.

        Args:
            state: A result of `state`; `steps` may differ.

        Raises:
            DataError: If it was saved for other data, another batch size or another seed.
        """
        identity = self._identity()
        saved = {key: state.get(key) for key in identity}
        step = state.get("step")
        if saved != identity or not isinstance(step, int) or step < 0:
            raise DataError(
                f"a saved position must have the same data, batch size and seed, {identity}; got "
                f"{dict(state)}; resume with the configuration of the saved run"
            )
        self._iterator.close()
        self._open(first=step)

    def close(self) -> None:
        """End the threads and the stream."""
        self._iterator.close()

    def __enter__(self) -> "TrainingBatches":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _identity(self) -> dict[str, int]:
        order = self._order
        return {
            "seed": order.seed,
            "batch_size": order.batch_size,
            "num_examples": order.num_examples,
        }

    def _open(self, first: int) -> None:
        self._first = first
        source = _Dispatches(self._split, self._order, first, self.steps, self.resident)
        # Indices take microseconds, less than a transfer between threads. Two threads and two
        # prefetched elements hide the gathering of examples and need little memory.
        ahead = 0 if self.resident else 2
        options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead)
        self._iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))


def evaluation_batches(split: Split, batch_size: int) -> Batch:
    """All examples in order, stacked as batches of one size.

    Args:
        split: Examples to evaluate.
        batch_size: At least 1.

    Returns:
        Numpy arrays with leading axes `(num_batches, batch_size)`. The last batch is padded with
        copies of example 0 of weight 0, so that the weights sum to `len(split)`.

    Raises:
        DataError: If `batch_size` is less than 1.
    """
    if batch_size < 1:
        raise DataError(f"a batch holds at least one example; got batch_size {batch_size}")
    num_batches = -(-len(split) // batch_size)
    indices = np.zeros(num_batches * batch_size, dtype=np.int32)
    indices[: len(split)] = np.arange(len(split), dtype=np.int32)
    weights = np.zeros(num_batches * batch_size, dtype=np.float32)
    weights[: len(split)] = 1.0
    shape = (num_batches, batch_size)
    return Batch(
        inputs=split.inputs[indices.reshape(shape)],
        targets=split.targets[indices.reshape(shape)],
        weights=weights.reshape(shape),
    )


def is_small(split: Split, limit_bytes: int) -> bool:
    """Whether the arrays of a split have at most `limit_bytes`, so that they fit on the device."""
    return split.inputs.nbytes + split.targets.nbytes <= limit_bytes
