"""The training loop: dispatches, metrics, evaluations and checkpoints, in a fixed order."""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from odenet.data import TrainingBatches
from odenet.errors import NonFiniteLoss, SolverFailure
from odenet.integrators import Failure
from odenet.integrators.reconstruction import LARGEST_ERROR
from odenet.models import Network
from odenet.narration import doing
from odenet.training.callbacks import Callback, Event, Info, Record, StopTraining
from odenet.training.checkpoint import Checkpointer
from odenet.training.config import TrainingConfig
from odenet.training.evaluate import FAILURE_METRICS, Evaluation
from odenet.training.interrupt import Interrupted, Stopped, StopRequest
from odenet.training.parallel import Compiled, Placement
from odenet.training.state import TrainState
from odenet.training.step import Resident


class SolverWarning(UserWarning):
    """A solve did not reach t1, and the run continues as its configuration says."""


@dataclasses.dataclass
class Progress:
    """The progress of a run besides its state; saved with every checkpoint.

    Attributes:
        best_score: Validation accuracy, or minus the validation loss; None before the first.
        best_step: The step of the best score.
        solver_failures: Number of training steps in which a solve did not reach t1.
    """

    best_score: float | None = None
    best_step: int | None = None
    solver_failures: int = 0


@dataclasses.dataclass
class Fit:
    """One training, from one state to a later one.

    Args:
        config: Lengths and intervals.
        program: The compiled dispatch.
        placement: Places chunks on the devices.
        resident: The training split on the device, or None.
        batches: Source of the chunks.
        evaluate: Evaluates parameters on the validation split.
        checkpointer: Saves checkpoints.
        callbacks: Run at their events, in order.
        progress: Progress of an earlier part of the run.
        finish: Applied to the state after the last step, before it is evaluated and saved; or None.
        watch_test: Evaluates parameters on the test split, for its curve; or None.
        leaves: Whether the network changes after a step, so that its part of the training ends
            there; or None, if it never changes.
        network: Makes the network of a state, for callbacks; or None.
        extras: Data saved with every checkpoint besides progress and data position.
    """

    config: TrainingConfig
    program: Compiled
    placement: Placement
    resident: Resident
    batches: TrainingBatches
    evaluate: Callable[[Any, Any], Evaluation]
    checkpointer: Checkpointer
    callbacks: Sequence[Callback]
    progress: Progress
    finish: Callable[[TrainState], TrainState] | None = None
    watch_test: Callable[[Any, Any], Evaluation] | None = None
    leaves: Callable[[int, TrainState], bool] | None = None
    extras: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: Callable[[TrainState], Network] | None = None
    step_seconds: list[float] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        self._dispatch_steps = self.config.dispatch_steps  # computed once, not per dispatch
        self._asked: str | None = None  # why a callback requests a stop

    def run(self, state: TrainState) -> TrainState:
        """Train to the last step, or to the next change of the network; return the state after it.

        The order after every dispatch: metrics are checked and logged; after the last dispatch,
        `finish` is applied to the state; the evaluation runs, if one is due; callbacks inspect the
        state, if that is due; the checkpoint is saved, if one is due. Metrics of a dispatch are
        fetched while the next one runs, unless something is due.

        Raises:
            NonFiniteLoss: if the loss is not finite; the last checkpoint is finite.
            SolverFailure: if a solve did not reach t1 and `on_solver_failure` is `stop`, or if it
                is `warn` and the update was not finite.
            Interrupted: after SIGTERM or Ctrl-C, or as `Stopped` after a callback raised
                `StopTraining`, once everything is saved.
        """
        step, last, leaving = int(state.step), self.config.num_steps, False
        self._tell("start", step, [self.program.record(step)] if step < last else [], state)
        pending: list[tuple[int, Any]] = []
        can_resume = self.checkpointer.has("last")
        self._clock = time.perf_counter()
        try:
            with StopRequest() as stop:
                while step < last and not (leaving or stop.signum or self._asked):
                    chunk = self.placement.place_chunk(next(self.batches))
                    state, metrics = self.program.run(state, self.resident, chunk)
                    step += self._dispatch_steps
                    pending.append((step, metrics))
                    leaving = step < last and self.leaves is not None and self.leaves(step, state)
                    ends = step == last or leaving
                    evaluation_due = ends or step % self.config.evaluation_interval == 0
                    save_due = ends or step % self.config.checkpoint_interval == 0
                    look_due = self.config.inspection_due(step)
                    due = evaluation_due or look_due or save_due or stop.signum is not None
                    keep = 0 if due else 1
                    self._log(pending, keep)
                    if step == last and self.finish is not None:
                        with doing("averaging the statistics of batch norms"):
                            state = self.finish(state)
                    better = evaluation_due and self._evaluate(step, state)
                    if better and can_resume:
                        self._save("best", step, state)
                    if look_due:
                        with doing("measuring"):
                            self._tell("inspect", step, state=state)
                        self._clock = time.perf_counter()
                    if save_due or (better and not can_resume):
                        self._save("last", step, state)
                    if better and not can_resume:
                        # A run with `best` but without `last` could not be resumed.
                        self._save("best", step, state)
                    can_resume = can_resume or save_due or better
                if stop.signum is not None:
                    self._log(pending, 0)
                    self._save("last", step, state)
                    self.checkpointer.wait()
                    raise Interrupted(
                        f"stopped by a signal; saved at step {step} of {last}", stop.signum
                    )
                if self._asked is not None and step < last:
                    self._log(pending, 0)
                    self._save("last", step, state)
                    self.checkpointer.wait()
                    raise Stopped(
                        f"stopped by a callback ({self._asked}); saved at step {step} of {last}"
                    )
            self.checkpointer.wait()
        finally:
            self._tell("end", step)
        return state

    def _tell(
        self,
        event: Event,
        step: int,
        records: Sequence[Record] = (),
        state: TrainState | None = None,
    ) -> None:
        for callback in self.callbacks:
            if event in callback.when:
                info = Info(event, step, self.config.num_steps, records, state, self.network)
                try:
                    callback(info)
                except StopTraining as error:
                    self._asked = self._asked or str(error) or type(callback).__name__

    def _log(self, pending: list[tuple[int, Any]], keep: int) -> None:
        """Fetch, check and log the metrics of all but the last `keep` dispatches."""
        while len(pending) > keep:
            end, device_metrics = pending.pop(0)
            metrics = jax.device_get(device_metrics)
            now = time.perf_counter()
            seconds = (now - self._clock) / self._dispatch_steps
            self._clock = now
            self.step_seconds.append(seconds)
            records = self._records(end, metrics, seconds)
            self._check(end, metrics, records)
            if records:
                self._tell("log", end, records)

    def _records(self, end: int, metrics: Any, seconds: float) -> list[Record]:
        steps = range(end - self._dispatch_steps + 1, end + 1)
        return [
            {"step": step, "split": "train"}
            | {name: float(values[row]) for name, values in metrics.items()}
            | {"step_seconds": seconds}
            for row, step in enumerate(steps)
            if (step % self.config.log_every == 0 or step == self.config.num_steps)
            and np.isfinite(metrics["objective"][row])
        ]

    def _check(self, end: int, metrics: Any, records: list[Record]) -> None:
        """Stop at a solve that did not reach t1, and at a loss that is not finite."""
        first = end - self._dispatch_steps + 1
        failed = metrics["solver_ok"] < 1
        stops = self.config.on_solver_failure == "stop"
        bad = ~(np.isfinite(metrics["objective"]) & np.isfinite(metrics["gradient_norm"]))
        if self.config.on_solver_failure == "skip":
            bad &= ~failed
        broken = bad | failed if stops else bad
        row = int(np.argmax(broken)) if broken.any() else self._dispatch_steps
        count = int(np.count_nonzero(failed[: row + 1]))
        self.progress.solver_failures += count
        if count and not stops:
            message = failure_message(first, metrics, int(np.argmax(failed)), count)
            warnings.warn(message, SolverWarning, stacklevel=2)
        if row == self._dispatch_steps:
            return
        good = [record for record in records if record["step"] < first + row]
        if good:
            self._tell("log", end, good)
        not_finite = metrics["solver_failure"][row] == int(Failure.NOT_FINITE)
        if failed[row] and not (bad[row] and not_finite):
            raise SolverFailure(failure_message(first, metrics, row, 1))
        where = f", the state from model.stages.{_stage(metrics, row)} on" if failed[row] else ""
        last = _described(metrics, row - 1) if row else "in the lines before"
        raise NonFiniteLoss(
            f"the loss or its gradient is not finite at step {first + row}{where}; last finite "
            f"metrics: {last}; lower training.optimizer.learning_rate, set "
            f"training.optimizer.gradient_clip, or shorten the step sizes; with "
            f"adjoint.kind=backsolve, the backward solve may have failed: raise max_steps, or use "
            f"adjoint.kind=checkpointed"
        )

    def _evaluate(self, step: int, state: TrainState) -> bool:
        """Evaluate, and return whether the state is the best so far."""
        with doing("evaluating on validation"):
            found = self.evaluate(state.params, state.statistics)
        if not math.isfinite(found.metrics["loss"]):
            raise NonFiniteLoss(f"the validation loss is not finite at step {step}")
        records = [_record(step, "validation", found)]
        if self.watch_test is not None:
            with doing("evaluating on test"):
                watched = self.watch_test(state.params, state.statistics)
            records.append(_record(step, "test", watched))
        self._tell("evaluate", step, records, state)
        score = found.metrics.get("accuracy", -found.metrics["loss"])
        best = self.progress.best_score is None or score > self.progress.best_score
        if best:
            self.progress.best_score, self.progress.best_step = score, step
        self._clock = time.perf_counter()
        return best

    def _save(self, which: Any, step: int, state: TrainState) -> None:
        extras = {"progress": dataclasses.asdict(self.progress), "data": self.batches.state()}
        self.checkpointer.save(which, step, state, extras | dict(self.extras))
        self._tell("checkpoint", step)
        self._clock = time.perf_counter()


