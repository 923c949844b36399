"""Blocks of the package on weights that a benchmark brings."""

from flax import nnx

from odenet.models import DepthBlockConfig


def structure(config: DepthBlockConfig, state_shape: tuple[int, ...]) -> nnx.GraphDef:
    """A block without weights, which the benchmark brings: none are drawn."""
    block = nnx.eval_shape(lambda: config.build(state_shape, rngs=nnx.Rngs(0)))
    return nnx.split(block)[0]
