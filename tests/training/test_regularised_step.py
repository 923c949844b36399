"""Steps with regularisers: the same draws for the same seed, and on however many devices."""

import jax
import numpy as np
import pytest

REGULARISERS = [
    {"kind": "kinetic", "weight": 0.1},
    {"kind": "jacobian", "weight": 0.1},
    {"kind": "taylor", "order": 2, "weight": 0.01},
    {"kind": "steer", "width": 0.3},
]
NAMES = ("kinetic", "jacobian", "taylor_2", "regularisation", "loss", "gradient_norm")


@pytest.fixture
def regularised(configure):
    def configured(regularisers=REGULARISERS, **parallel):
        return configure(
            model__block__field={"kind": "mlp", "activation": "tanh"},
            objective={"kind": "cross_entropy", "regularisers": regularisers},
            training__parallel=parallel or {"devices": 1},
        )

    return configured


@pytest.mark.parametrize("parallel", [("jit", 4), ("pmap", 4)], ids=str)
def test_probes_and_ends_are_the_same_on_whichever_device(regularised, take_once, parallel):
    kind, devices = parallel
    one = take_once(regularised())
    many = take_once(regularised(kind=kind, devices=devices))
    for name in NAMES:
        np.testing.assert_allclose(many.metrics[name], one.metrics[name], rtol=5e-5, err_msg=name)


def test_same_seed_gives_the_same_bytes(regularised, take_steps, take_once):
    first, again = take_once(regularised()), take_steps(regularised())
    jax.tree.map(np.testing.assert_array_equal, first.params, again.params)
    for name in NAMES:
        np.testing.assert_array_equal(first.metrics[name], again.metrics[name])


def test_steps_draw_anew(regularised, take_steps):
    fixed = take_steps(regularised(regularisers=REGULARISERS[:1]))
    moved = take_steps(regularised(regularisers=[*REGULARISERS[:1], REGULARISERS[3]]))
    ratios = moved.metrics["kinetic"] / fixed.metrics["kinetic"]
    assert np.all(np.abs(ratios - 1) < 1)
    assert len(np.unique(np.round(ratios, 4))) == len(ratios)
