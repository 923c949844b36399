"""Integrals over depth-time of what a solve passes: integrated along with the state."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from odenet.arrays import Array, Float, State, Time
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.errors import ConfigError
from odenet.integrators.base import Field, Integration, Integrator

Integrand = Callable[[Field, Time, State, State], Float[Array, " batch"]]
"""`integrand(field, t, h, probe)`: one number for every example. The probe is a random state, drawn
once for the solve."""


def integrate_with_integrals(
    integrator: Integrator,
    fields: LayerFields,
    grid: DepthGrid,
    h0: State,
    integrands: tuple[Integrand, ...],
    probe: State,
    *,
    save_path: bool = False,
) -> Integration:
    r"""Integrate a state, and with it $q_i' = g_i(t, h)$, $q_i(0) = 0$, by the same method.

    State and integrals are one vector for every example, so that every method of the first order
    integrates both, and every adjoint differentiates both. An integrator that chooses its steps
    does so by the error of the state alone: nothing depends on an integral, and with it steps would
    be shorter (as in the seminorm of Kidger et al. 2021, arXiv:2009.09457). With steps of negative
    size an integral falls.

    Args:
        integrator: One with `carries_integrals`.
        fields: The vector fields of all layers; they use no batch statistics.
        grid: The steps.
        h0: State at depth-time 0, shape `(batch, *state)`.
        integrands: What is integrated.
        probe: A random state, the same at all depths.
        save_path: Whether to return the states at all points of the grid too.

    Returns:
        That of the state, with `integrals` of shape `(batch, num_integrands)`.

    Raises:
        ConfigError: if the integrator cannot, or the fields use batch statistics.
    """
    if not integrator.carries_integrals:
        raise ConfigError(
            f"integrals along the depth are carried by explicit Runge-Kutta methods (kind=euler to "
            f"rk4, tableau, dopri5, bosh3) and kind=diffrax, but for solver=semi_implicit_euler, "
            f"which is partitioned; got {type(integrator).__name__}"
        )
    if fields.uses_batch_statistics:
        raise ConfigError(
            "integrals along the depth see each example by itself, and batch statistics mix "
            "them; freeze the statistics (training.batch_statistics=frozen)"
        )
    size, count = h0[0].size, len(integrands)
    fields = fields.prepared(h0)
    num_initial = len(fields.initial_state)

    def flat(h: State) -> Float[Array, "batch size"]:
        return h.reshape(len(h), size)

    def apply(params, *at):
        *initial_state, probe, t, z = at
        assert len(initial_state) == num_initial

        def field(t, h):
            return fields.apply(params, *initial_state, t, h)

        h = z[:, :size].reshape(h0.shape)
        rates = [integrand(field, t, h, probe)[:, None] for integrand in integrands]
        return jnp.concatenate([flat(field(t, h)), *rates], axis=1)

    both = dataclasses.replace(fields, apply=apply, initial_state=(*fields.initial_state, probe))
    z0 = jnp.concatenate([flat(h0), jnp.zeros((len(h0), count), h0.dtype)], axis=1)
    found = integrator.without_quadrature(count).integrate(both, grid, z0, save_path=save_path)
    path = found.path
    return Integration(
        found.h1[:, :size].reshape(h0.shape),
        None if path is None else path[..., :size].reshape(len(path), *h0.shape),
        found.stats,
        integrals=found.h1[:, size:],
    )
