"""Step sizes of a stage whose first unit is a layer of its own."""

from odenet.depth.step_sizes import StepSizesConfig


def require_one_each(sizes: StepSizesConfig, stage: int, num_units: int) -> None:
    """Refuse a list of step sizes of another length than the stage.

    Args:
        sizes: Of the stage.
        stage: Its index, for the message.
        num_units: Its number of units.

    Raises:
        ValueError: if they differ.
    """
    given = sizes.num_listed
    if given is not None and given != num_units:
        raise ValueError(
            f"taus needs one value per unit: stage {stage} has {num_units} units, got {given} "
            f"values"
        )
