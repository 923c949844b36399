"""An experiment on handwritten digits that trains in seconds, for each test to change."""

from odenet.experiment.config import parse_config

DIGITS = {"kind": "digits", "validation": 100, "test": 100}


def tiny(model, **training):
    """Values of an experiment with that model; `training` sets values of its training."""
    batches = {"batch_size": 16, "parallel": {"devices": 1}}
    return {"name": "tiny", "data": DIGITS, "model": model, "training": batches | training}


def classifier(width, **block):
    """A classifier of one stage, with a block of these values."""
    return {"kind": "classifier", "stages": [{"width": width}], "block": block}


def configured(values, **changes):
    """The experiment, with values set by dotted key, `__` standing for the dot."""
    return parse_config(values, [(key.replace("__", "."), value) for key, value in changes.items()])
