"""Members of diffrax that are not public and that the package relies on: a change is seen here."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odenet.integrators.continuous import adjoints
from odenet.integrators.continuous.first_stage import FirstStageAtStart

GIVEN = {"args", "adjoint", "solver", "stepsize_controller", "terms", "dt0", "max_steps", "throw"}
GIVEN |= {"t0", "t1", "y0", "solver_state", "controller_state", "made_jump", "saveat"}
"""What the backward pass of `BacksolveAdjoint` calls its solve with."""


SEEN: list[dict] = []


class Spy(adjoints._Backsolve):
    """It keeps the options of every solve backwards in `SEEN`, before they are passed on."""

    @property
    def _diffeqsolve(self):
        solve = super()._diffeqsolve

        def noted(**options):
            SEEN.append(options)
            return solve(**options)

        return noted


def gradient(adjoint):
    def end(h0, rate):
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, h, args: -args[0] * h),
            diffrax.Tsit5(),
            0.0,
            1.0,
            None,
            h0,
            args=(rate, jnp.zeros(()), jnp.zeros(())),  # three, as `Diffrax` gives
            stepsize_controller=diffrax.PIDController(1e-6, 1e-6),
            adjoint=adjoint,
            max_steps=64,
            throw=False,
        )
        return jnp.sum(solution.ys)

    return jax.jit(jax.grad(end, argnums=(0, 1)))(jnp.ones(2), jnp.asarray(2.0))


def test_member_that_is_overridden_is_there_and_solves():
    assert isinstance(vars(diffrax.AbstractAdjoint)["_diffeqsolve"], property)
    assert diffrax.BacksolveAdjoint()._diffeqsolve is diffrax.diffeqsolve


def test_backward_pass_solves_through_the_member_that_is_overridden():
    SEEN.clear()
    by_state, by_rate = gradient(Spy())
    (options,) = SEEN
    assert set(options) == GIVEN
    state, by_end, by_args, _ = options["y0"]
    assert state.shape == by_end.shape == (2,)
    assert jax.tree.map(jnp.shape, by_args) == ((), (), ())
    # d/dh of exp(-2) h, and d/drate of 2 exp(-rate).
    np.testing.assert_allclose(by_state, np.exp(-2.0), rtol=1e-4)
    np.testing.assert_allclose(by_rate, -2 * np.exp(-2.0), rtol=1e-4)


@pytest.mark.parametrize("name", ["Bosh3", "Tsit5", "Dopri5", "Dopri8"])
def test_state_of_a_solver_is_whether_it_is_new_and_its_first_stage(name):
    """`FirstStageAtStart` makes it, and `Diffrax` hands it to the solve."""
    term, h0 = diffrax.ODETerm(lambda t, h, args: -h), jnp.ones(3)
    solver = getattr(diffrax, name)()
    t0, t1 = jnp.zeros(()), jnp.ones(())
    is_new, first = solver.init(term, t0, t1, h0, None)
    assert is_new.shape == ()
    assert bool(is_new)
    assert first.shape == h0.shape
    ours = FirstStageAtStart.init(solver, term, t0, t1, h0, None)
    assert jax.tree.structure(ours) == jax.tree.structure((is_new, first))

    @jax.jit
    def step(ours):
        _, _, _, theirs, result = solver.step(term, t0, t1, h0, None, ours, False)
        return theirs, result == diffrax.RESULTS.successful

    theirs, succeeded = step(ours)
    assert bool(succeeded)
    assert jax.tree.structure(theirs) == jax.tree.structure(ours)
