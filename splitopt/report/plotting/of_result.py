"""The picture of a solver's run: objective and bound over time."""

from __future__ import annotations

import math
from typing import Any

from splitopt.errors import InputError
from splitopt.report.charts import COLOURS
from splitopt.report.plotting.axes import axes_for, plain_text
from splitopt.results import Result


def plot_trace(result: Result, ax: Any = None) -> Any:
    """Draw how objective and bound of a solver's run came closer to each other.

    Parameters
    ----------
    result
        Of `splitopt.solve`.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: seconds since the start to the right, the objective in its own unit upwards.

    Raises
    ------
    InputError
        The run left no trace.
    """
    if not result.trace:
        raise InputError(f"the run of {result.solver} left no trace to draw")
    ax = axes_for(ax)
    end = max(result.times.total_s, result.trace[-1].time_s)
    series = (
        ("objective", [(point.time_s, point.objective) for point in result.trace], "-"),
        ("bound", [(point.time_s, point.bound) for point in result.trace], "--"),
    )
    for k, (name, points, dashes) in enumerate(series):
        known = [(x, y) for x, y in points if math.isfinite(y)]
        if known:
            x, y = zip(*known, (end, known[-1][1]), strict=True)
            look = {"color": COLOURS[(0, 3)[k]], "linestyle": dashes, "label": name}
            ax.plot(x, y, drawstyle="steps-post", linewidth=1.7, **look)
    ax.set_xlabel("seconds since the start")
    ax.set_ylabel(plain_text(f"objective: {result.objective_name}"))
    ax.set_title(plain_text(f"{result.problem} by {result.solver}"), loc="left", fontsize=10.5)
    ax.grid(color="#d9dee5", linewidth=0.6)
    ax.legend(frameon=False, fontsize=9)
    return ax
