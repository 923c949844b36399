"""Integrators: the solution of the depth equation from `h(0)` to `h(horizon)`."""

from odenet.integrators.adaptive import AdaptiveConfig as AdaptiveConfig
from odenet.integrators.adaptive import AdaptiveRungeKutta as AdaptiveRungeKutta
from odenet.integrators.asynchronous import AsynchronousLeapfrog as AsynchronousLeapfrog
from odenet.integrators.asynchronous import (
    AsynchronousLeapfrogConfig as AsynchronousLeapfrogConfig,
)
from odenet.integrators.base import Advance as Advance
from odenet.integrators.base import Integration as Integration
from odenet.integrators.base import Integrator as Integrator
from odenet.integrators.base import SolverStats as SolverStats
from odenet.integrators.config import IntegratorConfig as IntegratorConfig
from odenet.integrators.continuous import Diffrax as Diffrax
from odenet.integrators.continuous import DiffraxConfig as DiffraxConfig
from odenet.integrators.explicit import ExplicitConfig as ExplicitConfig
from odenet.integrators.explicit import ExplicitRungeKutta as ExplicitRungeKutta
from odenet.integrators.explicit import Tableau as Tableau
from odenet.integrators.explicit import TableauConfig as TableauConfig
from odenet.integrators.failure import Failure as Failure
from odenet.integrators.fractional import Fractional as Fractional
from odenet.integrators.fractional import FractionalConfig as FractionalConfig
from odenet.integrators.momentum import Momentum as Momentum
from odenet.integrators.momentum import MomentumConfig as MomentumConfig
from odenet.integrators.one_step import OneStepIntegrator as OneStepIntegrator
from odenet.integrators.reversible_rk import ReversibleRungeKutta as ReversibleRungeKutta
from odenet.integrators.reversible_rk import (
    ReversibleRungeKuttaConfig as ReversibleRungeKuttaConfig,
)
from odenet.integrators.separable import SeparableConfig as SeparableConfig
from odenet.integrators.separable import SeparableMethod as SeparableMethod
from odenet.integrators.symplectic import Leapfrog as Leapfrog
from odenet.integrators.symplectic import LeapfrogConfig as LeapfrogConfig
from odenet.integrators.two_step import TwoStepMidpoint as TwoStepMidpoint
from odenet.integrators.two_step import TwoStepMidpointConfig as TwoStepMidpointConfig
