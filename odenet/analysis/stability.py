r"""Stability of a network as a discretised ODE: eigenvalues of its layers, method, and growth.

Forward Euler is stable where $\max_i |1 + \tau_k \lambda_i(J_k)| \le 1$ (Haber and Ruthotto 2017,
arXiv:1705.03341, eq. 3.9), any Runge-Kutta method where $|R(\tau_k \lambda_i(J_k))| \le 1$. This is
a statement on every layer with its Jacobian frozen; the growth of perturbations over all layers is
measured separately.
"""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from odenet.analysis.field_path import FieldPath, field_paths
from odenet.analysis.growth import Growth, growth
from odenet.analysis.region import Region, region_of
from odenet.analysis.spectra import Spectra, spectra
from odenet.arrays import Array, Float
from odenet.errors import ConfigError
from odenet.integrators.amplification import Amplification
from odenet.models import Network
from odenet.models.base import NO_STEP


@dataclasses.dataclass(frozen=True)
class StepStability:
    """Every step against the stability region of the method.

    Attributes:
        amplification: Largest amplification factor of an eigenvector in the step over the examples,
            shape `(num_steps,)`; at most 1 for a stable step.
        stable: Whether it is at most 1 up to round-off, shape `(num_steps,)`.
        critical_scale: Largest factor on all step sizes with every step in the region; near 0 if
            one is outside at any length, infinity if every step stays inside at any length.
        critical_step: Index of the first step that leaves the region, from 0.
        region: The region for a figure, or None.
    """

    amplification: np.ndarray
    stable: np.ndarray
    critical_scale: float
    critical_step: int
    region: Region | None


@dataclasses.dataclass(frozen=True)
class BlockStability:
    """Stability of one block.

    Attributes:
        method: The integrator and its equation.
        reason: Why its steps have no stability region, or None.
        taus: Step sizes, shape `(num_steps,)`.
        spectra: Spectra of the field's Jacobian at the start of every step.
        products: $\\tau\\lambda$ of every step, over all examples; $\\tau^2\\lambda$ for a
            second-order equation.
        steps: Every step against the region, or None if there is none.
        growth: Growth of perturbations, or None if it was not measured.
    """

    method: str
    equation: str
    reason: str | None
    taus: np.ndarray
    spectra: Spectra
    products: list[np.ndarray]
    steps: StepStability | None
    growth: Growth | None


def stability(
    network: Network, inputs: Float[Array, "batch *inputs"]
) -> tuple[BlockStability, ...]:
    """Measure the stability of every block along the paths of selected examples.

    Batch norms use their running statistics, as in evaluation.

    Args:
        network: Blocks whose layers are steps of a method.
        inputs: Normalised inputs.

    Raises:
        ConfigError: if a layer is no step of a method, or a state is not finite.
    """
    return tuple(block_stability(path) for path in field_paths(network, inputs))


def block_stability(field_path: FieldPath) -> BlockStability:
    """The stability of one block; see `stability`."""
    if field_path.fields is None or field_path.grid is None or field_path.integrator is None:
        raise ConfigError(
            f"stability is that of steps of h' = f(t, h), but a layer of this block {NO_STEP}; "
            f"of a block that has layers, `odenet analyse gradient-flow` measures their factors"
        )
    if not bool(jnp.isfinite(field_path.path).all()):
        raise ConfigError(
            "stability is measured along the paths of examples, but a state is not finite; analyse "
            "an earlier checkpoint, or use shorter steps (odenet refine increases "
            "model.block.num_steps)"
        )
    integrator, found = field_path.integrator, spectra(field_path)
    taus = np.asarray(field_path.grid.taus, np.float64)
    amplification = integrator.amplification(field_path.grid)
    judged = isinstance(amplification, Amplification)
    power = amplification.power if judged else 1
    values = [np.concatenate(step) for step in found.eigenvalues]
    steps = None
    if judged:
        eps = float(jnp.finfo(field_path.path.dtype).eps)
        steps = step_stability(amplification, taus, values, eps, draw=True)
    return BlockStability(
        integrator.name,
        integrator.equation.formula,
        None if judged else amplification,
        taus,
        found,
        [tau**power * step for tau, step in zip(taus, values, strict=True)],
        steps,
        growth(field_path),
    )


def step_stability(
    amplification: Amplification,
    taus: np.ndarray,
    values: list[np.ndarray],
    eps: float,
    *,
    draw: bool = False,
) -> StepStability:
    """Compare the eigenvalues of every step with the stability region of its method.

    Args:
        amplification: Amplification of the method.
        taus: Step sizes, shape `(num_steps,)`.
        values: Eigenvalues of the field's Jacobian, an array of complex numbers for each step.
        eps: Relative accuracy of the eigenvalues.
        draw: Whether to compute the region for a figure.
    """
    steps = np.repeat(np.arange(len(values)), [len(each) for each in values])
    each, lengths = np.concatenate(values), taus[steps]
    factors = amplification.factors(lengths, each, steps)
    largest = np.asarray([factors[steps == step].max() for step in range(len(values))])
    scales = amplification.critical_scales(lengths, each, steps, eps)
    first = int(np.argmin(scales))
    region = None
    if draw:
        products = lengths**amplification.power * each
        region = region_of(amplification, products, float(np.median(taus)))
    return StepStability(
        largest,
        largest <= 1 + amplification.tolerance(eps),
        float(scales[first]),
        int(steps[first]),
        region,
    )


def plain(found: BlockStability) -> dict[str, Any]:
    """The result as numbers, lists and dicts: the largest and the mean of every step."""

    def over_examples(values: np.ndarray | None) -> dict[str, list[float | None]] | None:
        if values is None:
            return None
        return {"largest": _list(values.max(axis=1)), "mean": _list(values.mean(axis=1))}

    steps, grown = found.steps, found.growth
    return {
        "method": found.method,
        "equation": found.equation,
        "reason": found.reason,
        "taus": _list(found.taus),
        "exact": found.spectra.exact,
        "abscissa": over_examples(found.spectra.abscissa),
        "log_norm": over_examples(found.spectra.log_norm),
        "products": [[_list(np.real(step)), _list(np.imag(step))] for step in found.products],
        "steps": None
        if steps is None
        else {
            "amplification": _list(steps.amplification),
            "stable": steps.stable.tolist(),
            "critical_scale": _list(np.asarray([steps.critical_scale]))[0],
            "critical_step": steps.critical_step,
            "region": None if steps.region is None else _region(steps.region),
        },
        "growth": None
        if grown is None
        else {
            "largest": over_examples(grown.largest),
            "typical": over_examples(grown.typical),
            "smallest": over_examples(grown.smallest),
        },
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "power": region.power,
        "tau": region.tau,
        "real": _list(region.real),
        "imaginary": _list(region.imaginary),
        "amplification": [_list(row, 4) for row in region.amplification],
        "axis_limit": _list(np.asarray([region.axis_limit]))[0],
    }


def _list(values: np.ndarray, digits: int = 7) -> list[float | None]:
    return [float(f"{v:.{digits}g}") if math.isfinite(v) else None for v in values.tolist()]
