"""The metrics of a training as arrays."""

from pathlib import Path

import numpy as np

from odenet.training.callbacks import Record, read_metrics


def logged_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every number of a metrics file, as arrays by `split/name`, oldest first.

    Where a record lacks a number, the array holds NaN. The steps of a split are integers.

    Args:
        path: A `metrics.jsonl`; none is an empty one.

    Raises:
        RunDirectoryError: if it is damaged.
    """
    by_split: dict[str, list[Record]] = {}
    for record in read_metrics(path):
        by_split.setdefault(record["split"], []).append(record)
    found = {}
    for split, records in by_split.items():
        names = dict.fromkeys(name for record in records for name in record if name != "split")
        for name in names:
            values = [record.get(name) for record in records]
            found[f"{split}/{name}"] = np.array(
                [np.nan if value is None else value for value in values],
                np.int64 if name == "step" else np.float64,
            )
    return found
