"""Step sizes of a stage whose first unit is a layer of its own."""

from odenet.depth.step_sizes import FixedStepSizesConfig, LearnedStepSizesConfig, StepSizesConfig


def require_one_each(sizes: StepSizesConfig, stage: int, num_units: int) -> None:
    """Refuse a list of step sizes of another length than the stage.

    Args:
        sizes: Of the stage.
        stage: Its index, for the message.
        num_units: Its number of units.

    Raises:
        ValueError: if they differ.
    """
    taus = sizes.taus if isinstance(sizes, FixedStepSizesConfig) else None
    if taus is not None and len(taus) != num_units:
        raise ValueError(
            f"taus needs one value per unit: stage {stage} has {num_units} units, got {len(taus)} "
            f"values"
        )


def divided(sizes: StepSizesConfig, num_units: int) -> tuple[StepSizesConfig, StepSizesConfig]:
    """Step sizes of a stage of units as those of its first unit and of the others.

    Every unit starts with the step size that it has in the stage as a whole; a penalty on the
    horizon becomes one on each part.

    Args:
        sizes: For `num_units` units.
        num_units: At least 2.

    Raises:
        ValueError: if the parts cannot be learned apart from each other.
    """
    if isinstance(sizes, FixedStepSizesConfig):
        if sizes.taus is not None:
            first, *rest = sizes.taus
            return sizes.model_copy(update={"taus": (first,)}), sizes.model_copy(
                update={"taus": tuple(rest)}
            )
    elif isinstance(sizes, LearnedStepSizesConfig) and sizes.keeps_sum:
        raise ValueError(
            f"{sizes.parametrisation} keeps the sum of a block's step sizes, but the first unit of "
            f"a stage is a layer of its own; use parametrisation=positive with penalty.horizon"
        )
    assert isinstance(sizes, FixedStepSizesConfig | LearnedStepSizesConfig)
    if sizes.horizon is None:
        return sizes, sizes
    each = sizes.horizon / num_units
    rest = sizes.horizon - each
    return sizes.model_copy(update={"horizon": each}), sizes.model_copy(update={"horizon": rest})
