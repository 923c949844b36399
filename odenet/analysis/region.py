"""The stability region of a method in the window to be drawn."""

import dataclasses

import numpy as np

from odenet.integrators.amplification import Amplification

_POINTS = 121
_LARGEST = 4.0


@dataclasses.dataclass(frozen=True)
class Region:
    """Amplification on a grid of the complex plane.

    Attributes:
        power: The plane is that of `tau**power * lambda`.
        tau: The step size of this region, or None if it is the same for all step sizes.
        real: Real parts, shape `(columns,)`.
        imaginary: Imaginary parts from 0 on, as the region is symmetric, shape `(rows,)`.
        amplification: Shape `(rows, columns)`, at most 4.
        axis_limit: Length of the stable part of an axis from the origin: of the imaginary axis,
            or with `power` 2 of the negative real one, which holds the rotations. This interval is
            the whole region of a symplectic method.
    """

    power: int
    tau: float | None
    real: np.ndarray
    imaginary: np.ndarray
    amplification: np.ndarray
    axis_limit: float


def region_of(amplification: Amplification, products: np.ndarray, tau: float) -> Region:
    """The region in a window that contains it, or its part near the origin, and all products.

    Args:
        amplification: Amplification of the method; if it depends on the grid, of two equal steps.
        products: The products `tau * lambda` to be drawn.
        tau: A step size of the block.
    """
    tau = tau or 1.0
    kept = products[np.isfinite(products)]
    low = min(-5.0, 1.1 * float(np.real(kept).min(initial=0.0)))
    high = max(2.0, 1.1 * float(np.real(kept).max(initial=0.0)))
    top = max(3.6, 1.1 * float(np.abs(np.imag(kept)).max(initial=0.0)))
    real, imaginary = np.linspace(low, high, _POINTS), np.linspace(0.0, top, _POINTS)
    z = real[None, :] + 1j * imaginary[:, None]
    taus = np.full(z.shape, tau)
    last = np.full(z.shape, -1)
    power = amplification.power
    factors = amplification.factors(taus, z / tau**power, last)
    own = tau if amplification.depends_on_step else None
    rotation = np.asarray([-1.0 + 0j if power == 2 else 1j]) / tau**power
    eps = float(np.finfo(np.float32).eps)
    scale = amplification.critical_scales(taus[0, :1], rotation, last[0, :1], eps)[0]
    limit = float(scale) ** power
    return Region(power, own, real, imaginary, np.minimum(factors, _LARGEST), limit)
