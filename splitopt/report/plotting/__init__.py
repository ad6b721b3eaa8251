"""Pictures of values as Matplotlib axes, to be shown in a notebook or put into a figure.

A function draws one picture, into axes that it is given or into new ones, and returns them. The
method ``plot`` of a value finds the functions by `splitopt.report.plotting.pictures`.
"""

from splitopt.report.plotting.of_comparison import (
    plot_schemes,
    plot_staircase,
    plot_sweep,
    plot_traffic,
    plot_work,
)
from splitopt.report.plotting.of_plan import plot_round, plot_shares
from splitopt.report.plotting.of_profile import plot_cut_bytes, plot_cut_leakage, plot_cut_work
from splitopt.report.plotting.of_result import plot_trace
from splitopt.report.plotting.of_runs import plot_loss, plot_metric, plot_promise, plot_tasks
from splitopt.report.plotting.pictures import draw, pictures_of

__all__ = [
    "draw",
    "pictures_of",
    "plot_cut_bytes",
    "plot_cut_leakage",
    "plot_cut_work",
    "plot_loss",
    "plot_metric",
    "plot_promise",
    "plot_round",
    "plot_schemes",
    "plot_shares",
    "plot_staircase",
    "plot_sweep",
    "plot_tasks",
    "plot_trace",
    "plot_traffic",
    "plot_work",
]
