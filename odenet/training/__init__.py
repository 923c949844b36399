"""Training: state, step, devices, loop, callbacks, checkpoints."""

from odenet.training.callbacks import Callback as Callback
from odenet.training.callbacks import Info as Info
from odenet.training.checkpoint import Checkpointer as Checkpointer
from odenet.training.config import TrainingConfig as TrainingConfig
from odenet.training.evaluate import Evaluator as Evaluator
from odenet.training.loop import Fit as Fit
from odenet.training.optax_optimizer import OptaxConfig as OptaxConfig
from odenet.training.state import TrainState as TrainState
from odenet.training.step import TrainStep as TrainStep
