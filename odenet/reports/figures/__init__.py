"""Figures from plain data: what a run directory holds goes in, a figure comes out."""

from odenet.reports.figures.basis import basis_figure as basis_figure
from odenet.reports.figures.canvas import png as png
from odenet.reports.figures.canvas import svg as svg
from odenet.reports.figures.convergence import convergence_figure as convergence_figure
from odenet.reports.figures.cost import cost_figure as cost_figure
from odenet.reports.figures.critical_step import critical_step_figure as critical_step_figure
from odenet.reports.figures.curves import curves_figure as curves_figure
from odenet.reports.figures.effective_depth import (
    effective_depth_figure as effective_depth_figure,
)
from odenet.reports.figures.flow_history import flow_history_figure as flow_history_figure
from odenet.reports.figures.gradient_audit import gradient_audit_figure as gradient_audit_figure
from odenet.reports.figures.gradient_flow import gradient_flow_figure as gradient_flow_figure
from odenet.reports.figures.gradient_scaling import (
    gradient_scaling_figure as gradient_scaling_figure,
)
from odenet.reports.figures.loss_and_error import loss_and_error_figure as loss_and_error_figure
from odenet.reports.figures.matrix import matrix_figure as matrix_figure
from odenet.reports.figures.solver import solver_figure as solver_figure
from odenet.reports.figures.stability import stability_figure as stability_figure
from odenet.reports.figures.stability_history import (
    stability_history_figure as stability_history_figure,
)
from odenet.reports.figures.step_sizes import step_sizes_figure as step_sizes_figure
from odenet.reports.figures.trajectories import trajectories_figure as trajectories_figure
