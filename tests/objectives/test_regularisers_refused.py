"""Regularisers along the depth that do not fit a network, an integrator, or each other."""

import jax.numpy as jnp
import pytest
from pydantic import TypeAdapter, ValidationError

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.experiment.config import parse_config
from odenet.integrators import IntegratorConfig
from odenet.integrators.quadrature import integrate_with_integrals
from odenet.objectives import ObjectiveConfig

CONFIG, LOSS = TypeAdapter(IntegratorConfig), TypeAdapter(ObjectiveConfig)
SYMPLECTIC = {
    "kind": "diffrax",
    "solver": "semi_implicit_euler",
    "controller": {"kind": "constant"},
}
KINETIC = {"kind": "kinetic", "weight": 0.3}


def experiment(**changes):
    model = {"kind": "regressor", "stages": [{"width": 2}], "block": changes.pop("block", {})}
    values = {
        "name": "test",
        "data": {"kind": "reflection"},
        "model": model,
        "objective": {"kind": "mean_squared_error", "regularisers": [KINETIC]},
    }
    return parse_config(values | changes)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"integrator": {"kind": "leapfrog"}}, "kind=leapfrog carries no integrals"),
        ({"integrator": {"kind": "momentum"}}, "kind=momentum carries no integrals"),
        (
            {"field": {"kind": "hamiltonian"}, "integrator": SYMPLECTIC},
            "kind=diffrax carries no integrals along with the state where it is partitioned",
        ),
        ({"step_sizes": {"kind": "learned"}}, "falls along steps of negative size"),
        ({"step_sizes": {"kind": "fixed", "tau": -1.0}}, "falls along steps of negative size"),
        ({"shortcut": {"kind": "scaled", "factor": 0.5}}, "no steps in depth-time"),
        ({"field": {"kind": "residual"}}, "batch statistics couple the examples"),
        ({"kind": "feedforward"}, "no steps in depth-time"),
    ],
)
def test_networks_that_do_not_fit_are_refused(block, message):
    with pytest.raises(ConfigError, match=f"model.stages.0.*{message}"):
        experiment(block=block)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([KINETIC, KINETIC], "each regulariser is given once; got kinetic"),
        ([{"kind": "kinetic"}], "weight"),
        ([{"kind": "taylor", "order": 1, "weight": 1.0}], "order"),
        ([{"kind": "steer", "width": 1.0}], "width"),
        ([{"kind": "steer", "width": 0.1, "weight": 1.0}], "weight"),
    ],
)
def test_options_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        LOSS.validate_python({"kind": "cross_entropy", "regularisers": given})


def test_integrators_that_carry_none_refuse():
    fields = LayerFields.from_function(lambda t, h: -h)
    for mapping in ({"kind": "leapfrog"}, {"kind": "momentum"}, {"kind": "fractional"}, SYMPLECTIC):
        integrator = CONFIG.validate_python(mapping).build()
        with pytest.raises(ConfigError, match="carried by explicit Runge-Kutta"):
            integrate_with_integrals(
                integrator, fields, DepthGrid(jnp.ones(1)), jnp.ones((1, 2)), (), jnp.ones((1, 2))
            )
