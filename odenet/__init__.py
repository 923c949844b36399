"""Networks whose depth is time: residual layers as Euler steps, the same weights by any solver.

The names below are imported when they are first used, so that `odenet --help` does not wait for
jax.
"""

import importlib
from typing import Any

_HOMES = {
    "odenet.arrays": ("State", "StepSizes", "Time"),
    "odenet.depth.grid": ("DepthGrid",),
    "odenet.depth.weights": ("LayerFields",),
    "odenet.errors": ("OdenetError",),
    "odenet.experiment.compare": ("compare",),
    "odenet.experiment.config": ("ExperimentConfig", "load_config", "parse_config"),
    "odenet.experiment.evaluate": ("evaluate",),
    "odenet.experiment.prune": ("prune",),
    "odenet.experiment.run": ("load", "resume", "run"),
    "odenet.fields": ("ConvFieldConfig", "MLPFieldConfig", "VectorField"),
    "odenet.integrators": (
        "AsynchronousLeapfrogConfig",
        "DiffraxConfig",
        "ExplicitConfig",
        "Failure",
        "Integration",
        "Integrator",
        "LeapfrogConfig",
        "OneStepIntegrator",
        "ReversibleRungeKuttaConfig",
        "TableauConfig",
    ),
    "odenet.models": (
        "ClassifierConfig",
        "DepthBlock",
        "DepthBlockConfig",
        "Discretisation",
        "Network",
        "RegressorConfig",
        "ResNetConfig",
        "count_parameters",
        "init_network",
    ),
    "odenet.reports": ("write_report",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'odenet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