def _record(step: int, split: str, found: Evaluation) -> Record:
    record: Record = {"step": step, "split": split} | found.metrics
    return record | {"batch_seconds": found.step_seconds}


def failure_message(first: int, metrics: Any, row: int, count: int) -> str:
    """The message about the solves that failed in a dispatch.

    Args:
        first: Step of the first row.
        metrics: Metrics of the dispatch, one row per step.
        row: The row of the first failure.
        count: Number of steps with a failure.
    """
    failure = Failure(int(metrics["solver_failure"][row]))
    steps = f"step {first + row}" + (f" and in {count - 1} steps after it" if count > 1 else "")
    if failure == Failure.OVER_BUDGET:
        return f"the solves took {metrics['nfe'][row]:g} evaluations at {steps}: {failure.reason}"
    if failure == Failure.RECONSTRUCTION:
        error = metrics["reconstruction_error"][row]
        return (
            f"the states that the backward pass reconstructed have a relative error of {error:.3g} "
            f"at {steps}, above {LARGEST_ERROR:g}: {failure.reason}"
        )
    return (
        f"a solve did not reach the end of its interval at {steps}, in model.stages."
        f"{_stage(metrics, row)}, layer {int(metrics['failed_layer'][row])} (from 0), at "
        f"depth-time {metrics['failed_time'][row]:.4g}: {failure.reason}"
    )


def _stage(metrics: Any, row: int) -> int:
    return int(metrics["failed_stage"][row])


def _described(metrics: Any, row: int) -> str:
    """The metrics of a step; the position of a failed solve only if one failed."""
    hidden = FAILURE_METRICS if metrics["solver_ok"][row] == 1 else ()
    return ", ".join(
        f"{name}={float(values[row]):.4g}" for name, values in metrics.items() if name not in hidden
    )
