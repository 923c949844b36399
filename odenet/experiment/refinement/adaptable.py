"""Networks whose number of steps can change without a change of their weights."""

from collections.abc import Sequence

from odenet.errors import ConfigError
from odenet.experiment.config import ExperimentConfig
from odenet.experiment.refinement.derived import with_blocks
from odenet.integrators import ExplicitConfig
from odenet.models import BlockConfig, DepthBlockConfig


def adaptable_blocks(
    config: ExperimentConfig, who: str = "another number of steps"
) -> Sequence[DepthBlockConfig]:
    """The blocks of a network, each with shared weights and equal fixed Euler steps.

    Args:
        config: The experiment.
        who: Name of the option that changes the number of steps, for the message.

    Raises:
        ConfigError: if a block is not of this form; the message names the stage and the remedy.
    """
    found = []
    for index, block in enumerate(config.model.blocks):
        depth = block.ode
        if depth is None or not _fits(depth):
            raise ConfigError(
                f"model.stages.{index}: {who} changes the number of steps while the weights stay; "
                f"got {_parts(block)}; use a block of kind depth with integrator.kind=euler, "
                f"weights.kind=shared or shared_with_time, and step_sizes of kind fixed by their "
                f"horizon"
            )
        found.append(depth)
    return found


def _fits(block: DepthBlockConfig) -> bool:
    return (
        block.integrator.kind == "euler"
        and block.weights.serves_any_steps
        and block.step_sizes.follows_horizon
    )


def _parts(block: BlockConfig) -> str:
    """The options of a block that determine whether it is adaptable."""
    depth = block.residual
    if depth is None:
        return f"kind={block.kind}"
    return (
        f"integrator.kind={depth.integrator.kind}, weights.kind={depth.weights.kind}, "
        f"step_sizes.kind={depth.step_sizes.kind}"
    )


def with_steps(config: ExperimentConfig, num_steps: int, kind: str = "euler") -> ExperimentConfig:
    """The experiment with `num_steps` steps of an explicit method in every block."""
    changes = {"num_steps": num_steps, "integrator": ExplicitConfig.model_validate({"kind": kind})}
    blocks = [block.model_copy(update=changes) for block in adaptable_blocks(config)]
    return with_blocks(config, blocks, f"with {num_steps} steps")
