"""Rates from what tasks took: against problems whose numbers were changed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError
from splitopt.planning.control.estimating import Rates, Smoothing, measured_rates
from splitopt.planning.control.events import DeviceSlows, RateChanges, ServerSlows
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.simulation.replay import simulate_decision
from splitopt.timeline import Resource, Timeline

DOWN, UP, SERVER, OWN = (
    np.array(table)
    for table in (
        [[2.0, 3.0, 5.0], [1.0, 4.0, 6.0], [2.0, 2.0, 3.0]],
        [[4.0, 2.0, 3.0], [3.0, 3.0, 1.0], [1.0, 2.0, 2.0]],
        [[3.0, 2.0, 0.0], [5.0, 1.0, 0.0], [4.0, 2.0, 0.0]],
        [[1.0, 3.0, 9.0], [2.0, 4.0, 8.0], [1.0, 2.0, 7.0]],
    )
)


def of(down=1.0, up=1.0, server=1.0, own=1.0):
    """Return the fleet with tables that take so many times as long."""
    return CutAndResources(
        DOWN * down, UP * up, SERVER * server, OWN * own, np.ones((3, 3), dtype=bool)
    )


@pytest.mark.parametrize("cuts", [[1, 2, 1], [2, 2, 2], [1, 1, 3]])
def test_every_rate_is_told_exactly(cuts):
    """Tables that take k times as long are rates of 1 / k, each for itself."""
    down, up, own = (np.array([[a], [b], [c]]) for a, b, c in ((2, 1, 4), (1, 3, 1), (8, 1, 0.5)))
    decision = of().complete(np.array(cuts))
    lines = [
        simulate_decision(problem, decision).timeline
        for problem in (of(), of(down, up, server=1.25, own=own))
    ]
    found = measured_rates(*lines)
    for n in range(3):
        known = found.devices[f"device {n}"]
        assert known["download"] == pytest.approx(1 / down[n, 0], rel=1e-12)
        assert known["upload"] == pytest.approx(1 / up[n, 0], rel=1e-12)
        assert known["compute"] == pytest.approx(1 / own[n, 0], rel=1e-12)
    assert found.server == pytest.approx(0.8, rel=1e-12)


def test_what_a_round_does_not_use_is_not_told():
    """A fleet that keeps all layers says nothing of the server; who left says nothing at all."""
    decision = of().complete(np.array([3, 3, 3]))
    line = simulate_decision(of(), decision).timeline
    found = measured_rates(line, line, without=["device 1"])
    assert found.server is None
    assert sorted(found.devices) == ["device 0", "device 2"]
    after = Smoothing().after(Rates({"device 1": {"compute": 0.25}}, 0.5), found)
    assert after.devices["device 1"] == {"compute": 0.25}
    assert after.server == 0.5


def test_times_that_are_no_rates_stay_in_the_range_of_events():
    """A task that takes next to no time is at most as fast as an event may say."""
    line = [
        Timeline(
            (Resource("a", "device"),), ("device forward",), ("a",), *[[0]] * 5, [s], [1.0]
        )  # all numbers, and the start, are 0
        for s in (1e6, 1e-9)
    ]
    assert measured_rates(*line).devices["a"]["compute"] == 1e9


def test_small_changes_are_averaged_and_large_ones_believed():
    """Geometric means below the jump; above it what was measured."""
    half = Smoothing(0.5, jump=1.5)
    assert half.next(1.0, 1.21) == pytest.approx(1.1)
    assert half.next(1.0, 0.25) == 0.25
    assert half.next(0.25, 1.0) == 1.0
    assert Smoothing(1.0).next(1.0, 1.2) == pytest.approx(1.2)
    noise = np.exp(np.random.default_rng(3).normal(0, 0.05, 400))
    slow, estimates = Smoothing(0.1), [1.0]
    for value in noise:
        estimates.append(slow.next(estimates[-1], float(value)))
    # a weight of w leaves w / (2 - w) of the variance
    assert np.log(estimates[50:]).std() < 0.5 * np.log(noise).std()
    for wrong in ({"weight": 0.0}, {"weight": 1.5}, {"jump": 0.5}, {"weight": float("nan")}):
        with pytest.raises(InputError):
            Smoothing(**wrong)


def test_rates_are_told_to_controllers_as_events():
    """One of links, one of speed, one of the server; nothing of what is not known."""
    rates = Rates({"a": {"compute": 0.5, "upload": 2.0}, "b": {}}, 0.75)
    assert rates.events() == [
        RateChanges("a", {"upload": 2.0}), DeviceSlows("a", 0.5), ServerSlows(0.75),
    ]  # fmt: skip
    assert Rates().events() == []
