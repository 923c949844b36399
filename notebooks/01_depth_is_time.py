# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Depth is time
#
# A residual layer is one explicit-Euler step. This lesson builds a residual network by hand and the
# same network as a `DepthBlock`. Then it evaluates the same weights with more accurate solvers: the
# outputs converge to those of the ODE at the order of the solver, and the residual network differs
# from them.
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
# Eight layers `h + tanh(W h + b)`, each with its own weights.

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
# The block takes another discretisation and keeps its weights. An adaptive solve with tight
# tolerances is the reference.

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
print(f"the residual network differs from its ODE by {distance:.2f}, NFE {by_block.stats.nfe}")

# %% [markdown]
# ## Observed order
#
# At half the step size, the error of Euler's method is smaller by a factor of 2, that of midpoint
# by 4, that of RK4 by 16, until it reaches the round-off of single precision.

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
# `odenet compare experiments/quickstart.yaml` does this with trained networks, and tests whether
# their accuracy depends on the solver.
