"""Figures of runs and comparisons, drawn from the contents of a run directory."""

from odenet.reports.figures.cost import cost_figure as cost_figure
from odenet.reports.figures.curves import curves_figure as curves_figure
from odenet.reports.figures.flow_history import flow_history_figure as flow_history_figure
from odenet.reports.figures.loss_and_error import loss_and_error_figure as loss_and_error_figure
from odenet.reports.figures.matrix import matrix_figure as matrix_figure
from odenet.reports.figures.solver import solver_figure as solver_figure
from odenet.reports.figures.stability_history import (
    stability_history_figure as stability_history_figure,
)
from odenet.reports.figures.step_sizes import step_sizes_figure as step_sizes_figure
