import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.errors import ConfigError
from odenet.experiment.build import build
from odenet.training.parallel import ParallelConfig, peak_bytes

INTEGRATORS = {
    "discrete": {"kind": "euler"},
    "reversible": {"kind": "leapfrog"},
    "adaptive": {"kind": "dopri5", "rtol": 1e-4, "atol": 1e-4, "max_steps": 32},
    "diffrax": {"kind": "diffrax", "controller": {"rtol": 1e-4, "atol": 1e-4}, "max_steps": 32},
}
PARALLEL = [("jit", 2), ("jit", 4), ("pmap", 1), ("pmap", 2), ("pmap", 4)]
ALWAYS = {
    "discrete": [("jit", 4), ("pmap", 1), ("pmap", 4)],
    "reversible": [("jit", 2), ("pmap", 2)],
    "adaptive": [("pmap", 4)],
    "diffrax": [],  # controlled by the same norm: integrators/test_batch_rms
}


def pairs():
    """All pairs; those that repeat a method and a placement of others are `product`."""
    for name, integrator in INTEGRATORS.items():
        for parallel in PARALLEL:
            marks = () if parallel in ALWAYS[name] else pytest.mark.product
            yield pytest.param(integrator, parallel, marks=marks, id=f"{name}-{parallel}")


@pytest.mark.parametrize(("integrator", "parallel"), list(pairs()))
def test_many_devices_equal_one_to_roundoff(configure, take_steps, take_once, integrator, parallel):
    on_one_device = take_once(configure(model__block__integrator=integrator), dispatches=3)
    kind, devices = parallel
    config = configure(
        model__block__integrator=integrator,
        training__parallel={"kind": kind, "devices": devices},
    )
    found = take_steps(config, dispatches=3)
    # One step is equal to round-off; six of them amplify it.
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(
            found.metrics[name][0], on_one_device.metrics[name][0], rtol=5e-6, err_msg=name
        )
    for name in ("loss", "gradient_norm", "accuracy"):
        np.testing.assert_allclose(
            found.metrics[name], on_one_device.metrics[name], rtol=2e-5, atol=1e-6, err_msg=name
        )
    np.testing.assert_array_equal(found.metrics["nfe"], on_one_device.metrics["nfe"])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        found.params,
        on_one_device.params,
    )


@pytest.mark.parametrize("parallel", [("jit", 4), ("pmap", 4)], ids=str)
def test_dropout_draws_the_same_for_an_example_on_whichever_device(configure, take_once, parallel):
    kind, devices = parallel
    one, many = (
        take_once(
            configure(model__block__shortcut={"kind": "dropout"}, training__parallel=parallel)
        )
        for parallel in ({"devices": 1}, {"kind": kind, "devices": devices})
    )
    np.testing.assert_allclose(many.metrics["loss"], one.metrics["loss"], rtol=2e-5)
    jax.tree.map(np.testing.assert_array_equal, many.statistics, one.statistics)


@pytest.mark.parametrize("parallel", [("jit", 4), ("pmap", 4)], ids=str)
def test_batch_norm_sees_the_batch_of_all_devices(configure, take_once, parallel):
    changes = {
        "model__block__field": {"kind": "residual"},
        "model__head": {"norm": "batch", "activation": "relu"},
    }
    kind, devices = parallel
    together = {"kind": kind, "devices": devices}
    one, many = (
        take_once(configure(**changes, training__parallel=parallel), dispatches=2)
        for parallel in ({"devices": 1}, together)
    )
    for name in ("loss", "gradient_norm"):
        np.testing.assert_allclose(many.metrics[name], one.metrics[name], rtol=1e-4, err_msg=name)
    assert len(jax.tree.leaves(one.statistics)) == 6
    start = build(configure(**changes)).start.statistics
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-3, one.statistics, start)
    assert all(jax.tree.leaves(moved))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        many.statistics,
        one.statistics,
    )


def test_batch_that_does_not_divide_is_refused_with_the_nearest_sizes():
    with pytest.raises(ConfigError, match=r"multiple of the 4 devices; got 30; nearest: \[28, 32"):
        ParallelConfig(devices=4).build(30)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="devices=9, but there are 4"):
        ParallelConfig(devices=9).build(18)


@pytest.mark.parametrize("donated", [True, False])
def test_peak_bytes_count_arguments_results_and_temporaries_and_what_is_donated_once(donated):
    """A program whose memory is known: a scan that keeps 64 states of one MiB for its gradient."""
    state = jnp.zeros(1 << 18, jnp.float32)

    def loss(h):
        return jnp.sum(jax.lax.scan(lambda h, _: (jnp.sin(h), None), h, length=64)[0])

    step = jax.jit(lambda h: h - jax.grad(loss)(h), donate_argnums=0 if donated else ())
    found = peak_bytes(step.lower(state).compile()) / state.nbytes
    held = 64 + (1 if donated else 2)
    assert held <= found < held + 3.5
