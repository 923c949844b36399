"""Every way to differentiate a network against the exact gradient and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_run import toy_run
from user_settings import settings_of_a_user as settings_of_a_user

from odenet.analysis.gradient_audit import differences, exact_gradient
from odenet.analysis.gradient_audit import measure as error_of
from odenet.errors import ConfigError
from odenet.instruments import measure
from odenet.integrators import (
    AdaptiveConfig,
    DiffraxConfig,
    ExplicitConfig,
    FractionalConfig,
    MomentumConfig,
)
from odenet.integrators.gradient_methods import EXACT

LEARNED = {"kind": "learned", "horizon": 1.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return toy_run(tmp_path_factory.mktemp("toy") / "run", step_sizes=LEARNED)


def rows(found):
    return {one["name"]: one for one in found["gradients"]}


def test_what_stores_or_recomputes_is_exact_and_an_adjoint_equation_is_not(trained):
    found = measure("gradient-audit", trained, examples=8)
    assert found["own"] == [EXACT]
    assert max(found["differences"]) < 1e-6
    by_name = rows(found)
    adjoint = by_name.pop("adjoint equation (backsolve)")
    for row in by_name.values():
        for part in ("weights_error", "step_sizes_error", "inputs_error"):
            assert row[part] < 1e-5, row["name"]
    assert adjoint["weights_error"] > 1e-3
    assert by_name["recomputed step by step"]["peak_bytes"] > 0


def test_error_of_the_adjoint_equation_falls_with_the_step(trained):
    errors = []
    for steps in (32, 64):
        run = toy_run(
            trained.parent / f"of-{steps}",
            num_steps=steps,
            step_sizes={"kind": "fixed", "horizon": 1.0},
        )
        found = rows(measure("gradient-audit", run, examples=8))
        errors.append(found["adjoint equation (backsolve)"]["inputs_error"])
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)


def test_tolerance_of_an_adaptive_method_decides_the_error_of_its_adjoint(trained):
    errors = []
    for tolerance in (1e-2, 1e-5):
        options = f"{{kind: dopri5, rtol: {tolerance}, atol: {tolerance}}}"
        found = measure(
            "gradient-audit", trained, [f"model.block.integrator={options}"], examples=8
        )
        assert found["chooses_steps"]
        by_name = rows(found)
        assert by_name["diffrax, checkpointed"]["weights_error"] < 1e-4
        errors.append(by_name["diffrax, adjoint equation (backsolve)"]["weights_error"])
    assert errors[1] < 0.1 * errors[0]


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
