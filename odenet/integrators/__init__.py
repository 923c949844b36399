"""Integrators: from `h(0)` to `h(horizon)`."""

from typing import Annotated

from pydantic import Field

from odenet.integrators.adaptive import AdaptiveConfig as AdaptiveConfig
from odenet.integrators.adaptive import AdaptiveRungeKutta as AdaptiveRungeKutta
from odenet.integrators.asynchronous import AsynchronousLeapfrog as AsynchronousLeapfrog
from odenet.integrators.asynchronous import (
    AsynchronousLeapfrogConfig as AsynchronousLeapfrogConfig,
)
from odenet.integrators.base import Integration as Integration
from odenet.integrators.base import Integrator as Integrator
from odenet.integrators.base import OneStepIntegrator as OneStepIntegrator
from odenet.integrators.base import SolverStats as SolverStats
from odenet.integrators.continuous import Diffrax as Diffrax
from odenet.integrators.continuous import DiffraxConfig as DiffraxConfig
from odenet.integrators.explicit import ExplicitConfig as ExplicitConfig
from odenet.integrators.explicit import ExplicitRungeKutta as ExplicitRungeKutta
from odenet.integrators.explicit import Tableau as Tableau
from odenet.integrators.explicit import TableauConfig as TableauConfig
from odenet.integrators.failure import Failure as Failure
from odenet.integrators.layers import LayerByLayer as LayerByLayer
from odenet.integrators.symplectic import Leapfrog as Leapfrog
from odenet.integrators.symplectic import LeapfrogConfig as LeapfrogConfig

IntegratorConfig = Annotated[
    ExplicitConfig
    | TableauConfig
    | AdaptiveConfig
    | LeapfrogConfig
    | AsynchronousLeapfrogConfig
    | DiffraxConfig,
    Field(discriminator="kind"),
]
