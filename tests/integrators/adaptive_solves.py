"""One compiled solve by an adaptive method of ours."""

import jax
import jax.numpy as jnp

from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig


def solve(kind, field, taus, h0, *, save_path=False, **options):
    integrator = AdaptiveConfig(kind=kind, **options).build()
    fields = LayerFields.from_function(field)

    def run(taus, h0):
        return integrator.integrate(fields, DepthGrid(taus), h0, save_path=save_path)

    return jax.jit(run)(jnp.asarray(taus), h0)
