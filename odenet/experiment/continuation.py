"""Choice of the checkpoint from which a run continues, and errors if there is none."""

import dataclasses
import shlex
import warnings
from pathlib import Path

from odenet.errors import CheckpointError, RunDirectoryError
from odenet.experiment.directory import CONFIG, RESULTS, RUN, STATUS, read_json
from odenet.training.checkpoint import Checkpoint, Checkpointer, Folder, Which, steps_on_disk

FROM_ELSEWHERE = {"refined": "refined", "pruned": "pruned", "weights": "imported"}
"""Keys of `run.json` for weights that a training from step 0 would not reproduce."""


class BeginsAgainWarning(UserWarning):
    """A run that was stopped before its first checkpoint starts again at step 0."""


class LostBestWarning(UserWarning):
    """The best checkpoint of a run is gone, and a later one will replace it."""


def checkpoint_to_continue(directory: Path, which: Which = "last") -> Checkpoint | None:
    """The checkpoint from which a run continues, or None before its first checkpoint.

    Args:
        directory: A run directory.
        which: The last checkpoint; or the best, if the last is lost.

    Raises:
        CheckpointError: if a checkpoint or imported weights are lost: a new start would replace
            the remaining files.
        RunDirectoryError: if `which` is the best and the last checkpoint exists.
    """
    folder = directory / "checkpoints"
    if which == "best" and steps_on_disk(folder / "last"):
        raise RunDirectoryError(
            f"a run continues from `best` only if `last` is lost, but {folder / 'last'} exists; "
            f"remove --checkpoint, or train from `best` into a new directory: "
            f"{_start_command(directory)}"
        )
    checkpointer = Checkpointer(folder)
    try:
        found = checkpointer.read(which)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_ways_on(directory, which)}") from error
    finally:
        checkpointer.close()
    if found is None:
        _refuse_to_replace(directory, which)
    elif "progress" not in found.extras or (found.step and "data" not in found.extras):
        raise CheckpointError(
            f"checkpoint {folder / which}, step {found.step}, does not hold the position in the "
            f"data, so a training cannot continue from it; "
            f"{_ways_on(directory, which)}"
        )
    return found


def keep_given(directory: Path, checkpoint: Checkpoint) -> None:
    """Save imported weights as the start checkpoint, before training replaces them.

    Args:
        directory: The run directory.
        checkpoint: The checkpoint from which the run continues.
    """
    given = _made(directory) == "imported" and checkpoint.step == 0
    if given and not steps_on_disk(directory / "checkpoints" / "start"):
        save_again(directory, "start", dataclasses.replace(checkpoint, extras={}))


def with_best(directory: Path, checkpoint: Checkpoint) -> Checkpoint:
    """Restore a lost `best` checkpoint if it is the one from which the run continues.

    Args:
        directory: The run directory.
        checkpoint: The checkpoint from which the run continues.

    Returns:
        The checkpoint, without a best score if `best` cannot be restored.
    """
    progress = checkpoint.extras["progress"]
    if progress["best_step"] is None or steps_on_disk(directory / "checkpoints" / "best"):
        return checkpoint
    if progress["best_step"] == checkpoint.step:
        save_again(directory, "best", checkpoint)
        return checkpoint
    warnings.warn(
        f"{directory} has lost its `best` checkpoint, of step {progress['best_step']}; the best of "
        f"the evaluations after step {checkpoint.step} will replace it",
        LostBestWarning,
        stacklevel=3,
    )
    unknown = progress | {"best_score": None, "best_step": None}
    return dataclasses.replace(checkpoint, extras=checkpoint.extras | {"progress": unknown})


def save_again(directory: Path, which: Folder, checkpoint: Checkpoint) -> None:
    """Write a checkpoint of a run again, into another folder of the run.

    Args:
        directory: The run directory.
        which: Folder to write to.
        checkpoint: The checkpoint.
    """
    checkpointer = Checkpointer(directory / "checkpoints")
    try:
        checkpointer.save(which, checkpoint.step, checkpoint.state, checkpoint.extras)
    finally:
        checkpointer.close()


def missing(directory: Path, which: Which, given: str | None = None) -> CheckpointError:
    """The error for a missing checkpoint, with the checkpoints that exist.

    Args:
        directory: The run directory.
        which: The last checkpoint or the best.
        given: The directory as the user gave it, or None for its path.
    """
    given = given or str(directory)
    if _has_been_trained(directory) or steps_on_disk(directory / "checkpoints" / "last"):
        return CheckpointError(f"{given} has no `{which}` checkpoint; {_ways_on(directory, which)}")
    return CheckpointError(
        f"{given} has no {which} checkpoint yet: it was stopped before the first; train it with: "
        f"odenet resume {_quoted(directory)}"
    )


def _refuse_to_replace(directory: Path, which: Which) -> None:
    if which == "best" or _has_been_trained(directory):
        raise CheckpointError(
            f"{directory} has no `{which}` checkpoint to continue from, and to start again would "
            f"replace the remaining files ({', '.join(_remains(directory))}); "
            f"{_ways_on(directory, which)}"
        )
    if (directory / STATUS).exists():
        warnings.warn(
            f"{directory} was stopped before its first checkpoint; it starts again at step 0",
            BeginsAgainWarning,
            stacklevel=3,
        )


def _has_been_trained(directory: Path) -> bool:
    """Whether the run has or had results that a new start would replace."""
    status = read_json(directory / STATUS) if (directory / STATUS).exists() else {}
    return bool(
        _made(directory)
        or steps_on_disk(directory / "checkpoints" / "best")
        or (directory / RESULTS).exists()
        or status.get("state") not in (None, "running", "stopped")
        or status.get("step")
    )


def _made(directory: Path) -> str | None:
    """The origin of weights from another source: refined, pruned or imported, or None."""
    about = read_json(directory / RUN)
    return next((how for key, how in FROM_ELSEWHERE.items() if key in about), None)


def _remains(directory: Path) -> list[str]:
    """The remaining checkpoints and results of a run, in words."""
    remains = []
    for which in ("last", "best"):
        steps = steps_on_disk(directory / "checkpoints" / which)
        remains += [f"`{which}` of step {int(steps[0].name)}"] if steps else []
    if (directory / STATUS).exists():
        remains.append(f"status.json: {read_json(directory / STATUS).get('state')}")
    remains += ["results.json"] if (directory / RESULTS).exists() else []
    return remains or [f"a run that was {_made(directory)}"]


def _ways_on(directory: Path, which: Which) -> str:
    other: Which = "best" if which == "last" else "last"
    steps = steps_on_disk(directory / "checkpoints" / other)
    if not steps:
        made = _made(directory)
        return (
            f"no checkpoint is left: restore {directory / 'checkpoints'} from a copy, or "
            + ("make" if made else "run")
            + f" it again under another --out (it was {made or 'trained'}; see {directory / RUN})"
        )
    found = f"`{other}`, of step {int(steps[0].name)}, exists"
    if which == "best":
        return f"{found}: use it instead of `best`"
    return (
        f"{found}. Evaluate it: odenet eval {_quoted(directory)} --checkpoint best. Continue from "
        f"it: odenet resume {_quoted(directory)} --checkpoint best. Or train from its weights "
        f"into a new directory: {_start_command(directory)}"
    )


def _start_command(directory: Path) -> str:
    start = shlex.quote(f"start={{run: {directory}, checkpoint: best}}")
    return f"odenet run {_quoted(directory / CONFIG)} {start}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
