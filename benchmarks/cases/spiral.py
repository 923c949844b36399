"""One training step of torchdiffeq's `examples/ode_demo.py`, against torchdiffeq."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import weights
from benchmarks.declaration import Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import training
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import AdaptiveConfig

BENCHMARK = Comparison(
    name="spiral",
    about="ode_demo: 2-50-2 network of y^3, dopri5 1e-7 / 1e-9, batch 20, 10 times, RMSprop",
    sides=(
        Side("odenet", "benchmarks.cases.spiral", keeps_memory=True),
        Side("torchdiffeq", "benchmarks.cases.spiral_torch"),
    ),
    ratios=(Ratio("torchdiffeq odeint", "odenet", "torchdiffeq", bar=0.03),),
    settings={"batch": 20, "times": 10, "rtol": 1e-7, "atol": 1e-9, "max_steps": 256},
    full=Timing(rounds=15, steps=30, settle=5),
    quick=Timing(rounds=1, steps=2),
    checks=(Check({"batch": 4, "rtol": 1e-10, "atol": 1e-12}, 1e-6),),
    note=(
        "Field evaluations are those of the forward pass, in the last timed step. The arrays are "
        "small: the time is that of dispatching operations, mostly matrix products. Tried: diffrax "
        "with fewer steps and checkpoints; an interval for every output; one solve with dense "
        "output; our own loop instead of diffrax's, which is the fastest; products written as "
        "sums, which are slower."
    ),
)


def build(settings: Settings, double: bool) -> Work:
    """The odenet side: one solve, with the states at all output times by dense output."""
    start, ts, targets = weights.spiral_batch(settings["batch"], settings["times"], double)
    names = ("rtol", "atol", "max_steps")
    integrator = AdaptiveConfig(**{name: settings[name] for name in names}).build()

    def field(params, t, y):
        del t
        h = jnp.tanh(y**3 @ params["net.0.kernel"] + params["net.0.bias"])
        return h @ params["net.2.kernel"] + params["net.2.bias"]

    def loss(params, batch):
        start, taus, targets = batch
        fields = LayerFields(field, jax.tree.map(lambda leaf: leaf[None], params), num_layers=1)
        solve = integrator.integrate(fields, DepthGrid(taus), start, save_path=True)
        extras = {"outputs": solve.path, "stats": solve.stats}
        return jnp.mean(jnp.abs(solve.path - targets)), extras

    def facts(extras):
        stats = extras["stats"]
        assert np.all(stats.success), "the solve did not reach t1"
        return {"nfe": int(stats.nfe), "rejected_steps": int(stats.rejected)}

    batch = (start, np.diff(ts), targets)
    optimizer = optax.rmsprop(1e-3, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    return training(loss, weights.spiral(double), batch, optimizer, facts)
