"""Continuous depth: diffrax solvers. The only room that imports diffrax."""

from odenet.integrators.continuous.config import DiffraxConfig as DiffraxConfig
from odenet.integrators.continuous.integrator import Diffrax as Diffrax
