# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Depth is time
#
# A residual layer is one explicit-Euler step. This lesson builds a residual network by hand, finds
# it again in a `DepthBlock`, and watches what happens when the same weights are run by better
# solvers: the outputs of the ODE converge at the order of the solver, and the residual network is
# some distance away from all of them.
#
# Open it with jupytext, or run it: `python notebooks/01_depth_is_time.py`.

# %%
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet import DepthBlockConfig, DiffraxConfig, Discretisation, ExplicitConfig

# %% [markdown]
# ## A residual network by hand
#
# Eight layers `h + tanh(W h + b)`, each with weights of its own.

# %%
block = DepthBlockConfig(num_steps=8, field={"kind": "mlp"}).build((16,), rngs=nnx.Rngs(0))
h0 = jax.random.normal(jax.random.key(1), (4, 16))

kernels = block.weights.stacked.affine[0].kernel[...]
biases = block.weights.stacked.affine[0].bias[...]
h = h0
for kernel, bias in zip(kernels, biases, strict=True):
    h = h + jnp.tanh(h @ kernel + bias)

by_block = block(h0)
print("largest difference from the block:", float(abs(h - by_block.h1).max()))
assert jnp.allclose(h, by_block.h1, atol=1e-5)

# %% [markdown]
# ## The same weights as an ODE
#
# The block takes another discretisation and leaves its weights alone. A tight adaptive solve is
# the reference.

# %%
reference = block(
    h0,
    Discretisation(
        DiffraxConfig(
            solver="dopri8", controller={"rtol": 1e-6, "atol": 1e-6}, max_steps=1024
        ).build()
    ),
)
distance = float(abs(by_block.h1 - reference.h1).max())
print(
    f"the residual network is {distance:.2f} away from its ODE, at {by_block.stats.nfe} evaluations"
)

# %% [markdown]
# ## Observed order
#
# Halve the steps: the error of Euler falls by 2, of midpoint by 4, of RK4 by 16, until single
# precision ends it.

# %%
for kind, order in (("euler", 1), ("midpoint", 2), ("rk4", 4)):
    integrator = ExplicitConfig(kind=kind).build()
    errors = [
        float(abs(block(h0, Discretisation(integrator, Fraction(factor))).h1 - reference.h1).max())
        for factor in (2, 4, 8)
    ]
    observed = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    print(f"{kind:9s} errors {errors}, observed orders {observed.round(2)}, theory {order}")
    assert errors[0] > errors[1]

# %% [markdown]
# ## Where to go from here
#
# `odenet compare experiments/quickstart.yaml` does this with trained networks, and asks whether
# accuracy survives the exchange of the solver.
