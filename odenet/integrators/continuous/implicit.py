"""Steps of diagonally implicit Runge-Kutta methods with an explicit first stage."""

from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from odenet.arrays import Array, Float
from odenet.integrators.continuous.chord import ChordMethod
from odenet.integrators.continuous.first_stage import FirstStageAtStart
from odenet.integrators.failure import Failure, first_failure


class _Method(NamedTuple):
    """A tableau as arrays: rows of stages 1 and on, and the weights of all stages."""

    a: Float[Array, "implicit stages"]
    diagonal: Float[Array, " implicit"]
    predictor: Float[Array, "implicit stages"]
    c: Float[Array, " implicit"]
    b: Float[Array, " stages"]
    error: Float[Array, " stages"]


class ImplicitSteps(FirstStageAtStart):
    """Mixin for diffrax solvers with such a tableau, whose equations are solved by `ChordMethod`.

    diffrax's own root finder tests equations by tolerances that precision may not resolve, and
    raises in the middle of a backward pass if a linear equation has no finite solution. Here a
    step whose equations are not solved has an infinite error, so that a shorter one is tried, and
    a finite derivative; with fixed steps it ends the solve.
    """

    dense_output_of_stages = True

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step, with the signature of diffrax's own solvers."""
        finder: ChordMethod = self.root_finder  # pyright: ignore
        _, f0 = solver_state
        if made_jump is not False:
            f0 = jax.lax.cond(made_jump, lambda: self.func(terms, t0, y0, args), lambda: f0)  # pyright: ignore
        state, unravel = ravel_pytree(y0)
        dt = terms.contr(t0, t1)
        method = _method(self.tableau, state.dtype)  # pyright: ignore

        def derivative(t, h):
            return ravel_pytree(terms.vf(t, unravel(h), args))[0]

        def stage(carry, row):
            stages, failure = carry
            index, a, diagonal, predictor, c = row
            t = jnp.where(c == 1, t1, t0 + c * (t1 - t0))
            known, guess = state + dt * _dot(a, stages), _dot(predictor, stages)

            def equation(f, solved: Any = True):
                # A failed step is discarded: its derivative, which must be finite, is taken at a
                # point where the field is known to be finite.
                h = jnp.where(solved, known + dt * diagonal * f, state)
                return f - derivative(t, h)

            start, held, step = jax.lax.stop_gradient((guess, state, dt))
            root, why = finder.solve(_held(equation, start), start, held, step)
            solved = why == int(Failure.NONE)
            root = finder.with_derivative(
                lambda f: equation(f, solved), jnp.where(solved, root, start)
            )
            return (stages.at[index].set(root), first_failure(failure, why)), None

        stages = jnp.zeros((len(method.b), len(state)), state.dtype)
        stages = stages.at[0].set(ravel_pytree(f0)[0])
        index = jnp.arange(1, len(method.b))
        rows = (index, method.a, method.diagonal, method.predictor, method.c)
        body = jax.checkpoint(stage, prevent_cse=False)
        (stages, why), _ = jax.lax.scan(body, (stages, jnp.zeros((), jnp.int32)), rows)

        rise, error = dt * _dot(method.b, stages), dt * _dot(method.error, stages)
        end = jnp.where(why == int(Failure.EQUATION), state, state + rise)
        end = jnp.where(why == int(Failure.NOT_FINITE), jnp.nan, end)
        error = jnp.where(why == int(Failure.NONE), error, jnp.inf)
        results: Any = diffrax.RESULTS
        result = results.where(
            why == int(Failure.EQUATION), results.nonlinear_max_steps_reached, results.successful
        )
        result = results.where(why == int(Failure.NOT_FINITE), results.nonfinite, result)
        dense = {"y0": y0, "y1": unravel(end)}
        if self.dense_output_of_stages:
            dense["k"] = jax.vmap(unravel)(dt * stages)
        following = (jnp.zeros((), bool), unravel(stages[-1]))
        return unravel(end), unravel(error), dense, following, result


def _held(equation, at):
    """The equation, with all captured variables held fixed."""
    fixed, closed_over = jax.closure_convert(equation, at)
    closed_over = jax.lax.stop_gradient(closed_over)
    return lambda f: fixed(f, *closed_over)


def _dot(weights: Float[Array, " stages"], stages: Float[Array, "stages size"]) -> Any:
    return jnp.tensordot(weights, stages, axes=1, precision=jax.lax.Precision.HIGHEST)


def _method(tableau: diffrax.ButcherTableau, dtype: Any) -> _Method:
    count = tableau.num_stages
    assert tableau.a_diagonal is not None
    assert tableau.a_predictor is not None

    def rows(lower) -> np.ndarray:
        return np.stack([np.pad(row, (0, count - len(row))) for row in lower])

    parts = (
        rows(tableau.a_lower),
        tableau.a_diagonal[1:],
        rows(tableau.a_predictor),
        tableau.c,
        tableau.b_sol,
        tableau.b_error,
    )
    return _Method(*(jnp.asarray(part, dtype) for part in parts))
