"""Run directories for tests of checkpoints: made without a training, changed, and read."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from odenet.experiment.build import build
from odenet.experiment.config import to_yaml
from odenet.experiment.directory import CONFIG, RUN, RunDirectory
from odenet.experiment.provenance import provenance
from odenet.experiment.run import load
from odenet.models import Discretisation
from odenet.training.checkpoint import Checkpointer, named


def save_last(path, step, arrays, extras):
    checkpointer = Checkpointer(path / "checkpoints")
    try:
        checkpointer.save("last", step, arrays, extras)
    finally:
        checkpointer.close()


def drawn_run(config, path):
    """The run directory, at step 0, of a network with drawn weights, statistics and moments.

    Every array is the initial one plus numbers between 0 and 0.1, so that second moments and
    variances are positive.
    """
    experiment, rng = build(config), np.random.default_rng(0)
    arrays = {
        name: leaf + 0.1 * rng.uniform(size=leaf.shape).astype(leaf.dtype)
        if np.issubdtype(leaf.dtype, np.floating)
        else leaf
        for name, leaf in named(jax.device_get(experiment.start)).items()
    }
    with RunDirectory.create(path) as directory:
        about = {"kind": "run"} | provenance(None, experiment.placement.devices)
        directory.write_json(RUN, about)
        directory.write_text(CONFIG, to_yaml(config))
        save_last(path, 0, arrays, {})
    return path


def checkpoint(path, which="last"):
    checkpointer = Checkpointer(path / "checkpoints")
    try:
        found = checkpointer.read(which)
    finally:
        checkpointer.close()
    assert found is not None
    return found


def stored(path, which="last"):
    """The arrays of a checkpoint by path."""
    return checkpoint(path, which).state


def rewrite(path, arrays):
    """Replace arrays of the last checkpoint of a run, as if it had learned them."""
    found = checkpoint(path)
    save_last(path, found.step, found.state | arrays, found.extras)


def _drawn(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def _of_network(path, function):
    experiment, held = load(path)
    compiled = jax.jit(lambda *states: function(experiment.network(*states)))
    return jax.device_get(compiled(held.state.params, held.state.statistics))


def logits(path, step_factor=1):
    """Outputs of the last network of a run for three drawn inputs."""
    x, steps = _drawn(3, 64), Discretisation(step_factor=Fraction(step_factor))
    return _of_network(path, lambda network: network(x, steps).outputs)


def block_outputs(path, width, step_factor=1):
    """Outputs of every block of the last network, each for the same drawn states of that width."""
    x, steps = _drawn(3, width), Discretisation(step_factor=Fraction(step_factor))
    return _of_network(path, lambda network: [block(x, steps).h1 for block in network.blocks])
