"""The step sizes `tau` of a block: fixed, or learned in one of four parametrisations.

A residual layer is one explicit Euler step, `h + tau * f(t, h)`: every step of the grid has one
`tau`.
"""

from odenet.depth.step_sizes.base import AbstractStepSizes as AbstractStepSizes
from odenet.depth.step_sizes.base import MovedStepSizes as MovedStepSizes
from odenet.depth.step_sizes.base import StepSizesConfig as StepSizesConfig
from odenet.depth.step_sizes.fixed import FixedStepSizes as FixedStepSizes
from odenet.depth.step_sizes.fixed import FixedStepSizesConfig as FixedStepSizesConfig
from odenet.depth.step_sizes.learned import LearnedStepSizes as LearnedStepSizes
from odenet.depth.step_sizes.learned import LearnedStepSizesConfig as LearnedStepSizesConfig
from odenet.depth.step_sizes.learned import PenaltyConfig as PenaltyConfig
