"""Path integrals: integrals over depth-time along a path, integrated with the state."""

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
    r"""Integrate a state and its path integrals $q_i' = g_i(t, h)$, $q_i(0) = 0$, by one method.

    State and integrals form one vector for every example, so that every first-order method
    integrates both, and every adjoint differentiates both. An adaptive integrator chooses its steps
    by the error norm without the quadrature components: nothing depends on an integral, and its
    error would shorten steps (as in the seminorm of Kidger et al. 2021, arXiv:2009.09457). With
    steps of negative size an integral decreases.

    Args:
        integrator: An integrator with `carries_integrals`.
        fields: The vector fields of all layers, without batch statistics.
        grid: The steps.
        h0: State at depth-time 0, shape `(batch, *state)`.
        integrands: The integrands.
        probe: A random state, the same at all depths.
        save_path: Whether to return the states at all points of the grid too.

    Returns:
        The integration of the state, with `integrals` of shape `(batch, num_integrands)`.

    Raises:
        ConfigError: if the integrator cannot carry integrals, or the fields use batch statistics.
    """
    if not integrator.carries_integrals:
        raise ConfigError(
            f"path integrals are carried by explicit Runge-Kutta methods (kind=euler to "
            f"rk4, tableau, dopri5, bosh3) and kind=diffrax, except solver=semi_implicit_euler, "
            f"which is partitioned; got {type(integrator).__name__}"
        )
    if fields.uses_batch_statistics:
        raise ConfigError(
            "path integrals belong to single examples, and batch statistics couple the examples of "
            "a batch; freeze the statistics (training.batch_statistics=frozen)"
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
