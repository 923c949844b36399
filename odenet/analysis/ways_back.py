"""The ways to differentiate an integration: store, recompute, reverse, or solve an adjoint."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from odenet.integrators import AdaptiveConfig, DiffraxConfig, ExplicitConfig, FractionalConfig
from odenet.integrators.stages import StagedConfig
from odenet.part import PartConfig

EXACT = "everything stored"
"""Name of the gradient that the others are measured against: of the steps as they were taken."""

_REMAT = {
    "none": EXACT,
    "step": "recomputed step by step",
    "sqrt": "recomputed in segments",
    "reversible": "reconstructed",
}
_BACKSOLVE = "adjoint equation (backsolve)"
_SEMINORM = "adjoint equation (backsolve, seminorm)"
_ADJOINTS: dict[str, dict[str, Any]] = {
    EXACT: {"kind": "direct"},
    "checkpointed": {"kind": "checkpointed"},
    _BACKSOLVE: {"kind": "backsolve"},
    _SEMINORM: {"kind": "backsolve", "seminorm": True},
}
_IN_DIFFRAX = ("euler", "midpoint", "heun", "ralston")
"""Explicit methods with fixed steps that diffrax has too, so that it can solve their adjoints."""


def ways_back(config: Any, *, is_step: bool, learns_steps: bool) -> dict[str, PartConfig]:
    """Integrators that take the same steps and are differentiated otherwise, by name.

    Args:
        config: An integrator's configuration.
        is_step: Whether its layers are steps of a method, which has an adjoint equation.
        learns_steps: Whether step sizes are learned.
    """
    if isinstance(config, DiffraxConfig):
        return _of_diffrax(config)
    if isinstance(config, AdaptiveConfig):
        tolerances = {"rtol": config.rtol, "atol": config.atol}
        options = {"first_step": config.first_step, "min_step": config.min_step}
        same = DiffraxConfig.model_validate(
            {"solver": config.kind, "controller": {"kind": "pid", **tolerances, **options},
             "max_steps": config.max_steps}
        )  # fmt: skip
        others = _of_diffrax(same)
        others.pop(EXACT)
        named = {f"diffrax, {name}": other for name, other in others.items()}
        return {EXACT: config, **named}
    ways: dict[str, PartConfig] = {
        _REMAT[remat]: config.model_copy(update={"remat": remat}) for remat in _remats(config)
    }
    if isinstance(config, FractionalConfig) and learns_steps:
        cut = {"remat": "none", "memory_gradient": False}
        ways[EXACT] = ways[EXACT].model_copy(update={"memory_gradient": True})
        ways["without the memory's coefficients"] = config.model_copy(update=cut)
    if isinstance(config, ExplicitConfig) and config.kind in _IN_DIFFRAX and is_step:
        fixed = {"solver": config.kind, "controller": {"kind": "constant"}}
        adjoint = {"adjoint": _ADJOINTS[_BACKSOLVE]}
        ways[_BACKSOLVE] = DiffraxConfig.model_validate(fixed | adjoint)
    return ways


def names_of(ways: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all ways that some block of a network has, the exact one first."""
    return list(dict.fromkeys(name for of_block in ways for name in of_block))


def _of_diffrax(config: DiffraxConfig) -> dict[str, PartConfig]:
    ways: dict[str, PartConfig] = {}
    for name, adjoint in _ADJOINTS.items():
        if name == _SEMINORM and not config.chooses_steps:
            continue
        if adjoint["kind"] == "backsolve" and config.moves_halves:
            continue
        values = config.model_dump() | {"adjoint": adjoint}
        ways[name] = DiffraxConfig.model_validate(values)
    return ways


def _remats(config: Any) -> tuple[str, ...]:
    """The values of `remat` that a configuration takes."""
    if not isinstance(config, StagedConfig):
        return get_args(type(config).model_fields["remat"].annotation)
    remats = ("none", "step", "sqrt")
    forgets = getattr(config, "gamma", 1) == 0  # then no step can be undone
    return remats if forgets else (*remats, "reversible")
