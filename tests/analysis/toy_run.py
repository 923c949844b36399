"""A run on points in the plane that trains in a second, for instruments to look at."""

import shutil

import yaml
from user_settings import as_a_user

from odenet.experiment.config import parse_config
from odenet.experiment.run import run


def toy_values(**block):
    """Values of an experiment whose field is smooth and not small."""
    return {
        "name": "toy",
        "data": {"kind": "two_moons", "train": 128, "validation": 32, "test": 96},
        "model": {
            "kind": "classifier",
            "stem": {"kind": "flatten"},
            "stages": [{"width": 2}],
            "block": {
                "num_steps": 4,
                "field": {"kind": "mlp", "form": "between", "hidden": [8]},
                "weights": {"kind": "shared_with_time"},
                "step_sizes": {"kind": "fixed", "horizon": 1.0},
                **block,
            },
        },
        "training": {
            "num_steps": 20,
            "batch_size": 32,
            "parallel": {"devices": 1},
            "optimizer": {"kind": "adamw", "learning_rate": 0.02},
        },
    }


def toy_run(directory, seed=0, **block):
    """Train it into a new directory."""
    with as_a_user():
        run(parse_config(toy_values(**block), [("seed", seed)]), directory)
    return directory


def copy_with(path, run, **values):
    """A copy of a run directory whose experiment has other values."""
    shutil.copytree(run, path)
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump(_merged(config, values)))
    return path


def _merged(values, others):
    nested = {k: _merged(values[k], v) for k, v in others.items() if isinstance(v, dict)}
    return values | others | nested
