"""Runs that are stopped at a step, and runs that must agree with them bit for bit."""

import json
import signal

import numpy as np
from stored_runs import checkpoint, stored
from without_clock import without_clock

from odenet.training.callbacks import Callback, read_metrics


class SignalAt(Callback):
    """Sends this process a signal at an event after a step, as an operator would."""

    def __init__(self, step, event):
        self.step, self.when, self.sent = step, frozenset({event}), False

    def __call__(self, info):
        if info.step >= self.step and not self.sent:
            self.sent = True
            if info.event == "end":  # between two networks, where a signal is obeyed at once
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)


def results_of(path):
    return json.loads((path / "results.json").read_text())


def assert_same_state(one, other):
    states = stored(one), stored(other)
    assert states[0].keys() == states[1].keys()
    for path, leaf in states[0].items():
        np.testing.assert_array_equal(leaf, states[1][path], err_msg=path)


def assert_same_run(one, other):
    metrics = [without_clock(read_metrics(path / "metrics.jsonl")) for path in (one, other)]
    assert metrics[0] == metrics[1]
    assert_same_state(one, other)
    assert checkpoint(one).extras == checkpoint(other).extras
    assert results_of(one)["levels"] == results_of(other)["levels"]
