"""What is minimised."""

from odenet.objectives.losses import CrossEntropyConfig as CrossEntropyConfig
from odenet.objectives.losses import LossConfig as LossConfig
from odenet.objectives.losses import MeanSquaredErrorConfig as MeanSquaredErrorConfig
from odenet.objectives.objective import Metrics as Metrics
from odenet.objectives.objective import Objective as Objective
from odenet.objectives.objective import solver_metrics as solver_metrics
