"""Audit of the gradients of a network from its run directory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from odenet.analysis.gradient_audit import (
    Audit,
    differences,
    exact_gradient,
    loss_of,
    measure,
    norm_of,
)
from odenet.errors import ConfigError
from odenet.experiment.config import Overrides
from odenet.experiment.subject import Moment, Subject, look_at
from odenet.integrators import IntegratorConfig
from odenet.integrators.gradient_methods import EXACT, names_of
from odenet.models import BlockConfig


def analyse_gradient_audit(
    directory: Path | str,
    overrides: Overrides = (),
    split: str = "train",
    moment: Moment = "last",
    num_examples: int = 32,
    directions: int = 3,
    data_dir: Path | None = None,
) -> dict[str, Any]:
    """Compare every way to differentiate a network with its exact gradient.

    The result is also written into the run directory, as `gradient_audit.json`.

    Args:
        directory: A run directory.
        overrides: As in `load_config`, for the integrator or the data; parameters must still fit.
        split: `train`, `validation` or `test`.
        moment: The last checkpoint, the best, or the start.
        num_examples: Examples that the loss is averaged over, in one batch.
        directions: Along how many random directions the exact gradient is compared with finite
            differences.
        data_dir: Folder of the published data sets, or None for the usual places.

    Raises:
        ConfigError: if no block's depth is time, or a number is out of range.
        OdenetError: as its other children say.
    """
    if directions < 1:
        raise ConfigError(
            f"finite differences are taken along at least one direction; got {directions}"
        )
    subject = look_at(directory, overrides, split, moment, data_dir)
    methods = [block.gradient_methods() for block in _blocks(subject)]
    names = names_of(methods)
    if not names:
        raise ConfigError(
            "adjoints belong to blocks of kind depth; this network has none, and one way to "
            "differentiate it"
        )
    examples = subject.examples(num_examples)
    inputs, targets = subject.normalized(examples), jnp.asarray(examples.targets)
    losses = {}
    for name in names:
        chosen = [of_block.get(name, of_block.get(EXACT)) for of_block in methods]
        losses[name] = loss_of(subject.network, chosen, subject.experiment.objective, targets)
    loss, params = losses[EXACT]
    exact = exact_gradient(loss, params, inputs)
    key = jax.random.key(subject.experiment.config.seed)
    audit = Audit(
        [measure(name, loss, params, inputs, exact) for name, (loss, params) in losses.items()],
        differences(loss, params, inputs, exact[0], key, directions),
        norm_of(exact[0]),
    )
    pairs = zip(methods, _blocks(subject), strict=True)
    own = [_own_name(of_block, block) for of_block, block in pairs]
    odes = [block.ode for block in _blocks(subject) if block.ode is not None]
    chooses = any(ode.integrator.chooses_steps for ode in odes)
    found = {
        "num_examples": len(examples),
        "own": own,
        "chooses_steps": chooses,
        **dataclasses.asdict(audit),
    }
    return subject.write("gradient-audit", found)


def _blocks(subject: Subject) -> Sequence[BlockConfig]:
    return subject.experiment.config.model.blocks


def _own_name(methods: dict[str, IntegratorConfig], block: BlockConfig) -> str | None:
    """The gradient method that the block itself uses."""
    if block.residual is None:
        return None
    own = block.residual.integrator
    return next((name for name, method in methods.items() if method == own), None)
