"""RK4 with 20 fixed steps on a small field: the package's scan against plain diffrax."""

from flax import nnx

from benchmarks import weights
from benchmarks.blocks import structure
from benchmarks.declaration import Check, Comparison, Ratio, Settings, Side, Timing, Work
from benchmarks.jax_training import square_mean_training
from odenet.models import DepthBlockConfig

BENCHMARK = Comparison(
    name="fixed_step",
    about="RK4, 20 steps, field 16-16-16 tanh, batch 64: value, gradient and an SGD update",
    sides=(
        Side("odenet", "benchmarks.cases.fixed_step", keeps_memory=True),
        Side("diffrax", "benchmarks.cases.fixed_step_diffrax", keeps_memory=True),
    ),
    ratios=(Ratio("diffrax ConstantStepSize", "odenet", "diffrax", bar=0.5),),
    settings={"steps": 20, "width": 16, "batch": 64},
    full=Timing(rounds=15, steps=100, settle=10),
    quick=Timing(rounds=1, steps=2),
    checks=(Check({"batch": 4}, 1e-10),),
)


def build(settings: Settings, double: bool) -> Work:
    """The odenet side: a block of the package on shared weights."""
    width = settings["width"]
    config = DepthBlockConfig(
        num_steps=settings["steps"],
        field={"kind": "mlp", "form": "between", "activation": "tanh", "hidden": [width]},
        weights={"kind": "shared"},
        step_sizes={"kind": "fixed", "horizon": 1.0},
        integrator={"kind": "rk4"},
    )
    graphdef = structure(config, (width,))

    def solve(params, h0):
        affine = {
            layer: {leaf: params[f"affine.{layer}.{leaf}"][None] for leaf in ("kernel", "bias")}
            for layer in (0, 1)
        }
        placed = {"weights": {"stacked": {"affine": affine}}}
        integration = nnx.merge(graphdef, placed)(h0)
        return integration.h1, integration.stats.accepted

    h0, _ = weights.vectors(settings["batch"], width, 10, double)
    return square_mean_training(solve, weights.mlp_field(width, width, double), h0)
