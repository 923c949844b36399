import dataclasses
import functools

import jax
import numpy as np
import pytest
from tiny_experiment import classifier, configured, tiny
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.experiment.build import build
from odenet.experiment.config import to_yaml

VALUES = tiny(
    classifier(8, num_steps=3, field={"kind": "mlp"}),
    num_steps=24,
    log_every=2,
    evaluate_every=12,
    checkpoint_every=6,
    optimizer={"kind": "sgd", "learning_rate": 0.05},
)


@pytest.fixture
def configure():
    """Makes the tiny experiment with values set by dotted key."""
    return functools.partial(configured, VALUES)


@dataclasses.dataclass
class Taken:
    """What some steps of training gave."""

    params: dict
    metrics: dict
    statistics: dict


@pytest.fixture
def take_steps():
    """Takes the first dispatches of an experiment, and returns what they gave."""

    def take(config, dispatches=1):
        experiment = build(config)
        resident = experiment.resident()
        metrics = []
        with experiment.batches() as batches:
            chunks = [next(batches) for _ in range(dispatches)]
        program = experiment.compile(resident, chunks[0])
        state = experiment.start
        for chunk in chunks:
            state, found = program.run(state, resident, experiment.placement.place_chunk(chunk))
            metrics.append(jax.device_get(found))
        joined = {name: np.concatenate([m[name] for m in metrics]) for name in metrics[0]}
        return Taken(jax.device_get(state.params), joined, jax.device_get(state.statistics))

    return take


@pytest.fixture(scope="module")
def taken():
    """Results of the file's experiments, by their values and number of dispatches."""
    return {}


@pytest.fixture
def take_once(take_steps, taken):
    """As `take_steps`, once per experiment: reference trainings that several tests read."""

    def take(config, dispatches=1):
        key = to_yaml(config), dispatches
        if key not in taken:
            taken[key] = take_steps(config, dispatches)
        return taken[key]

    return take
