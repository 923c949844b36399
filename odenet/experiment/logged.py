"""The metrics of a training as arrays."""

from pathlib import Path

import numpy as np

from odenet.training.callbacks import Record, read_metrics


def logged_arrays(path: Path) -> dict[str, np.ndarray]:
    """All metrics of a metrics file, as arrays by `split/name`, oldest first.

    A metric that is missing in a record is NaN in its array. The steps of a split are integers.

    Args:
        path: A `metrics.jsonl`; a missing file counts as empty.

    Raises:
        RunDirectoryError: if the file is damaged.
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
