"""Micro-batches through a graph of machines: rules that hold, bounds, and the period."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.latency.graph_pipeline import (
    PHASES,
    Stations,
    enough_in_flight,
    most_periods,
    orders,
    round_seconds,
    run,
)


def drawn(seed, in_flight=None):
    """Draw machines in a random order of data."""
    rng = np.random.default_rng(seed)
    places = int(rng.integers(1, 6))
    seconds = rng.integers(0, 4, (places, len(PHASES))).astype(float)
    before = tuple(
        tuple(i for i in range(j) if rng.random() < 0.6 or i == j - 1) for j in range(places)
    )
    return Stations(seconds, before, in_flight)


@pytest.mark.parametrize("in_flight", [None, 1, 2])
def test_rules_of_the_pipeline_hold(in_flight):
    """One thing at a time, data before it is used, room for what is in flight, all of it done."""
    for seed in range(20):
        stations = drawn(seed, in_flight)
        found, batches = run(stations, 12), 12
        start, end = found
        assert np.allclose((end - start).sum(axis=1), 12 * stations.seconds)
        for place, before in enumerate(stations.before):
            begun, ended = start[place].ravel(), end[place].ravel()
            order = np.lexsort((ended, begun))
            assert (ended[order][:-1] <= begun[order][1:] + 1e-9).all()
            for other in before:
                assert (start[place, :, 0] >= end[other, :, 2] - 1e-9).all()
                assert (start[other, :, 3] >= end[place, :, 5] - 1e-9).all()
            assert (start[place, :, 3] >= end[place, :, 2] - 1e-9).all()
            if in_flight is not None:
                freed = end[place, : batches - in_flight, 5]
                assert (start[place, in_flight:, 0] >= freed - 1e-9).all()


def test_the_period_is_the_maximal_load():
    """A round lies between its two bounds, with just enough in flight too, on any machines."""
    for seed in range(60):
        stations = drawn(seed)
        for batches in (1, 2, 4, 7, 40):
            capped = stations._replace(in_flight=enough_in_flight(stations.places, batches))
            seconds, load = run(capped, batches).makespan_s, stations.load_s
            assert seconds == run(stations, batches).makespan_s
            assert batches * load <= seconds + 1e-9
            assert seconds <= most_periods(stations.places, batches) * load + 1e-9


@pytest.mark.parametrize("places", range(1, 9))
def test_some_machines_in_a_row_need_all_the_periods_of_a_round(places):
    """Those that work forward or backward only, by turns, have exactly the bound."""
    before = tuple((j - 1,) if j else () for j in range(places))
    for batches in (1, 2, 3, 6, 9, 16):
        longest = 0.0
        for first in (0, 1):
            seconds = np.zeros((places, len(PHASES)))
            seconds[:, 1] = (first + np.arange(places)) % 2
            seconds[:, 4] = 1 - seconds[:, 1]
            longest = max(longest, run(Stations(seconds, before), batches).makespan_s)
        assert longest == most_periods(places, batches)


def test_one_in_flight_takes_the_way_there_and_back():
    """Then nothing overlaps in a chain of two machines, but the first while the last works."""
    seconds = np.array([[0, 1, 0, 0, 2, 0], [0, 3, 0, 0, 4, 0]], dtype=float)
    assert run(Stations(seconds, ((), (0,)), 1), 5).makespan_s == 5 * 10
    free = run(Stations(seconds, ((), (0,))), 500).makespan_s
    assert free == pytest.approx(500 * 7, rel=1e-2)


def test_passes_are_made_in_an_order_that_ends():
    """Every machine makes each pass of each micro-batch once."""
    stations = drawn(3)
    for own in orders(stations, 9):
        assert sorted(own) == [(back, m) for back in (False, True) for m in range(9)]


def test_a_long_round_follows_from_its_pace():
    """What is not gone through one by one takes as long as the rest does."""
    for seed in (1, 5, 9):
        stations = drawn(seed)
        assert round_seconds(stations, 1500) == pytest.approx(
            run(stations, 1500).makespan_s, rel=1e-3
        )
