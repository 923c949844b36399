"""Peak bytes of a gradient step at 1024 layers against 64, by the gradient method."""

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.declaration import Comparison, Ratio, Settings, Side, Timing, Work
from odenet.models import DepthBlockConfig
from odenet.training.parallel import peak_bytes

_MODULE = "benchmarks.cases.memory_depth"

VARIANTS = (
    ("store all", {"kind": "euler"}, None),
    ("step by step", {"kind": "euler", "remat": "step"}, None),
    ("square root", {"kind": "euler", "remat": "sqrt"}, 4.5),
    ("reversible", {"kind": "leapfrog"}, 1.2),
)
"""Label, integrator, largest accepted ratio."""

BENCHMARK = Comparison(
    name="memory_depth",
    about="peak bytes of a gradient step, 1024 layers against 64, width 8, batch 65536",
    sides=tuple(
        Side(f"{label}, {layers}", _MODULE, {"integrator": integrator, "layers": layers}, True)
        for label, integrator, _ in VARIANTS
        for layers in (1024, 64)
    ),
    ratios=tuple(
        Ratio(f"64 layers, {label}", f"{label}, 1024", f"{label}, 64", bar, "peak_bytes")
        for label, _, bar in VARIANTS
    ),
    settings={"width": 8, "batch": 65536},
    full=Timing(rounds=0, warm_up=0, settle=0),
    quick=Timing(rounds=0, warm_up=0, settle=0),
    note=(
        "Bytes are arguments, results and temporaries of the compiled step, by XLA's memory "
        "analysis; the step is not run. Every layer has its own weights; the batch is large, so "
        "that states dominate and weights are negligible."
    ),
)


def build(settings: Settings, double: bool) -> Work:
    """A block of the package, and the gradient of the mean square of its last state."""
    width = settings["width"]
    config = DepthBlockConfig(
        num_steps=settings["layers"],
        step_sizes={"kind": "fixed", "horizon": 1.0},
        integrator=settings["integrator"],
    )
    block = nnx.eval_shape(lambda: config.build((width,), rngs=nnx.Rngs(0)))
    graphdef, params = nnx.split(block)
    h0 = jax.ShapeDtypeStruct((settings["batch"], width), jnp.float64 if double else jnp.float32)

    def loss(params, h0):
        return jnp.mean(jnp.square(nnx.merge(graphdef, params)(h0).h1))

    compiled = jax.jit(jax.grad(loss)).lower(params, h0).compile()
    return Work(lambda: None, facts=lambda: {"peak_bytes": peak_bytes(compiled)})
