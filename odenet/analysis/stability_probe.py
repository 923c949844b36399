"""Stability of one network at any parameters, by a measurement that is compiled once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from odenet.analysis.field_path import FieldPath, field_paths
from odenet.analysis.spectra import Spectra, jacobians, spectra_of
from odenet.analysis.stability import StepStability, step_stability
from odenet.data import Normalization, Split, normalize
from odenet.depth.grid import DepthGrid
from odenet.errors import ConfigError
from odenet.integrators import Integrator
from odenet.integrators.amplification import Amplification
from odenet.models import Network
from odenet.models.base import NO_STEP

STABILITY_EXAMPLES = 4
"""Default number of examples on whose paths the stability is measured."""


@dataclasses.dataclass(frozen=True)
class BlockStatus:
    """Stability of one block at one step of its training.

    Attributes:
        method: The integrator.
        taus: Step sizes, shape `(num_steps,)`.
        spectra: Spectra of the field's Jacobian at the start of every step; None if a state is not
            finite.
        steps: Every step against the stability region of the method; None if it has none, or a
            state is not finite.
    """

    method: str
    taus: np.ndarray
    spectra: Spectra | None
    steps: StepStability | None


@dataclasses.dataclass(frozen=True)
class StabilityReport:
    """Stability of a network, block by block."""

    blocks: tuple[BlockStatus, ...]

    def plain(self) -> dict[str, Any]:
        """The largest value over the examples for every step; None if it is not finite."""
        return {"blocks": [_plain(block) for block in self.blocks]}


class StabilityProbe:
    """Compiles the measurement once, and runs it at any parameters.

    Args:
        network: The network, at any parameters.
        normalization: Normalisation of the inputs.
        examples: The examples on whose paths the stability is measured.

    Raises:
        ConfigError: if a layer is not a step of a method.
    """

    def __init__(self, network: Network, normalization: Normalization, examples: Split):
        self._integrators: list[Integrator] = []
        for index, block in enumerate(network.blocks):
            if block.ode is None:
                raise ConfigError(
                    f"stability is that of steps of h' = f(t, h), but a layer of "
                    f"model.stages.{index} {NO_STEP}; remove the monitor of kind=stability"
                )
            self._integrators.append(block.ode.integrator)
        graphdef = nnx.graphdef(network)
        self._examples = examples

        def measure(params: Any, statistics: Any, inputs: Any) -> Any:
            network = nnx.merge(graphdef, params, statistics)
            return list(map(_measured, field_paths(network, normalize(inputs, normalization))))

        self._measure = jax.jit(measure)

    def __call__(self, params: Any, statistics: Any) -> StabilityReport:
        """Measure at these parameters; the first call compiles."""
        found = jax.device_get(self._measure(params, statistics, self._examples.inputs))
        pairs = zip(self._integrators, found, strict=True)
        return StabilityReport(tuple(_status(integrator, *of) for integrator, of in pairs))


def _measured(path: FieldPath) -> Any:
    assert path.grid is not None
    return jnp.isfinite(path.path).all(), path.grid.taus, jacobians(path)


def _status(
    integrator: Integrator, finite: np.ndarray, taus: np.ndarray, measured: Any
) -> BlockStatus:
    method, lengths = integrator.name, np.asarray(taus, np.float64)
    if not finite:
        return BlockStatus(method, lengths, None, None)
    found = spectra_of(measured)
    amplification = integrator.amplification(DepthGrid(jnp.asarray(taus)))
    if not isinstance(amplification, Amplification):
        return BlockStatus(method, lengths, found, None)
    values = [np.concatenate(step) for step in found.eigenvalues]
    eps = float(np.finfo(taus.dtype).eps)
    return BlockStatus(method, lengths, found, step_stability(amplification, lengths, values, eps))


def _plain(block: BlockStatus) -> dict[str, Any]:
    values = {"method": block.method, "taus": block.taus.tolist()}
    if block.spectra is not None:
        values["abscissa"] = _list(block.spectra.abscissa.max(axis=1))
        values["log_norm"] = _list(block.spectra.log_norm.max(axis=1))
    if block.steps is not None:
        values["amplification"] = _list(block.steps.amplification)
        values["unstable_steps"] = int(np.count_nonzero(~block.steps.stable))
        values["critical_scale"] = _list([block.steps.critical_scale])[0]
    return values


def _list(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
