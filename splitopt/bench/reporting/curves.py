"""The curves of a benchmark report: performance profiles, gap over time, growth with the size."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from splitopt.bench.reporting.groups import Group, Run, checked_value, finite
from splitopt.results import relative_gap

FloatArray = NDArray[np.float64]
Measure = Literal["total_s", "peak_memory_mib"]

CLOCK_S = 1e-6
"""Times below this count as this much: a ratio of two shorter ones says nothing."""

FIT_FLOOR_S = 0.01
"""Shorter times measure the overhead of a call; no exponent is fitted to them."""

FEWEST_SIZES = 3
"""Different sizes that a fitted exponent needs."""


def solving_times(group: Group) -> FloatArray:
    """Return the times in s of the group's started solvers (rows) on its instances (columns).

    Each is the median over the seeds; infinite where that solver did not solve that instance to
    the tolerance, or was not run on it.
    """
    times = [
        [group.time_s(solver, instance) for instance in group.instances] for solver in group.started
    ]
    return np.array(times, dtype=np.float64).reshape(len(group.started), len(group.instances))


def performance_ratios(times: FloatArray) -> FloatArray:
    r"""Divide each time by the best time on the same instance.

    The performance ratio :math:`r_{p,s} = t_{p,s} / \min_s t_{p,s}` of Dolan and More (2002),
    "Benchmarking optimization software with performance profiles", Mathematical Programming 91,
    201-213. Their :math:`r_M`, the ratio of a solver that does not solve the
    instance, is infinite here.

    Parameters
    ----------
    times
        Seconds, shape (solvers, instances); infinite where an instance is not solved.

    Returns
    -------
    FloatArray
        Ratios >= 1 of the same shape; infinite where the time is, so on all of a column that
        no solver solved.
    """
    ratios = np.full(times.shape, np.inf)
    for column in range(times.shape[1]):
        solved = np.isfinite(times[:, column])
        if solved.any():
            floored = np.maximum(times[solved, column], CLOCK_S)
            ratios[solved, column] = floored / floored.min()
    return ratios


def profile_at(ratios: FloatArray, tau: float) -> float:
    r"""Evaluate one solver's performance profile.

    :math:`\rho_s(\tau) = |\{p : r_{p,s} \le \tau\}| / n_p`: the fraction of all instances that the
    solver solves within `tau` times the time of the best solver on each (Dolan and More 2002).
    An instance that no solver solves counts among the :math:`n_p`.

    Parameters
    ----------
    ratios
        The solver's performance ratios, shape (instances,).
    tau
        Factor >= 1; infinite for the fraction that it solves at all.
    """
    if not len(ratios):
        return 0.0
    return float(np.mean(np.isfinite(ratios) & (ratios <= tau)))


def profile_steps(ratios: FloatArray, last: float) -> tuple[FloatArray, FloatArray]:
    """Compute the corners of a performance profile from tau = 1 to `last`.

    Each fraction holds from its tau until the next one.
    """
    jumps = np.unique(ratios[np.isfinite(ratios)])
    taus = np.concatenate(([1.0], jumps[jumps > 1.0], [max(last, 1.0)]))
    return taus, np.array([profile_at(ratios, tau) for tau in taus])


def gap_over_time(run: Run, best: float, times: FloatArray) -> FloatArray:
    r"""Compute the gap of a run's best answer at some times after its start.

    This is the primal gap function of Berthold (2013), "Measuring the impact of primal
    heuristics", Operations Research Letters 41, 611-614: the gap to the best known value, and 1
    before the first answer. The runner has checked the last answer only, so none on the way counts
    as better than that one, and a run without a checked answer stays at 1.

    Parameters
    ----------
    run
        The run, with the trace of its improvements.
    best
        The best known value of its instance.
    times
        Seconds, any shape.

    Returns
    -------
    FloatArray
        Gaps between 0 and 1 of the same shape.
    """
    value = checked_value(run.row)
    if value is None:
        return np.ones(times.shape)
    points = sorted((time, max(found, value)) for time, found in _answers(run))
    seconds = np.array([time for time, _ in points])
    found = np.minimum.accumulate([found for _, found in points])
    gaps = np.array([1.0, *(min(1.0, relative_gap(float(one), best)) for one in found)])
    return np.asarray(gaps[np.searchsorted(seconds, times, side="right")])


def _answers(run: Run) -> list[tuple[float, float]]:
    """List (time in s, objective) of the trace and of the run's end."""
    answers = []
    for time, objective, *_ in run.row.trace:
        when, found = finite(time), finite(objective)
        if when is not None and found is not None:
            answers.append((when, found))
    value, end = checked_value(run.row), _end(run)
    if value is not None and end is not None:
        answers.append((end, value))
    return answers


def _end(run: Run) -> float | None:
    end = finite(run.row.total_s)
    return finite(run.row.wall_s) if end is None else end


@dataclass(frozen=True)
class Anytime:
    """Gap over time of one solver: mean and median over the instances, at the same times."""

    mean: FloatArray
    median: FloatArray


