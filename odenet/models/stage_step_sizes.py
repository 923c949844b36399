"""Step sizes of a stage whose first unit is a separate layer."""

from odenet.depth.step_sizes import StepSizesConfig


def require_one_each(sizes: StepSizesConfig, stage: int, num_units: int) -> None:
    """Refuse a list of step sizes whose length is not the number of units of the stage.

    Args:
        sizes: The step sizes of the stage.
        stage: Index of the stage, for the message.
        num_units: Number of units of the stage.

    Raises:
        ValueError: if they differ.
    """
    given = sizes.num_listed
    if given is not None and given != num_units:
        raise ValueError(
            f"taus needs one value per unit: stage {stage} has {num_units} units, got {given} "
            f"values"
        )
