"""Batches: for training without end and from any position, for evaluation once through."""

import sys
from collections.abc import Mapping
from typing import Any

import grain
import numpy as np

from odenet.data.dataset import Batch, Split
from odenet.data.permutation import EpochOrder
from odenet.errors import DataError


class _Dispatches:
    """What grain reads: element `i` is the `steps` steps from `first + i * steps` on."""

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
    """Shuffled batches without end, `steps` of them at a time.

    A small model takes less time for a step than Python does to ask for one, so that an element is
    what a loop hands to the device at once: `steps` consecutive batches. It is a dict with

    * `indices`, int32 of shape `(steps, batch_size)`, if the data are resident on the device;
    * else `inputs`, `(steps, batch_size, *example)`, and `targets`, gathered ahead by threads.

    Which examples step `s` sees depends on `seed` and `s` alone (see `EpochOrder`); the last
    partial batch of an epoch is dropped. Close it, or use it in a `with`, to end the threads.

    Args:
        split: Training examples.
        batch_size: At most the number of examples.
        steps: Batches per element, at least 1.
        seed: Of the order, at least 0 and less than 2^64.
        resident: Whether to give indices and no examples.

    Raises:
        DataError: If a number is out of its range.
    """

    def __init__(self, split: Split, batch_size: int, steps: int, seed: int, resident: bool):
        if not 1 <= batch_size <= len(split):
            raise DataError(
                f"a batch holds 1 to {len(split)} examples, as many as there are to train on; got "
                f"batch_size {batch_size}"
            )
        if steps < 1 or not 0 <= seed < 2**64:
            raise DataError(
                f"`steps` is at least 1 and `seed` at least 0 and less than 2^64; got {steps} and "
                f"{seed}"
            )
        self.steps = steps
        self.resident = resident
        self._split = split
        self._order = EpochOrder(len(split), batch_size, seed)
        self._open(first=0)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training part."""
        return self._order.steps_per_epoch

    @property
    def step(self) -> int:
        """The first step of the element that comes next."""
        return self._first + self._iterator.get_state()["next_index"] * self.steps

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._iterator)

    def state(self) -> dict[str, int]:
        """The position, and what else decides the batches that come next; can be written as JSON.

        `steps` is not part of it: a run may go on with more or fewer batches at a time.
        """
        return {"step": self.step, **self._identity()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on at a saved position with the batches that would have come next.

        Args:
            state: As `state` gave it, maybe for another number of `steps`.

        Raises:
            DataError: If it was saved for other data, another batch size or another seed.
        """
        identity = self._identity()
        saved = {key: state.get(key) for key in identity}
        step = state.get("step")
        if saved != identity or not isinstance(step, int) or step < 0:
            raise DataError(
                f"a position fits the data, batch size and seed it was saved for, {identity}; got "
                f"{dict(state)}; resume with the configuration of the saved run"
            )
        self._iterator.close()
        self._open(first=step)

    def close(self) -> None:
        """End the threads; no batches come after this."""
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
        # Indices take microseconds, less than handing them from thread to thread. Two threads and
        # two dispatches ahead hide the gathering of examples, and keep little memory.
        ahead = 0 if self.resident else 2
        options = grain.ReadOptions(num_threads=ahead, prefetch_buffer_size=ahead)
        self._iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))


def evaluation_batches(split: Split, batch_size: int) -> Batch:
    """All examples in order, stacked as batches of one size.

    Args:
        split: What to evaluate.
        batch_size: At least 1.

    Returns:
        Numpy arrays with leading axes `(num_batches, batch_size)`. The last batch is filled up
        with copies of example 0 of weight 0, so that the weights sum to `len(split)`.

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
    """Whether the arrays of a split take at most `limit_bytes`, to be kept on the device."""
    return split.inputs.nbytes + split.targets.nbytes <= limit_bytes
