"""Whether a host can keep the pace of a plan, and how far the plan must be slowed down for it.

In a run over real connections, work that is done before its planned time is over waits; work that
is done later cannot be mended. So before anything starts, what every task takes on this host is
held against the plan: the time scale must be at least so large that

* no computation takes longer than planned,
* all computations and messages that run at the same time have room on the cores of the host, so
  that they never pile up by more than `MOST_LATE` of the median step, and
* no step is made late by more than `MOST_LATE` of it by what every task costs at any pace: waking
  up, handing a message over, and bytes that the host's own network does not move in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.timeline import FloatArray, IntArray, Timeline

MOST_LATE = 0.05
"""Fraction of a step by which messages, and what competes for the cores, may make it late."""
ROOM = 2.0
"""A proposed time scale is so many times the smallest one that the host can keep."""
USUAL_ROUND_S = 5.0
"""A proposed time scale makes a round take about so long, if the host can keep it."""
_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class HostSeconds:
    """What each task of a timeline takes on this host, one value per row.

    Parameters
    ----------
    seconds
        Shape (T,): s of the task alone on one core.
    is_message
        Shape (T,): whether it sends something rather than computes.
    late_s
        Shape (T,): s by which it ends late even if there is time enough: waking up after a planned
        wait, and handing a message over.
    cores
        How many cores the processes may use.
    """

    seconds: FloatArray
    is_message: npt.NDArray[np.bool_]
    late_s: FloatArray
    cores: int


class Limit(NamedTuple):
    """The smallest time scale for one reason, and the reason as the end of a sentence."""

    time_scale: float
    reason: str


def usable_cores() -> int:
    """Count the cores that this process and those it starts may use."""
    import os

    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1  # pragma: no cover - not on Linux


def limits(timeline: Timeline, host: HostSeconds) -> tuple[Limit, ...]:
    """Return the smallest time scale by each of the reasons, the strictest first.

    Parameters
    ----------
    timeline
        The predicted round.
    host
        What its tasks take here.

    Raises
    ------
    InputError
        The host's seconds do not belong to the timeline, or are not finite numbers >= 0.
    """
    for name in ("seconds", "is_message", "late_s"):
        column = getattr(host, name)
        if column.shape != (len(timeline),):
            raise InputError.at(name, f"must have a value for each of {len(timeline)} tasks")
        if not (np.isfinite(column) & (column >= 0)).all():
            raise InputError.at(name, "must hold finite numbers >= 0")
    found = (_alone(timeline, host), _together(timeline, host), _late(timeline, host))
    return tuple(sorted(found, key=lambda limit: -limit.time_scale))


def least_time_scale(timeline: Timeline, host: HostSeconds) -> float:
    """Return the smallest time scale that the host can keep."""
    return limits(timeline, host)[0].time_scale


def proposed_time_scale(timeline: Timeline, host: HostSeconds) -> float:
    """Return a time scale with some room, for which a round takes a few seconds if it can."""
    usual = min(1.0, USUAL_ROUND_S / timeline.makespan_s) if len(timeline) else 1.0
    return _rounded_up(max(ROOM * least_time_scale(timeline, host), usual))


def check_speed(timeline: Timeline, host: HostSeconds, time_scale: float) -> None:
    """Reject a time scale that this host cannot keep.

    Raises
    ------
    InputError
        The time scale is not above 0.
    InfeasibleError
        The host is too slow; the message says by which factor, and what would do.
    """
    if not 0 < time_scale < float("inf"):
        raise InputError.at("time_scale", f"is {time_scale!r}, it must be above 0")
    least = limits(timeline, host)[0]
    if least.time_scale > time_scale:
        raise InfeasibleError(
            f"this host is too slow for the plan at time scale {time_scale:g}, by a factor of "
            f"{least.time_scale / time_scale:.3g}: {least.reason}; take a time scale of "
            f"{_rounded_up(ROOM * least.time_scale):g} or more, or a faster host"
        )


def _alone(timeline: Timeline, host: HostSeconds) -> Limit:
    """No computation may take longer than planned."""
    planned = timeline.end_s - timeline.start_s
    asked = ~host.is_message & (planned > 0)
    if not asked.any():
        return Limit(0.0, "nothing is computed")
    ratio = np.where(asked, host.seconds, 0.0) / np.where(asked, planned, 1.0)
    worst = int(ratio.argmax())
    return Limit(
        float(ratio[worst]),
        f"{timeline.phases[timeline.phase[worst]]} of {timeline.owners[timeline.owner[worst]]} "
        f"takes {_milli(host.seconds[worst])} here and {_milli(planned[worst])} in the plan",
    )


def _together(timeline: Timeline, host: HostSeconds) -> Limit:
    """Make room on the cores for what runs at the same time.

    A task that takes h s here and p s in the plan needs h / (p x scale) of a core while it runs;
    a message keeps its sender and its receiver busy, so it counts twice. Where all together need
    more than the cores can give, work piles up: what is piled up must never make anybody late by
    more than `MOST_LATE` of the median step. The pile is that of a fluid in a leaking vessel,
    sup over b > a of (inflow in [a, b] - cores x scale x (b - a)), over the cores.
    """
    planned = timeline.end_s - timeline.start_s
    lasting = (planned > 0) & (host.seconds > 0)
    if not lasting.any():
        return Limit(0.0, "nothing lasts")
    need = host.seconds * np.where(host.is_message, 2.0, 1.0)
    rate = need[lasting] / planned[lasting]
    times = np.concatenate((timeline.start_s[lasting], timeline.end_s[lasting]))
    order = np.argsort(times, kind="stable")
    load = np.cumsum(np.concatenate((rate, -rate))[order])[:-1] / host.cores
    lengths = np.diff(times[order])
    allowed = MOST_LATE * float(np.median([_span(timeline, step) for step in _steps(timeline)]))

    def late(scale: float) -> float:
        level = np.cumsum((load - scale) * lengths)
        before = np.minimum.accumulate(np.concatenate(([0.0], level[:-1])))
        return float((level - np.minimum(before, level)).max())

    low, high = 0.0, float(load.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if late(middle) <= allowed * middle else (middle, high)
    return Limit(
        high,
        f"all that is computed and sent in a round takes {need[lasting].sum():.3g} s of a core "
        f"here, up to {host.cores * load.max():.3g} cores at a time at time scale 1 and more at a "
        f"smaller one, and there are {host.cores}",
    )


def _late(timeline: Timeline, host: HostSeconds) -> Limit:
    """Require that no step is late by more than a small fraction of it.

    At scale s the tasks of a step are late by what each costs at any pace, and messages by
    sum max(0, h - s p) where the network does not move them in time; this falls with s, while the
    step takes s times its planned span.
    """
    planned = timeline.end_s - timeline.start_s
    found, worst = 0.0, None
    for step in _steps(timeline):
        sent, span = step[host.is_message[step]], _span(timeline, step)
        if span == 0:
            continue
        fixed = float(host.late_s[step].sum())
        scale = _meeting_point(fixed, host.seconds[sent], planned[sent], MOST_LATE * span)
        if scale > found:
            found, worst = scale, (step, fixed + float(host.seconds[sent].sum()), span)
    if worst is None:
        return Limit(0.0, "nothing is late")
    step, taken, span = worst
    row = int(step[0])
    return Limit(
        found,
        f"batch {int(timeline.batch[row])} of {timeline.owners[timeline.owner[row]]} has "
        f"{len(step)} tasks, which wake up and hand over within {_milli(taken)} here, and takes "
        f"{_milli(span)} in the plan, of which that may be {100 * MOST_LATE:g} %",
    )


def _steps(timeline: Timeline) -> list[IntArray]:
    """Return the tasks of each batch of each owner."""
    label = timeline.owner * (1 + int(timeline.batch.max(initial=0))) + timeline.batch
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []


def _span(timeline: Timeline, step: IntArray) -> float:
    return float(timeline.end_s[step].max() - timeline.start_s[step].min())


def _meeting_point(fixed: float, taken: FloatArray, planned: FloatArray, allowed: float) -> float:
    """Return the smallest s with fixed + sum max(0, taken - s planned) <= s allowed."""
    kinks = np.divide(taken, planned, out=np.full(len(taken), np.inf), where=planned > 0)
    order = np.argsort(-kinks)
    # Of the tasks in this order, the first k are late where s is below the k-th kink.
    total = fixed + np.concatenate(([0.0], np.cumsum(taken[order])))
    slope = np.concatenate(([0.0], np.cumsum(planned[order])))
    return float((total / (slope + allowed)).max())


def _milli(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * float(seconds):.3g} ms"


def _rounded_up(value: float) -> float:
    """Round up to two digits."""
    unit = 10.0 ** (floor(log10(value)) - 1)
    return float(f"{ceil(value / unit - 1e-9) * unit:.2g}")
