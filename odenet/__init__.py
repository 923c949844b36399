"""Networks whose depth is time: residual layers as Euler steps, the same weights by any solver.

Each name below is imported at its first use: `odenet --help` does not import jax.
"""

import importlib as _importlib
from typing import Any as _Any

_HOMES = {
    "odenet.arrays": ("State", "StepSizes", "Time"),
    "odenet.data": ("AugmentConfig", "DataConfig", "Dataset", "Split"),
    "odenet.data.drawn": ("DrawnConfig",),
    "odenet.data.digits": ("DigitsConfig",),
    "odenet.data.images": ("CIFAR10Config", "FashionMNISTConfig", "MNISTConfig"),
    "odenet.data.npz": ("NpzConfig",),
    "odenet.data.peaks": ("PeaksConfig",),
    "odenet.data.reflection": ("ReflectionConfig",),
    "odenet.data.swiss_roll": ("SwissRollConfig",),
    "odenet.data.toys": ("AnnuliConfig", "CirclesConfig", "SpiralsConfig", "TwoMoonsConfig"),
    "odenet.depth": ("WeightsConfig",),
    "odenet.depth.grid": ("DepthGrid",),
    "odenet.depth.schedule": ("DepthScheduleConfig",),
    "odenet.depth.step_sizes": ("AbstractStepSizes", "StepSizesConfig"),
    "odenet.depth.weights": ("FieldStack", "LayerFields"),
    "odenet.errors": ("OdenetError",),
    "odenet.experiment.compare": ("compare",),
    "odenet.experiment.config": ("ExperimentConfig", "load_config", "parse_config"),
    "odenet.experiment.evaluate": ("evaluate",),
    "odenet.experiment.loaded_run": ("Run", "load"),
    "odenet.experiment.refinement.prune": ("prune",),
    "odenet.experiment.refinement.refine": ("refine",),
    "odenet.experiment.run": ("resume", "run"),
    "odenet.fields": ("ConvFieldConfig", "MLPFieldConfig", "VectorField", "VectorFieldConfig"),
    "odenet.instruments": ("RunInstrument", "RunsInstrument"),
    "odenet.integrators": (
        "AdaptiveConfig",
        "Advance",
        "AsynchronousLeapfrogConfig",
        "DiffraxConfig",
        "ExplicitConfig",
        "Failure",
        "Integration",
        "Integrator",
        "IntegratorConfig",
        "LeapfrogConfig",
        "OneStepIntegrator",
        "ReversibleRungeKuttaConfig",
        "SolverStats",
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
    "odenet.models.maps": ("Projection",),
    "odenet.models.path_integrals": ("PathIntegrals",),
    "odenet.models.projection_config": ("ProjectionConfig",),
    "odenet.objectives": ("ObjectiveConfig", "RegulariserConfig"),
    "odenet.objectives.loss": ("Loss",),
    "odenet.objectives.regulariser": ("PathIntegralConfig",),
    "odenet.part": ("load_plugin",),
    "odenet.reports": ("write_report",),
    "odenet.training": ("Callback",),
    "odenet.training.monitor_config": ("MonitorConfig",),
    "odenet.training.optimizer": ("LearningRateScheduleConfig", "OptimizerConfig"),
    "odenet.training.callbacks": ("Info", "StopTraining"),
    "odenet.training.interrupt": ("Stopped",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> _Any:
    if name == "__version__":
        metadata = _importlib.import_module("importlib.metadata")
        try:
            return metadata.version("odenet")
        except metadata.PackageNotFoundError:  # source folder, not installed
            return "0+unknown"
    if name == "Along":
        _importlib.import_module("warnings").warn(
            "odenet.Along is now odenet.PathIntegrals; the next release will not have the old name",
            DeprecationWarning,
            stacklevel=2,
        )
        name = "PathIntegrals"
    if name not in _HOME:
        raise AttributeError(f"module 'odenet' has no attribute {name!r}")
    return getattr(_importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    private = [name for name in globals() if name.startswith("_") and name[:2] != "__"]
    return sorted({*__all__, *globals()} - {*private})
