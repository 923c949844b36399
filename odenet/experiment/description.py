"""A description of an experiment in a few lines."""

from collections.abc import Mapping
from typing import Any

from odenet.experiment.build import Experiment
from odenet.training.checkpoint import Checkpoint, Folder


def described(
    experiment: Experiment,
    results: Mapping[str, Any] | None,
    checkpoint: Checkpoint,
    which: Folder,
    overrides: Mapping[str, Any],
) -> list[str]:
    """Lines with the data, the model, the results and the checkpoint of an experiment.

    Args:
        experiment: The experiment.
        results: Content of `results.json`, or None before the training is complete.
        checkpoint: The checkpoint of the weights.
        which: Name of the checkpoint.
        overrides: Overrides since the training.
    """
    data, model = experiment.dataset, experiment.config.model
    written_out = model.expanded()
    stages = zip(written_out.stages, written_out.blocks, strict=True)
    lines = [
        f"  data      {data.name}: {len(data.train)} training, {len(data.validation)} validation, "
        f"{len(data.test)} test examples of shape {data.input_shape}",
        f"  model     {model.kind}, {experiment.num_parameters} parameters",
        *(
            f"            stage {index}: width {stage.width}, {block.summary}"
            for index, (stage, block) in enumerate(stages)
        ),
    ]
    test = {} if results is None else results["test"]
    shown = [f"{name} {test[name]:.4g}" for name in ("accuracy", "loss") if name in test]
    if shown:
        lines.append(f"  test      {', '.join(shown)} at the end of the training")
    num_steps = experiment.config.training.num_steps
    lines.append(f"  weights   {which} checkpoint, step {checkpoint.step} of {num_steps}")
    if overrides:
        changed = ", ".join(f"{key}={value}" for key, value in overrides.items())
        lines.append(f"  set       {changed}")
    return lines
