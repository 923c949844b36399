"""The order of the examples in every epoch, a function of the epoch number alone."""

import threading
from collections import OrderedDict

import numpy as np
from jaxtyping import Int32

KEPT = 2
"""Number of cached orders: threads may need the orders of two consecutive epochs."""


class EpochOrder:
    """The indices of the examples of step `s`, for any `s`, from any thread.

    Epoch `e` is a permutation of all examples by a counter-based generator with key `(seed, e)`
    (Philox; Salmon et al. 2011). Step `s` is batch `s % steps_per_epoch` of epoch
    `s // steps_per_epoch`. The examples after the last whole batch of an epoch are dropped; they
    are different in each epoch. Steps share no state.

    Args:
        num_examples: At least `batch_size`, and less than 2^31.
        batch_size: Number of examples per step.
        seed: At least 0 and less than 2^64.
    """

    def __init__(self, num_examples: int, batch_size: int, seed: int):
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = num_examples // batch_size
        self._lock = threading.Lock()
        self._recent: OrderedDict[int, Int32[np.ndarray, " examples"]] = OrderedDict()

    def indices(self, first: int, steps: int) -> Int32[np.ndarray, "steps batch"]:
        """The indices of the examples of the steps `first` to `first + steps - 1`."""
        runs = []
        step, stop = first, first + steps
        while step < stop:
            epoch, batch = divmod(step, self.steps_per_epoch)
            count = min(stop - step, self.steps_per_epoch - batch)
            start = batch * self.batch_size
            runs.append(self._permutation(epoch)[start : start + count * self.batch_size])
            step += count
        return np.concatenate(runs).reshape(steps, self.batch_size)

    def _permutation(self, epoch: int) -> Int32[np.ndarray, " examples"]:
        with self._lock:
            if epoch not in self._recent:
                key = np.array([self.seed, epoch], dtype=np.uint64)
                rng = np.random.Generator(np.random.Philox(key=key))
                self._recent[epoch] = rng.permutation(self.num_examples).astype(np.int32)
                if len(self._recent) > KEPT:
                    self._recent.popitem(last=False)
            return self._recent[epoch]
