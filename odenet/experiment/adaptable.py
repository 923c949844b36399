"""Which networks can change their number of steps while their weights stay."""

from collections.abc import Sequence

from odenet.depth.schedule import StepAdaptionConfig
from odenet.depth.step_sizes import FixedStepSizesConfig
from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig
from odenet.models import BlockConfig, DepthBlockConfig


def adaptable_blocks(config: ExperimentConfig) -> Sequence[DepthBlockConfig]:
    """The blocks of a network, each with shared weights and equal fixed steps of Euler.

    Raises:
        ConfigError: naming the stage, and what to use.
    """
    blocks = config.model.blocks
    for index, block in enumerate(blocks):
        fits = (
            isinstance(block, DepthBlockConfig)
            and block.is_euler_step
            and block.integrator.kind == "euler"
            and block.weights.kind in ("shared", "shared_with_time")
            and isinstance(block.step_sizes, FixedStepSizesConfig)
            and block.step_sizes.horizon is not None
        )
        if not fits:
            raise ConfigError(
                f"model.stages.{index}: depth_schedule.kind=step_adaption changes the number of "
                f"steps while the weights stay; got {_parts(block)}; it needs a block of kind "
                f"depth with integrator.kind=euler, weights.kind=shared or shared_with_time, and "
                f"step_sizes of kind fixed by their horizon"
            )
    return [block for block in blocks if isinstance(block, DepthBlockConfig)]


def _parts(block: BlockConfig) -> str:
    """The choices of a block that decide whether it is adaptable."""
    if not isinstance(block, DepthBlockConfig):
        return f"kind={block.kind}"
    return (
        f"integrator.kind={block.integrator.kind}, weights.kind={block.weights.kind}, "
        f"step_sizes.kind={block.step_sizes.kind}"
    )


def check_adaptable(config: ExperimentConfig, schedule: StepAdaptionConfig) -> None:
    """Refuse a training whose steps could not be adapted.

    Raises:
        ConfigError: if the network is not adaptable, has no accuracy, its blocks have different
            numbers of steps, or already more than the most.
    """
    numbers = {block.num_steps for block in adaptable_blocks(config)}
    if not config.model.is_classifier:
        raise ConfigError(
            "depth_schedule.kind=step_adaption compares accuracies, and a regressor has none; use "
            "model.kind=classifier"
        )
    if len(numbers) > 1:
        raise ConfigError(
            f"depth_schedule.kind=step_adaption adapts one number of steps; the blocks have "
            f"{sorted(numbers)}; give all the same"
        )
    if max(numbers) > schedule.most_steps:
        raise ConfigError(
            f"num_steps={max(numbers)} is above depth_schedule.most_steps={schedule.most_steps}; "
            f"raise it, or start with fewer"
        )
