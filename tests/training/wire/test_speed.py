"""Whether a host keeps the pace of a plan, from made-up measurements."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from splitopt.errors import InfeasibleError, InputError
from splitopt.timeline import Resource, Timeline
from splitopt.training.wire.speed import (
    MOST_LATE,
    HostSeconds,
    check_speed,
    least_time_scale,
    limits,
    proposed_time_scale,
    usable_cores,
)

PHASES = ("work", "send")


def timeline(rows):
    """Build one from rows of phase, owner, batch, start and end; every owner has a resource."""
    owners = sorted({row[1] for row in rows})
    phase, owner, batch, start, end = zip(*rows, strict=True)
    return Timeline(
        tuple(Resource(f"device {name}", "device") for name in owners),
        PHASES,
        tuple(map(str, owners)),
        resource=[owners.index(name) for name in owner],
        phase=[PHASES.index(name) for name in phase],
        owner=[owners.index(name) for name in owner],
        batch=batch,
        start_s=start,
        end_s=end,
        share=[1.0] * len(rows),
    )


def host(rows, seconds, cores=64, late_s=0.0):
    is_message = np.array([row[0] == "send" for row in rows])
    late = np.full(len(rows), late_s)
    return HostSeconds(np.array(seconds, dtype=float), is_message, late, cores)


ONE = [("work", 0, 0, 0.0, 2.0), ("send", 0, 0, 2.0, 3.0), ("work", 0, 1, 3.0, 4.0)]


def test_a_computation_must_fit_into_its_planned_time():
    """The slowest one relative to its plan sets the scale, and is named."""
    line, here = timeline(ONE), host(ONE, [0.2, 0.0, 0.3])
    first = limits(line, here)[0]
    assert first.time_scale == pytest.approx(0.3)
    assert "work of 0 takes 300 ms here and 1 s in the plan" in first.reason
    check_speed(line, here, 0.3)
    with pytest.raises(InfeasibleError, match=r"by a factor of 3: .*time scale of 0\.6 or more"):
        check_speed(line, here, 0.1)


def room(rows, seconds, cores):
    """Return the least time scale that the cores alone allow."""
    found = limits(timeline(rows), host(rows, seconds, cores))
    return next(limit for limit in found if "of a core" in limit.reason).time_scale


@pytest.mark.parametrize("cores", [1, 2, 4])
def test_what_runs_at_once_shares_the_cores(cores):
    """Four devices side by side need four times as much as one: 0.4 / cores, less what may wait."""
    rows = [("work", owner, 0, 0.0, 1.0) for owner in range(4)]
    allowed = 0.4 / cores / (1 + MOST_LATE)  # all is done after (1 + MOST_LATE) times the round
    assert room(rows, [0.1] * 4, cores) == pytest.approx(allowed)
    apart = [("work", owner, 0, float(owner), owner + 1.0) for owner in range(4)]
    assert least_time_scale(timeline(apart), host(apart, [0.1] * 4, cores)) == pytest.approx(0.1)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_piles_up_by_more_than_is_allowed(seed):
    """At the least scale, a vessel that is filled in small steps of time is just not too full."""
    rng = np.random.default_rng(seed)
    start, lasting = rng.uniform(0, 5, 40), rng.uniform(0.05, 2, 40)
    rows = [("send", i, 0, start[i], start[i] + lasting[i]) for i in range(40)]
    taken, cores = rng.uniform(0.01, 0.3, 40), 2
    scale = room(rows, taken, cores)
    step, level, highest = 1e-3, 0.0, 0.0
    for moment in np.arange(0, 7.1, step):
        running = (start <= moment) & (start + lasting > moment)
        inflow = (2 * taken / lasting)[running].sum() / cores
        level = max(0.0, level + (inflow - scale) * step)
        highest = max(highest, level)
    assert highest == pytest.approx(MOST_LATE * scale * np.median(lasting), rel=0.1)


def test_a_short_crowd_does_not_count_for_more_than_it_delays():
    """A moment in which everybody sends is nothing if there is time to catch up right after it."""
    crowd = [("work", i, 0, 0.0, 1e-4) for i in range(10)]
    rows = crowd + [("work", i, 0, 1e-4, 10.0) for i in range(10)]
    assert room(rows, [1e-4] * 20, 2) < 0.01


@pytest.mark.parametrize("fixed", [0.0, 0.01])
def test_a_step_may_be_late_by_a_small_part_of_it(fixed):
    """At the least scale, what its tasks are late by is exactly the fraction that is allowed."""
    rng = np.random.default_rng(6)
    for _ in range(20):
        planned, taken = rng.uniform(0, 1, 5), rng.uniform(0.001, 0.1, 5)
        ends = np.cumsum(planned)
        rows = [("send", 0, 0, end - own, end) for own, end in zip(planned, ends, strict=True)] + [
            ("work", 0, 0, ends[-1], ends[-1] + 1.0)
        ]
        found = next(
            li
            for li in limits(timeline(rows), host(rows, [*taken, 0.0], late_s=fixed))
            if "hand over" in li.reason
        )
        scale, span = found.time_scale, ends[-1] + 1.0
        late = 6 * fixed + np.maximum(0.0, taken - scale * planned).sum()
        assert late == pytest.approx(MOST_LATE * scale * span)


def test_a_proposal_is_safe_and_takes_a_few_seconds():
    """A long plan is shrunk as far as the host allows, a short one stays as it is."""
    rows = [("work", 0, 0, 0.0, 1000.0)]
    line = timeline(rows)
    assert proposed_time_scale(line, host(rows, [0.5])) == pytest.approx(0.005)
    slow = host(rows, [60.0])
    proposed = proposed_time_scale(line, slow)
    assert proposed == pytest.approx(0.12)
    check_speed(line, slow, proposed)
    short = [("work", 0, 0, 0.0, 0.1)]
    assert proposed_time_scale(timeline(short), host(short, [0.01])) == 1.0
    assert proposed_time_scale(timeline(short), host(short, [1.0])) == 20.0


def test_a_plan_without_work_needs_no_speed():
    """Tasks of no time set no limit."""
    rows = [("work", 0, 0, 0.0, 0.0)]
    assert least_time_scale(timeline(rows), host(rows, [1.0])) == 0


def test_wrong_measurements_and_scales_are_refused():
    """Each with its name."""
    line = timeline(ONE)
    with pytest.raises(InputError, match="each of 3 tasks"):
        limits(line, HostSeconds(np.zeros(2), np.zeros(2, dtype=bool), np.zeros(2), 1))
    with pytest.raises(InputError, match="finite"):
        limits(line, host(ONE, [0.1, inf, 0.1]))
    for scale in (0.0, -1.0, inf, float("nan")):
        with pytest.raises(InputError, match="time_scale"):
            check_speed(line, host(ONE, [0.1] * 3), scale)
    assert usable_cores() >= 1
