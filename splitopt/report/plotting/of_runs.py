"""Pictures of what ran: a timeline, a training, and a measured run beside its plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.report.charts import COLOURS
from splitopt.report.gantt import draw_tasks, phase_colours
from splitopt.report.plotting.axes import axes_for, height_of_rows, legend_below
from splitopt.report.scores import is_share, metric_words
from splitopt.report.spans import chosen_span, shown_rows
from splitopt.timeline import Timeline
from splitopt.training.history import History, RoundRow

if TYPE_CHECKING:
    from splitopt.training.validation.measured import Measured

Over = Literal["round", "clock"]
"""What a training is drawn over: its rounds, or the predicted seconds at which they end."""


def plot_tasks(
    timeline: Timeline, start_s: float | None = None, end_s: float | None = None, ax: Any = None
) -> Any:
    """Draw a Gantt chart of a timeline: a row per resource, a colour per phase.

    Parameters
    ----------
    timeline
        Simulated or measured.
    start_s, end_s
        The part to draw, in s; by default as much of the start as is legible.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes, seconds to the right.

    Raises
    ------
    InputError
        The timeline is empty, or so is the part.
    """
    if not len(timeline):
        raise InputError("the timeline has no task to draw")
    span = chosen_span(timeline, start_s, end_s)
    rows = shown_rows(timeline)
    ax = axes_for(ax, height_of_rows(len(rows)))
    draw_tasks(ax, timeline, rows, span, phase_colours(timeline.phases))
    ax.set_xlabel("s")
    legend_below(ax)
    return ax


def plot_metric(history: History, over: Over = "round", ax: Any = None) -> Any:
    """Draw the metric of the common model on the test data.

    Parameters
    ----------
    history
        Of a training.
    over
        ``"round"``, or ``"clock"`` for the predicted seconds at which rounds end.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: rounds or seconds to the right, the metric upwards, shares in %.

    Raises
    ------
    InputError
        No round was tested, or has a predicted time though that is asked for.
    """
    times = 100 if is_share(history) else 1
    ax = _training(history, over, ax, {"test": lambda row: _times(history.value_of(row), times)})
    ax.set_ylabel(f"test {metric_words(history)}{', %' if times == 100 else ''}")
    return ax


def plot_loss(history: History, over: Over = "round", ax: Any = None) -> Any:
    """Draw the loss in training and on the test data; otherwise as `plot_metric`."""
    series: dict[str, Callable[[RoundRow], float | None]] = {
        "training": lambda row: row.loss,
        "test": lambda row: row.test_loss,
    }
    ax = _training(history, over, ax, series)
    ax.set_ylabel("loss, mean over samples")
    ax.legend(frameon=False, fontsize=9)
    return ax


def plot_promise(measured: Measured, ax: Any = None) -> Any:
    """Draw the seconds of each phase as predicted and as measured, both at the plan's scale.

    Parameters
    ----------
    measured
        Of `splitopt.validate`.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: seconds to the right, summed over all tasks of a phase.

    Raises
    ------
    InputError
        No task was measured.
    """
    phases = measured.validation.phases
    if not phases:
        raise InputError("no task was measured, and so there is nothing to draw")
    ax = axes_for(ax, height_of_rows(2 * len(phases)))
    both = (
        ("predicted", [phase.predicted_s for phase in phases]),
        ("measured", [phase.measured_s for phase in phases]),
    )
    for k, (name, lengths) in enumerate(both):
        places = [row + 0.4 * (k - 0.5) for row in range(len(phases))]
        ax.barh(places, lengths, height=0.38, color=COLOURS[(0, 3)[k]], label=name)
    ax.set_yticks(range(len(phases)), [phase.phase for phase in phases])
    ax.invert_yaxis()
    ax.set_xlabel("seconds of all tasks, at the plan's scale")
    ax.grid(axis="x", color="#d9dee5", linewidth=0.6)
    ax.set_axisbelow(True)
    legend_below(ax)
    return ax


def _training(
    history: History, over: Over, ax: Any, series: dict[str, Callable[[RoundRow], float | None]]
) -> Any:
    places: dict[str, Callable[[RoundRow], float | None]] = {
        "round": lambda row: row.round,
        "clock": lambda row: row.clock_s,
    }
    if over not in places:
        hint = did_you_mean(over, places)
        raise InputError.at("over", f"is {shown(over)}, it must be 'round' or 'clock'{hint}")
    drawn = {}
    for name, value in series.items():
        points = [(places[over](row), value(row)) for row in history]
        drawn[name] = [(x, y) for x, y in points if x is not None and y is not None]
    if not any(drawn.values()):
        clockless = over == "clock" and history.clock_s is None
        why = "no predicted time; plot over='round'" if clockless else "nothing of it to draw"
        raise InputError.at("history", f"has {why}")
    ax = axes_for(ax)
    for k, (name, known) in enumerate(drawn.items()):
        if known:
            x, y = zip(*known, strict=True)
            look = {"color": COLOURS[(0, 3)[k]], "linestyle": ("-", "--")[k], "label": name}
            ax.plot(x, y, marker="o", markersize=3.5, linewidth=1.7, **look)
    if over == "round":
        from matplotlib.ticker import MaxNLocator

        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("round" if over == "round" else "predicted time, s")
    ax.grid(color="#d9dee5", linewidth=0.6)
    return ax


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