def anytime(group: Group, times: FloatArray) -> dict[str, Anytime]:
    """Average the gaps over time of each solver in the race.

    On each instance with a known value it is the mean over the solver's runs, and 1 if it was not
    run there; then the mean and the median over these instances. A solver of which nothing is
    known to compare with has no curve.

    Parameters
    ----------
    group
        The runs.
    times
        Seconds since the start, shape (times,).
    """
    instances = [instance for instance in group.instances if instance in group.best]
    curves: dict[str, Anytime] = {}
    for solver in group.started if instances else ():
        gaps = np.ones((len(instances), len(times)))
        for index, instance in enumerate(instances):
            runs = group.cells.get((solver, instance), ())
            if runs:
                best = group.best[instance]
                gaps[index] = np.mean([gap_over_time(run, best, times) for run in runs], axis=0)
        curves[solver] = Anytime(gaps.mean(axis=0), np.median(gaps, axis=0))
    return curves


def time_range(group: Group) -> tuple[float, float] | None:
    """Return the first and the last time in s at which any answer was found; None if none was."""
    times = [max(time, CLOCK_S) for run in group.runs if run.ran for time, _ in _answers(run)]
    return (min(times), max(times)) if times else None


@dataclass(frozen=True)
class Point:
    """What one solver took on one instance: the median over its seeds.

    ``limited`` says that a run was stopped by its time limit, so that the number says more of the
    limit than of the solver.
    """

    size: int
    value: float
    limited: bool


@dataclass(frozen=True)
class Fit:
    """A fitted power law ``value = factor * size ** exponent``.

    ``standard_error`` is that of the exponent; ``points`` is how many points the fit used, of
    sizes from ``smallest`` to ``largest``.
    """

    exponent: float
    standard_error: float
    factor: float
    points: int
    smallest: int
    largest: int


def scaling_runs(group: Group) -> tuple[str, tuple[Run, ...]] | None:
    """Return the name of the size and the answered runs that scaling curves are drawn from.

    They are those of the suite ``scaling`` where there are any, else all. None if they have fewer
    than three different sizes.
    """
    answered = [run for run in group.runs if run.row.size and _answered(run)]
    runs = [run for run in answered if run.row.suite == "scaling"] or answered
    if not runs:
        return None
    name = next(iter(runs[0].row.size))
    runs = [run for run in runs if run.row.size.get(name, 0) > 0]
    if len({run.row.size[name] for run in runs}) < FEWEST_SIZES:
        return None
    return name, tuple(runs)


def _answered(run: Run) -> bool:
    return checked_value(run.row) is not None or (run.within and run.proved)


def scaling_points(
    runs: Sequence[Run], name: str, measure: Measure
) -> dict[str, tuple[Point, ...]]:
    """Return each solver's points, one per instance, in the order of their sizes."""
    cells: dict[str, dict[tuple[str, str], list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        cells[run.solver][run.instance].append(run)
    points = {}
    for solver in sorted(cells):
        found = [_point(same, name, measure) for same in cells[solver].values()]
        if kept := [point for point in found if point is not None]:
            points[solver] = tuple(sorted(kept, key=lambda point: (point.size, point.value)))
    return points


def _point(runs: Sequence[Run], name: str, measure: Measure) -> Point | None:
    values = [finite(getattr(run.row, measure)) for run in runs]
    known = [value for value in values if value is not None and value > 0]
    if not known:
        return None
    limited = measure == "total_s" and any(run.row.stop_reason == "time" for run in runs)
    return Point(runs[0].row.size[name], statistics.median(known), limited)


def fit_points(points: Sequence[Point], floor: float = 0.0) -> Fit | None:
    """Fit a power law to the points that no limit cut short and that are at least `floor`."""
    used = [point for point in points if not point.limited and point.value >= floor]
    return fit_power_law([point.size for point in used], [point.value for point in used])


def fit_power_law(sizes: Sequence[int], values: Sequence[float]) -> Fit | None:
    r"""Fit :math:`\log y = \log a + b \log N` by ordinary least squares.

    The standard error of :math:`b` is :math:`\sqrt{s^2 / S_{xx}}` with
    :math:`s^2 = \sum_i e_i^2 / (n - 2)` and
    :math:`S_{xx} = \sum_i (\log N_i - \overline{\log N})^2`.

    Parameters
    ----------
    sizes
        Sizes N > 0.
    values
        What was measured at each, > 0.

    Returns
    -------
    Fit or None
        None with fewer than three different sizes.
    """
    if len(set(sizes)) < FEWEST_SIZES:
        return None
    x, y = np.log(np.asarray(sizes, dtype=np.float64)), np.log(np.asarray(values))
    spread = x - x.mean()
    total = float(spread @ spread)
    exponent = float(spread @ y) / total
    rest = y - y.mean() - exponent * spread
    variance = float(rest @ rest) / (len(x) - 2)
    return Fit(
        exponent,
        math.sqrt(variance / total),
        math.exp(float(y.mean() - exponent * x.mean())),
        len(x),
        min(sizes),
        max(sizes),
    )
