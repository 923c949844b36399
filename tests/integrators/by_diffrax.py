"""Adaptive integrators of diffrax by their options, and one solve with them."""

import jax
import jax.numpy as jnp

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import DiffraxConfig


def made(solver="tsit5", rtol=1e-3, atol=1e-3, adjoint="checkpointed", max_steps=256, **control):
    mapping = {
        "solver": solver,
        "controller": {"rtol": rtol, "atol": atol, **control},
        "adjoint": {"kind": adjoint},
        "max_steps": max_steps,
    }
    return DiffraxConfig.model_validate(mapping).build()


def solved(integrator, field, taus, h0, **options):
    fields, grid = LayerFields.from_function(field), DepthGrid(jnp.asarray(taus), 1)
    return jax.jit(lambda h0: integrator.integrate(fields, grid, h0, **options))(jnp.asarray(h0))


def decay(t, h):
    return -h


def pulse(t, h):
    return jnp.where((t >= 0.5) & (t < 0.51), 100.0, 0.0) * jnp.ones_like(h)
