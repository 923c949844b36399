"""The ODE-Net of torchdiffeq's MNIST example, against torchdiffeq with and without its adjoint."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks import weights
from benchmarks.declaration import Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import cross_entropy, training
from benchmarks.networks import TimeConvField, conv, group_norm
from odenet.depth.grid import DepthGrid
from odenet.depth.weights import LayerFields
from odenet.integrators import DiffraxConfig, ExplicitConfig, Integrator

_TORCH = "benchmarks.cases.odenet_mnist_torch"

BENCHMARK = Comparison(
    name="odenet_mnist",
    about="ODE-Net for MNIST, batch 128, dopri5, rtol = atol = 1e-3, one SGD-momentum step",
    sides=(
        Side("odenet", "benchmarks.cases.odenet_mnist", keeps_memory=True),
        Side("torchdiffeq", _TORCH, {"adjoint": False}),
        Side("torchdiffeq adjoint", _TORCH, {"adjoint": True}),
    ),
    ratios=(
        Ratio("torchdiffeq odeint", "odenet", "torchdiffeq", bar=1.0),
        Ratio("torchdiffeq odeint_adjoint", "odenet", "torchdiffeq adjoint", bar=0.7),
    ),
    settings={
        "batch": 128,
        "side": 28,
        "tolerance": 1e-3,
        "learning_rate": 0.1,
        "max_steps": 64,
        "first_step": 0.1,
        "fixed_steps": None,
    },
    full=Timing(rounds=7, steps=1),
    quick=Timing(rounds=1, warm_up=1, settle=0),
    quick_settings={"batch": 8},
    # Adaptive solvers take steps of their own and agree to their tolerance alone; at the kinks of
    # ReLUs gradients differ by far more. Fixed midpoint steps are the same on both sides.
    probe_settings={"batch": 2, "side": 12, "fixed_steps": 4},
    note="Field evaluations are those of the way forward, in the last step that was timed.",
)


def _integrator(settings: Settings) -> Integrator:
    if settings["fixed_steps"]:
        return ExplicitConfig(kind="midpoint").build()
    controller = {
        "kind": "pid",
        "rtol": settings["tolerance"],
        "atol": settings["tolerance"],
        "first_step": settings["first_step"],
    }
    return DiffraxConfig(
        solver="dopri5", controller=controller, max_steps=settings["max_steps"]
    ).build()


def build(settings: Settings, double: bool) -> Work:
    """The odenet side: gradients are exact, by recomputation from checkpoints."""
    integrator, steps = _integrator(settings), settings["fixed_steps"] or 1

    def loss(params, batch):
        h = conv(batch[0], params["stem.0.kernel"], 1, 0) + params["stem.0.bias"]
        for norm, layer in ((1, 3), (4, 6)):
            h = group_norm(h, params[f"stem.{norm}.scale"], params[f"stem.{norm}.bias"])
            h = conv(jax.nn.relu(h), params[f"stem.{layer}.kernel"], 2, 1)
            h = h + params[f"stem.{layer}.bias"]
        graphdef, state = nnx.split(TimeConvField(params))
        fields = LayerFields(
            lambda one, t, h: nnx.merge(graphdef, one)(t, h),
            jax.tree.map(lambda leaf: leaf[None], state),
            num_layers=1,
        )
        solve = integrator.integrate(fields, DepthGrid(jnp.full(steps, 1 / steps, h.dtype)), h)
        h = group_norm(solve.h1, params["head_norm.scale"], params["head_norm.bias"])
        pooled = jnp.mean(jax.nn.relu(h), axis=(1, 2))
        logits = pooled @ params["head.kernel"] + params["head.bias"]
        return cross_entropy(logits, batch[1]), {"outputs": logits, "stats": solve.stats}

    side = settings["side"]
    batch = weights.images(settings["batch"], (side, side, 1), 10, double)
    optimizer = optax.sgd(settings["learning_rate"], 0.9)

    def facts(extras):
        stats = extras["stats"]
        assert np.all(stats.success), "the solve did not arrive"
        return {"nfe": int(stats.nfe), "rejected_steps": int(stats.rejected)}

    return training(loss, weights.odenet_mnist(double), batch, optimizer, facts)
