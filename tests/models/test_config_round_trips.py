import json

import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.depth import WeightsConfig
from odenet.depth.step_sizes import StepSizesConfig
from odenet.fields import VectorFieldConfig
from odenet.integrators import IntegratorConfig
from odenet.models import DepthBlockConfig, ModelConfig
from odenet.models.base import BlockConfig
from odenet.models.projections import ProjectionConfig
from odenet.models.shortcuts import ShortcutConfig
from odenet.models.transition import StageProjectionConfig
from odenet.objectives import ObjectiveConfig

CASES = {
    "fixed": (StepSizesConfig, {"kind": "fixed", "taus": [1.0, -0.5]}),
    "learned": (
        StepSizesConfig,
        {
            "kind": "learned",
            "sharing": "shared",
            "parametrisation": "positive",
            "penalty": {"horizon": 0.5, "l1": 0.01, "l2": 0.1},
        },
    ),
    "shared": (WeightsConfig, {"kind": "shared"}),
    "shared_with_time": (WeightsConfig, {"kind": "shared_with_time"}),
    "per_layer": (WeightsConfig, {"kind": "per_layer", "num_layers": 3, "smoothness": 0.1}),
    "mlp": (
        VectorFieldConfig,
        {"kind": "mlp", "hidden": [3, 4], "form": "between", "last_init": "1/L"},
    ),
    "conv": (VectorFieldConfig, {"kind": "conv", "kernel_size": 5, "num_groups": 2}),
    "antisymmetric": (VectorFieldConfig, {"kind": "antisymmetric", "gamma": 0.5}),
    "hamiltonian": (VectorFieldConfig, {"kind": "hamiltonian", "kernel_size": 5}),
    "two_layer_hamiltonian": (VectorFieldConfig, {"kind": "two_layer_hamiltonian", "hidden": 3}),
    "parabolic": (VectorFieldConfig, {"kind": "parabolic", "hidden": 3}),
    "second_order": (
        VectorFieldConfig,
        {"kind": "second_order", "sees_velocity": True, "inner": {"kind": "conv"}},
    ),
    "data_controlled": (VectorFieldConfig, {"kind": "data_controlled", "inner": {"hidden": [3]}}),
    "depth_adaptive": (
        VectorFieldConfig,
        {"kind": "depth_adaptive", "sign": "free", "hidden": [4]},
    ),
    "dense": (VectorFieldConfig, {"kind": "dense", "growth": 3, "activation": "relu"}),
    "euler": (IntegratorConfig, {"kind": "euler", "remat": "step"}),
    "leapfrog": (IntegratorConfig, {"kind": "leapfrog", "remat": "sqrt"}),
    "kick_drift": (IntegratorConfig, {"kind": "leapfrog", "form": "kick_drift"}),
    "symplectic_euler": (IntegratorConfig, {"kind": "symplectic_euler", "remat": "none"}),
    "verlet": (IntegratorConfig, {"kind": "verlet"}),
    "reversible_rk": (IntegratorConfig, {"kind": "reversible_rk", "method": "heun"}),
    "two_step_midpoint": (IntegratorConfig, {"kind": "two_step_midpoint"}),
    "momentum": (IntegratorConfig, {"kind": "momentum", "gamma": 0.5}),
    "midpoint": (IntegratorConfig, {"kind": "midpoint"}),
    "heun": (IntegratorConfig, {"kind": "heun"}),
    "ralston": (IntegratorConfig, {"kind": "ralston"}),
    "rk4": (IntegratorConfig, {"kind": "rk4"}),
    "tableau": (IntegratorConfig, {"kind": "tableau", "a": [[], [1.0]], "b": [0.5, 0.5]}),
    "adaptive": (
        IntegratorConfig,
        {
            "kind": "diffrax",
            "solver": "dopri5",
            "controller": {"kind": "pid", "rtol": 1e-4},
            "adjoint": {"kind": "checkpointed", "checkpoints": 7},
            "max_steps": 99,
        },
    ),
    "constant": (
        IntegratorConfig,
        {"kind": "diffrax", "solver": "euler", "controller": {"kind": "constant"}},
    ),
    "backsolve": (IntegratorConfig, {"kind": "diffrax", "adjoint": {"kind": "backsolve"}}),
    "direct": (IntegratorConfig, {"kind": "diffrax", "adjoint": {"kind": "direct"}}),
    "identity": (ProjectionConfig, {"kind": "identity"}),
    "flatten": (ProjectionConfig, {"kind": "flatten"}),
    "zero_pad": (ProjectionConfig, {"kind": "zero_pad", "stride": 2}),
    "linear": (ProjectionConfig, {"kind": "linear", "init": "orthogonal"}),
    "matrix": (ProjectionConfig, {"kind": "matrix", "values": [[1.0, 2.0]], "learned": True}),
    "conv_projection": (ProjectionConfig, {"kind": "conv", "kernel_size": 1, "stride": 2}),
    "depth": (BlockConfig, {"kind": "depth", "num_steps": 3}),
    "feedforward": (BlockConfig, {"kind": "feedforward", "num_layers": 3}),
    "no_block": (BlockConfig, {"kind": "none"}),
    "classifier": (
        ModelConfig,
        {
            "kind": "classifier",
            "stages": [{"width": 3}, {"width": 4, "projection": {"kind": "zero_pad"}}],
            "block": {"num_steps": 3, "integrator": {"kind": "diffrax"}},
            "head": {"activation": "relu", "init": "zero"},
        },
    ),
    "scaled": (ShortcutConfig, {"kind": "scaled", "factor": 0.5}),
    "gated": (ShortcutConfig, {"kind": "gated", "exclusive": False, "bias": -3.0}),
    "dropout": (ShortcutConfig, {"kind": "dropout", "rate": 0.25}),
    "unit": (
        StageProjectionConfig,
        {
            "kind": "unit",
            "field": {"kind": "residual", "arrangement": "original", "unit": "bottleneck"},
            "shortcut": {"kind": "zero_pad", "stride": 2},
            "stride": 2,
            "strided_weight": 2,
            "step_sizes": {"kind": "learned", "penalty": {"l1": 0.5}},
        },
    ),
    "resnet": (
        ModelConfig,
        {
            "kind": "resnet",
            "depth": 18,
            "layout": "imagenet",
            "arrangement": "full_preactivation",
            "width": 8,
            "step_sizes": [{"kind": "fixed", "tau": 0.5}, *[{"kind": "learned"}] * 3],
            "integrator": {"kind": "rk4"},
        },
    ),
    "regressor": (ModelConfig, {"kind": "regressor", "stages": [{"width": 3}]}),
    "cross_entropy": (ObjectiveConfig, {"kind": "cross_entropy", "label_smoothing": 0.1}),
    "mean_squared_error": (ObjectiveConfig, {"kind": "mean_squared_error"}),
    "regularised": (
        ObjectiveConfig,
        {
            "kind": "cross_entropy",
            "regularisers": [
                {"kind": "kinetic", "weight": 0.5},
                {"kind": "jacobian", "weight": 0.25},
                {"kind": "taylor", "order": 2, "weight": 0.125},
                {"kind": "steer", "width": 0.1},
            ],
        },
    ),
}


def contains(whole, part):
    """Whether every value of `part` stands in `whole`."""
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


@pytest.mark.parametrize("name", CASES)
def test_config_survives_a_round_trip(name):
    union, mapping = CASES[name]
    adapter = TypeAdapter(union)
    config = adapter.validate_python(mapping)
    text = config.model_dump_json()
    assert contains(json.loads(text), mapping)
    for again in (adapter.validate_python(config.model_dump()), adapter.validate_json(text)):
        assert again == config
        assert type(again) is type(config)


@pytest.mark.parametrize("name", CASES)
def test_config_cannot_be_changed(name):
    union, mapping = CASES[name]
    config = TypeAdapter(union).validate_python(mapping)
    with pytest.raises(ValidationError, match="frozen"):
        config.kind = "other"


def test_mapping_without_kind_is_of_the_kind_of_the_default():
    config = DepthBlockConfig.model_validate(
        {"field": {"hidden": [3]}, "step_sizes": {"tau": 0.5}, "integrator": {"remat": "step"}}
    )
    assert (config.field.kind, config.step_sizes.kind, config.integrator.kind) == (
        "mlp",
        "fixed",
        "euler",
    )
