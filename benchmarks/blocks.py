"""Blocks of the package with the weights of a benchmark."""

from flax import nnx

from odenet.models import DepthBlockConfig


def structure(config: DepthBlockConfig, state_shape: tuple[int, ...]) -> nnx.GraphDef:
    """The graph definition of a block; no weights are initialised."""
    block = nnx.eval_shape(lambda: config.build(state_shape, rngs=nnx.Rngs(0)))
    return nnx.split(block)[0]
