"""Figures, pages and tables from run directories; nothing is computed here that they lack."""

from odenet.reports.basis import basis_table as basis_table
from odenet.reports.basis import write_basis_figure as write_basis_figure
from odenet.reports.critical_step import critical_step_table as critical_step_table
from odenet.reports.figures import critical_step_figure as critical_step_figure
from odenet.reports.figures import gradient_scaling_figure as gradient_scaling_figure
from odenet.reports.figures import png as png
from odenet.reports.flow import flow_sentences as flow_sentences
from odenet.reports.flow import flow_table as flow_table
from odenet.reports.gradient_scaling import gradient_scaling_table as gradient_scaling_table
from odenet.reports.instruments import INSTRUMENTS as INSTRUMENTS
from odenet.reports.report import FIGURES as FIGURES
from odenet.reports.report import REPORT as REPORT
from odenet.reports.report import write_report as write_report
from odenet.reports.seeds import seeds_markdown as seeds_markdown
from odenet.reports.table import comparison_tables as comparison_tables
from odenet.reports.table import run_table as run_table
