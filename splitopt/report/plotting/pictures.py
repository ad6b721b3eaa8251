"""Which pictures there are of which value; a new one is an entry of `PICTURES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.planning.comparison.rows import Comparison
from splitopt.planning.comparison.sweeping import Sweep
from splitopt.planning.staircase import Staircase
from splitopt.plans import Plan
from splitopt.profiles.table.profile import ModelProfile
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
from splitopt.results import Result
from splitopt.simulation.replay import Replay
from splitopt.timeline import Timeline
from splitopt.training.history import History
from splitopt.training.validation.measured import Measured

Picture = Callable[..., Any]


def plot_replay(
    replay: Replay, start_s: float | None = None, end_s: float | None = None, ax: Any = None
) -> Any:
    """Draw the timeline of what was simulated, see `plot_tasks`."""
    return plot_tasks(replay.timeline, start_s, end_s, ax)


PICTURES: Mapping[type[Any], Mapping[str, Picture]] = {
    Plan: {"round": plot_round, "shares": plot_shares},
    Comparison: {
        "traffic": plot_traffic,
        "work": plot_work,
        "schemes": plot_schemes,
    },
    Sweep: {"seconds": plot_sweep},
    Staircase: {"limits": plot_staircase},
    History: {"metric": plot_metric, "loss": plot_loss},
    ModelProfile: {
        "bytes": plot_cut_bytes,
        "work": plot_cut_work,
        "leakage": plot_cut_leakage,
    },
    Timeline: {"tasks": plot_tasks},
    Replay: {"tasks": plot_replay},
    Measured: {"promise": plot_promise},
    Result: {"trace": plot_trace},
}
"""Class -> name -> function; the first picture is what ``plot()`` draws."""


def pictures_of(value: Any) -> Mapping[str, Picture]:
    """Return the pictures of a value by name, the one that ``plot()`` draws first."""
    for kind, pictures in PICTURES.items():
        if isinstance(value, kind):
            return pictures
    return {}


def draw(value: Any, picture: str | None = None, **options: Any) -> Any:
    """Draw a picture of a value; return its axes.

    Parameters
    ----------
    value
        Of a class of `PICTURES`.
    picture
        By name; None is the first of its class.
    options
        What the function of the picture takes, such as ``ax``.

    Raises
    ------
    InputError
        There is no such picture, it takes no such option, or the value has nothing to draw.
    CapabilityError
        Matplotlib is not installed.
    """
    pictures = pictures_of(value)
    name = next(iter(pictures), None) if picture is None else picture
    if not isinstance(name, str) or name not in pictures:
        known = ", ".join(map(repr, pictures)) or "none"
        raise InputError.at(
            "picture",
            f"is {shown(picture)}, a {type(value).__name__} has {known}"
            f"{did_you_mean(picture, pictures)}",
        )
    _, *takes = inspect.signature(pictures[name]).parameters
    for option in options:
        if option not in takes:
            raise InputError(
                f"the picture {name!r} has no option {shown(option)}, it takes "
                f"{', '.join(takes)}{did_you_mean(option, takes)}"
            )
    return pictures[name](value, **options)
