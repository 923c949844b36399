"""Figures, pages and tables from the files of run directories; no measurement is made here."""

from odenet.reports.instruments_page import write_instruments_page as write_instruments_page
from odenet.reports.report import FIGURES as FIGURES
from odenet.reports.report import REPORT as REPORT
from odenet.reports.report import write_report as write_report
from odenet.reports.table import comparison_tables as comparison_tables
from odenet.reports.table import run_table as run_table
