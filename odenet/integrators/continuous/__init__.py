"""Continuous depth: diffrax solvers. The only package that imports diffrax."""

from odenet.integrators.continuous.config import DiffraxConfig as DiffraxConfig
from odenet.integrators.continuous.integrator import Diffrax as Diffrax
