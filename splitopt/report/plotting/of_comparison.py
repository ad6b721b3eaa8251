"""Pictures of a comparison of schemes: what is traded for what, and where the best one changes."""

from __future__ import annotations

from typing import Any

from splitopt.errors import InputError
from splitopt.planning.comparison.rows import Comparison, SchemeRow
from splitopt.planning.comparison.sweeping import Sweep
from splitopt.planning.staircase import Staircase
from splitopt.report.charts import Panel, draw_panel
from splitopt.report.comparison import TRADED, scheme_styles, traded_panel
from splitopt.report.plotting.axes import axes_for, height_of_rows, plain_text
from splitopt.report.sweeps import sweep_panel
from splitopt.report.tradeoff import staircase_panel


def plot_traffic(comparison: Comparison, ax: Any = None) -> Any:
    """Draw the time of each scheme against its traffic; lower left is better.

    A dot is beaten by no other in time, traffic and work, a ring is. No two schemes have the same
    colour, and each has the same one in every picture.

    Parameters
    ----------
    comparison
        Of `splitopt.compare_schemes`.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: seconds to the right, MB upwards.

    Raises
    ------
    InputError
        No scheme has a plan.
    """
    return _traded(comparison, 0, ax)


def plot_work(comparison: Comparison, ax: Any = None) -> Any:
    """Draw the time of each scheme against the work of its busiest device, in GFLOP.

    Otherwise as `plot_traffic`.
    """
    return _traded(comparison, 1, ax)


def plot_schemes(comparison: Comparison, ax: Any = None) -> Any:
    """Draw a bar of seconds for each scheme with a plan, the best on top.

    Parameters, errors and colours are those of `plot_traffic`; seconds are those by which the
    comparison ranks.
    """
    rows = _feasible(comparison)
    styles = scheme_styles()
    ax = axes_for(ax, height_of_rows(len(rows)))
    places = range(len(rows))
    lengths = [row.ranked_by for row in rows]
    ax.barh(places, lengths, height=0.72, color=[styles[row.scheme].colour for row in rows])
    ax.set_yticks(places, [row.label for row in rows])
    ax.invert_yaxis()
    if max(lengths) > 30 * min(lengths) > 0:
        ax.set_xscale("log")
    ax.grid(axis="x", color="#d9dee5", linewidth=0.6)
    ax.set_axisbelow(True)
    by = "to the accuracy" if comparison.by_accuracy else "of a round"
    ax.set_xlabel(f"time {by}, s")
    ax.set_title(plain_text(f"{comparison.scenario}: schemes"), loc="left", fontsize=10.5)
    return ax


def plot_sweep(sweep: Sweep, ax: Any = None) -> Any:
    """Draw the seconds of every scheme over the values of the field that changes.

    Parameters
    ----------
    sweep
        Of `splitopt.planning.comparison.sweeping.sweep_field`.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: values to the right, seconds upwards.

    Raises
    ------
    InputError
        The values are no numbers of one unit.
    """
    styles = scheme_styles()
    panel = sweep_panel(sweep, styles)
    if panel is None:
        raise InputError.at(sweep.field, "has values that are no numbers of one unit, to be drawn")
    drawn = {row.scheme: row.label for one in sweep.comparisons for row in one.feasible}
    return _drawn(panel, drawn, ax)


def plot_staircase(staircase: Staircase, ax: Any = None) -> Any:
    """Draw the optimum for every limit on the leakage of a cut; a dot is the strictest of a step.

    Parameters
    ----------
    staircase
        Of `splitopt.planning.staircase.leakage_staircase`.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: the limit to the right, the objective in its unit upwards.

    Raises
    ------
    InputError
        No limit has a plan.
    """
    if not staircase.stairs:
        raise InputError("no limit has a plan, and so there is nothing to draw")
    ax = axes_for(ax)
    draw_panel(ax, staircase_panel(staircase))
    ax.set_title(plain_text(f"{staircase.name}: {staircase.model}"), loc="left", fontsize=10.5)
    return ax


def _feasible(comparison: Comparison) -> tuple[SchemeRow, ...]:
    if not comparison.feasible:
        raise InputError("no scheme has a plan, and so there is nothing to draw; see str()")
    return comparison.feasible


def _traded(comparison: Comparison, which: int, ax: Any) -> Any:
    rows = _feasible(comparison)
    panel = traded_panel(rows, scheme_styles(), TRADED[which])
    return _drawn(panel, {row.scheme: row.label for row in rows}, ax)


def _drawn(panel: Panel, labels: dict[str, str], ax: Any) -> Any:
    from matplotlib.lines import Line2D

    styles = scheme_styles()
    ax = axes_for(ax, 4.0)
    draw_panel(ax, panel)
    handles = [
        Line2D(
            [],
            [],
            color=styles[scheme].colour,
            marker=styles[scheme].marker,
            linestyle=(0, styles[scheme].dashes) if styles[scheme].dashes else "-",
        )
        for scheme in labels
    ]
    ax.legend(
        handles,
        labels.values(),
        fontsize=8,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
    )
    return ax
