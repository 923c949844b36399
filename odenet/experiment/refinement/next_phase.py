"""The transition to the next phase of a training, at a change of depth."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from odenet.experiment.build import Experiment, build
from odenet.experiment.directory import LEVELS, RunDirectory, read_json
from odenet.experiment.held_network import extras_of
from odenet.experiment.phase import Phase
from odenet.experiment.refinement.surgery import DepthChange
from odenet.narration import doing
from odenet.training import TrainState
from odenet.training.checkpoint import Checkpoint, fitted, named

ORDINARY_STEPS = 8
"""Number of ordinary training steps against whose effect on the loss the change is measured."""


def next_phase(phase: Phase, change: DepthChange, run_directory: RunDirectory) -> Phase:
    """The training phase with the next network, from the same step.

    The effect of the change on the validation loss is measured and appended to `levels.json`.

    Args:
        phase: The phase before the change.
        change: The change of the network.
        run_directory: The run directory.
    """
    arrays = named(jax.device_get(phase.state))
    old, origin = phase.experiment, phase.experiment.origin
    begin = None if origin is None else lambda params, rest: (params, rest, origin)
    new = build(change.config, begin=begin, dataset=old.dataset)
    found = Checkpoint(phase.step, change.arrays(arrays), {}, "")
    state = new.placement.place(fitted(found, new.template, "the changed network").state)
    with doing("measuring the effect of the change of depth"):
        jump = _jump(phase, new, state)
    record = {
        "step": phase.step,
        **change.record,
        "num_parameters": [old.num_parameters, new.num_parameters],
        **jump,
    }
    earlier = [one for one in phase_records(run_directory) if one["step"] < phase.step]
    run_directory.write_json(LEVELS, [*earlier, record])
    # The scores so far are those of the old network.
    progress = dataclasses.replace(phase.progress, best_score=None, best_step=None)
    extras = extras_of(change.config, phase.step)
    return Phase(new, state, phase.step, phase.data, progress, extras)


def phase_records(run_directory: RunDirectory) -> list[dict[str, Any]]:
    """The records of the changes of depth so far, oldest first."""
    return read_json(run_directory.file(LEVELS)) if run_directory.file(LEVELS).exists() else []


def _jump(phase: Phase, new: Experiment, state: TrainState) -> dict[str, Any]:
    """The validation loss before and after the change, and after ordinary steps instead of it."""
    old = phase.experiment
    validation = old.evaluator(old.dataset.validation)

    def loss(evaluator, state):
        return evaluator(state.params, state.statistics).metrics["loss"]

    before = loss(validation, phase.state)
    after = loss(new.evaluator(new.dataset.validation), state)
    stepped = [loss(validation, state) for state in _more_steps(phase)]
    changes = np.diff([before, *stepped])
    return {
        "split": "validation",
        "loss_before": before,
        "loss_after": after,
        "loss_after_one_step": stepped[0],
        "jump": after - before,
        "change_of_one_step": float(changes[0]),
        "largest_change_of_a_step": float(np.max(np.abs(changes))),
    }


def _more_steps(phase: Phase) -> Iterator[TrainState]:
    """The states after further steps of the old network, without the change."""
    experiment = phase.experiment
    chunks = []
    with experiment.batches() as batches:
        batches.restore(phase.data or batches.state())
        while len(chunks) < ORDINARY_STEPS:
            found = next(batches)
            chunks += [
                {name: leaf[step : step + 1] for name, leaf in found.items()}
                for step in range(batches.steps)
            ]
    resident = experiment.resident()
    program = experiment.compile(resident, chunks[0])
    state = jax.tree.map(lambda leaf: leaf.copy(), phase.state)  # a step donates its input
    for chunk in chunks[:ORDINARY_STEPS]:
        state = program.run(state, resident, experiment.placement.place_chunk(chunk))[0]
        yield state
