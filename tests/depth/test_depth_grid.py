import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.integrators import ExplicitConfig

EULER = ExplicitConfig().build()
TAUS = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6)
PROPERTY = settings(max_examples=60, deadline=None)


def grid_of(taus, num_layers=1):
    return DepthGrid(jnp.asarray(taus, float), num_layers)


def test_times_are_partial_sums_and_horizon_is_their_end():
    grid = grid_of([0.5, 0.25, -0.125])
    np.testing.assert_array_equal(grid.times, [0.0, 0.5, 0.75, 0.625])
    assert float(grid.horizon) == 0.625
    assert grid.num_steps == 3


@PROPERTY
@given(TAUS, st.integers(1, 4))
def test_refined_grid_keeps_horizon_and_old_times(taus, factor):
    grid = grid_of(taus)
    fine = grid.with_num_steps(factor * len(taus))
    assert fine.num_steps == factor * len(taus)
    np.testing.assert_allclose(fine.times[::factor], grid.times, atol=1e-12)
    np.testing.assert_allclose(fine.horizon, sum(taus), atol=1e-12)
    for k, tau in enumerate(taus):
        pieces = np.asarray(fine.taus[factor * k : factor * (k + 1)])
        np.testing.assert_allclose(pieces, np.full(factor, tau / factor), atol=1e-14)


@PROPERTY
@given(TAUS, st.integers(1, 4))
def test_coarsened_grid_keeps_horizon_and_its_own_times(taus, factor):
    fine = grid_of(np.repeat(taus, factor) + np.tile(np.arange(factor), len(taus)))
    coarse = fine.with_num_steps(len(taus))
    assert coarse.num_steps == len(taus)
    np.testing.assert_allclose(coarse.times, fine.times[::factor], atol=1e-12)


@PROPERTY
@given(TAUS, st.integers(1, 4))
def test_coarsening_undoes_refinement(taus, factor):
    there = grid_of(taus, len(taus)).with_num_steps(factor * len(taus))
    assert there.num_layers == len(taus)
    back = there.with_num_steps(len(taus))
    np.testing.assert_allclose(back.taus, taus, atol=1e-12)
    assert back.num_layers == len(taus)


@PROPERTY
@given(st.integers(1, 40), st.integers(-3, 130))
def test_number_of_steps_is_refused_unless_it_divides_or_is_divided(old, new):
    grid = grid_of(np.ones(old))
    if new >= 1 and (new % old == 0 or old % new == 0):
        assert grid.with_num_steps(new).num_steps == new
        return
    with pytest.raises(ConfigError, match=f"divisor of the grid's {old}.*got {new}; nearest"):
        grid.with_num_steps(new)


def test_refusal_names_the_nearest_numbers():
    with pytest.raises(ConfigError, match=r"nearest: \[3, 4, 6\]"):
        grid_of(np.ones(12)).with_num_steps(7)


@pytest.mark.parametrize(
    ("num_layers", "num_steps", "expected"),
    [(4, 8, 4), (4, 2, 2), (4, 1, 1), (2, 4, 2), (1, 4, 1), (4, 4, 4)],
)
def test_layers_of_a_changed_grid_are_as_many_as_its_steps_can_tell_apart(
    num_layers, num_steps, expected
):
    assert grid_of(np.ones(4), num_layers).with_num_steps(num_steps).num_layers == expected


def test_layers_that_do_not_fit_the_steps_are_refused():
    with pytest.raises(ConfigError, match=r"num_steps=5, num_layers=2"):
        grid_of(np.ones(5), 2).steps_per_layer  # noqa: B018 - a property
    with pytest.raises(ConfigError, match="4 steps do not fit 6 layers"):
        grid_of(np.ones(12), 6).with_num_steps(4)


def test_intervals_of_layers_add_up_their_steps():
    grid = grid_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3).per_layer()
    np.testing.assert_array_equal(grid.taus, [3.0, 7.0, 11.0])
    assert grid.num_layers == grid.num_steps == 3
    assert grid_of([1.0, 2.0, 3.0]).per_layer().taus.tolist() == [6.0]


def test_grid_is_differentiable_and_passes_through_jit():
    @jax.jit
    def end(grid):
        return jnp.sum(grid.with_num_steps(6).times[-1] ** 2)

    gradient = jax.grad(end)(grid_of([1.0, 2.0], 2))
    np.testing.assert_allclose(gradient.taus, [6.0, 6.0], rtol=1e-12)
    assert gradient.num_layers == 2


def layers_used(num_layers, steps_per_layer):
    """The layer of every step: a layer's field is its own index."""
    fields = LayerFields(
        lambda index, t, h: jnp.full_like(h, index), jnp.arange(float(num_layers)), num_layers
    )

    @jax.jit
    def path(taus, h0):
        return EULER.integrate(fields, DepthGrid(taus, num_layers), h0, save_path=True).path

    states = path(np.ones(num_layers * steps_per_layer), np.zeros((1, 1)))
    return np.diff(np.asarray(states)[:, 0, 0])


@pytest.mark.parametrize(
    "depths",
    [
        pytest.param([1, 2, 3, 4, 7, 12, 31, 64, 128], id="some"),
        pytest.param(range(1, 129), marks=pytest.mark.product, id="all"),
    ],
)
def test_every_depth_uses_each_layer_exactly_once_and_in_order(depths):
    for num_layers in depths:
        np.testing.assert_array_equal(layers_used(num_layers, 1), np.arange(num_layers))


@pytest.mark.parametrize(("num_layers", "steps"), [(1, 5), (7, 3), (29, 2)])
def test_several_steps_of_a_layer_come_one_after_the_other(num_layers, steps):
    used = layers_used(num_layers, steps)
    np.testing.assert_array_equal(used, np.repeat(np.arange(num_layers), steps))
