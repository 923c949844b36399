"""Training objectives: losses, regularisers, and the metrics beside them."""

from odenet.objectives.classification import BrierConfig as BrierConfig
from odenet.objectives.classification import CrossEntropyConfig as CrossEntropyConfig
from odenet.objectives.classification import HingeConfig as HingeConfig
from odenet.objectives.jacobian import JacobianNormConfig as JacobianNormConfig
from odenet.objectives.kinetic import KineticEnergyConfig as KineticEnergyConfig
from odenet.objectives.loss import Loss as Loss
from odenet.objectives.loss import ObjectiveConfig as ObjectiveConfig
from odenet.objectives.objective import Metrics as Metrics
from odenet.objectives.objective import Objective as Objective
from odenet.objectives.objective import solver_metrics as solver_metrics
from odenet.objectives.regression import HuberConfig as HuberConfig
from odenet.objectives.regression import MeanAbsoluteErrorConfig as MeanAbsoluteErrorConfig
from odenet.objectives.regression import MeanSquaredErrorConfig as MeanSquaredErrorConfig
from odenet.objectives.regulariser import RegulariserConfig as RegulariserConfig
from odenet.objectives.regularisers import RandomEndConfig as RandomEndConfig
from odenet.objectives.taylor import TaylorDerivativeConfig as TaylorDerivativeConfig
