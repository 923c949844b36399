"""Every way to differentiate a network against the exact gradient and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_run import toy_run, toy_values
from user_settings import as_a_user
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.analysis.gradient_audit import Gradient, differences, exact_gradient, loss_of
from odenet.analysis.gradient_audit import measure as error_of
from odenet.errors import ConfigError
from odenet.experiment.config import parse_config
from odenet.instruments import gradient_audit as instrument
from odenet.instruments import measure
from odenet.integrators import (
    AdaptiveConfig,
    DiffraxConfig,
    ExplicitConfig,
    FractionalConfig,
    MomentumConfig,
)
from odenet.integrators.gradient_methods import EXACT
from odenet.models import init_network
from odenet.objectives import Objective
from odenet.plotting.canvas import png

LEARNED = {"kind": "learned", "horizon": 1.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory.mktemp("toy") / "run", step_sizes=LEARNED)


@pytest.fixture(scope="module")
def audit(trained):
    with as_a_user():
        return measure("gradient-audit", trained, examples=8)


def test_what_stores_or_recomputes_is_exact_and_an_adjoint_equation_is_not(audit):
    assert audit["own"] == [EXACT]
    assert max(audit["differences"]) < 1e-6
    by_name = {one["name"]: one for one in audit["gradients"]}
    adjoint = by_name.pop("adjoint equation (backsolve)")
    for row in by_name.values():
        for part in ("weights_error", "step_sizes_error", "inputs_error"):
            assert row[part] < 1e-5, row["name"]
    assert adjoint["weights_error"] > 1e-3
    assert by_name["recomputed step by step"]["peak_bytes"] > 0
    assert "finite differences along 3" in " ".join(instrument.GradientAudit.sentences(audit))
    assert png(instrument.GradientAudit.figure(audit)).startswith(b"\x89PNG")


def errors(*names, **block):
    """The measurements of these gradient methods of a network before its training."""
    config = parse_config(toy_values(**block))
    network = init_network(config.model, (2,), 2, jax.random.key(0))
    objective = Objective(config.loss.build())
    (methods,) = [block.gradient_methods() for block in config.model.blocks]
    inputs, targets = jax.random.normal(jax.random.key(1), (8, 2)), jnp.arange(8) % 2
    loss, params = loss_of(network, [methods[EXACT]], objective, targets)
    exact = exact_gradient(loss, params, inputs)
    for name in names:
        loss, params = loss_of(network, [methods[name]], objective, targets)
        yield error_of(name, loss, params, inputs, exact)


@pytest.mark.product  # tests/numerics/test_backsolve.py has its convergence
def test_error_of_the_adjoint_equation_falls_with_the_step():
    (coarse,), (fine,) = (
        errors("adjoint equation (backsolve)", num_steps=steps) for steps in (32, 64)
    )
    assert coarse.inputs_error / fine.inputs_error == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize(
    ("tolerance", "least", "most"),
    [(1e-2, 1e-3, 1e-1), pytest.param(1e-5, 0, 1e-4, marks=pytest.mark.product)],
)
def test_tolerance_of_an_adaptive_method_decides_the_error_of_its_adjoint(tolerance, least, most):
    checkpointed, adjoint = errors(
        "diffrax, checkpointed",
        "diffrax, adjoint equation (backsolve)",
        integrator={"kind": "dopri5", "rtol": tolerance, "atol": tolerance},
    )
    assert checkpointed.weights_error < 1e-4
    assert least < adjoint.weights_error < most


def test_steps_that_depend_on_the_parameters_are_said(trained, audit, monkeypatch):
    """Nothing is differentiated: only the words depend on the choice of steps."""
    monkeypatch.setattr(instrument, "exact_gradient", lambda *_: [np.zeros(())])
    monkeypatch.setattr(
        instrument, "measure", lambda name, *_: Gradient(name, 0.0, None, 0.0, 0.0, 0.0, None)
    )
    monkeypatch.setattr(instrument, "differences", lambda *_: [0.0])
    found = measure("gradient-audit", trained, ["model.block.integrator.kind=dopri5"], examples=8)
    assert found["chooses_steps"]
    words = "the exact gradient holds them fixed"
    sentences = instrument.GradientAudit.sentences
    assert words in " ".join(sentences(found))
    assert not audit["chooses_steps"]
    assert words not in " ".join(sentences(audit))


def test_wrong_gradient_is_seen():
    @jax.custom_vjp
    def square(x):
        return jnp.sum(x**2)

    square.defvjp(lambda x: (square(x), x), lambda x, a: (a * x,))  # lacks its factor 2

    def wrong(params, inputs):
        return square(params) + jnp.sum(inputs)

    def right(params, inputs):
        return jnp.sum(params**2) + jnp.sum(inputs)

    params, inputs = jnp.arange(3, dtype=jnp.float32), jnp.ones(2, dtype=jnp.float32)
    exact = exact_gradient(right, params, inputs)
    np.testing.assert_array_equal(exact[0], 2 * np.arange(3.0))
    key = jax.random.key(0)
    assert max(differences(right, params, inputs, exact[0], key, 3)) < 1e-8
    halved = exact_gradient(wrong, params, inputs)
    assert min(differences(right, params, inputs, halved[0], key, 3)) == pytest.approx(0.5)
    assert error_of("wrong", wrong, params, inputs, exact).weights_error == pytest.approx(0.5)
    assert error_of("right", right, params, inputs, exact).weights_error == 0


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ExplicitConfig(kind="rk4"), {"recomputed step by step", "recomputed in segments"}),
        (
            MomentumConfig(),
            {"recomputed step by step", "recomputed in segments", "reconstructed"},
        ),
        (
            FractionalConfig(),
            {"recomputed step by step", "without the memory's coefficients"},
        ),
        (
            DiffraxConfig(),
            {
                "checkpointed",
                "adjoint equation (backsolve)",
                "adjoint equation (backsolve, seminorm)",
            },
        ),
        (
            DiffraxConfig.model_validate(
                {"solver": "semi_implicit_euler", "controller": {"kind": "constant"}}
            ),
            {"checkpointed"},
        ),
        (
            AdaptiveConfig(),
            {
                "diffrax, checkpointed",
                "diffrax, adjoint equation (backsolve)",
                "diffrax, adjoint equation (backsolve, seminorm)",
            },
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_gradient_methods_are_those_of_the_integrator(config, expected):
    methods = config.gradient_methods(is_step=True, learns_steps=True)
    assert set(methods) == expected | {EXACT}
    for method in methods.values():
        assert method.equation == config.equation
        method.build()


def test_number_of_directions_is_checked(trained):
    with pytest.raises(ConfigError, match="at least one direction; got 0"):
        measure("gradient-audit", trained, directions=0)
