"""What is minimised."""

from odenet.objectives.jacobian import JacobianNormConfig as JacobianNormConfig
from odenet.objectives.kinetic import KineticEnergyConfig as KineticEnergyConfig
from odenet.objectives.losses import CrossEntropyConfig as CrossEntropyConfig
from odenet.objectives.losses import MeanSquaredErrorConfig as MeanSquaredErrorConfig
from odenet.objectives.losses import ObjectiveConfig as ObjectiveConfig
from odenet.objectives.objective import Metrics as Metrics
from odenet.objectives.objective import Objective as Objective
from odenet.objectives.objective import solver_metrics as solver_metrics
from odenet.objectives.regulariser import RegulariserConfig as RegulariserConfig
from odenet.objectives.regularisers import RandomEndConfig as RandomEndConfig
from odenet.objectives.taylor import TaylorDerivativeConfig as TaylorDerivativeConfig
