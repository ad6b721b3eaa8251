"""Intervals of the ratio of real to stated seconds."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import Interval, MachineTimes


def test_quantiles_by_hand():
    """Of 20 ratios 1 .. 20 with 90 %, each tail holds one: from the first to the nineteenth."""
    ratios = np.arange(1.0, 21.0)
    found = Interval.of_ratios([ratios], "by hand")
    assert (found.low, found.high) == (1.0, 19.0)


def test_every_group_weighs_the_same():
    """One network with 1 part and one with 99: the first is half of all, and both ends of 80 %."""
    found = Interval.of_ratios([np.array([5.0]), np.linspace(1, 2, 99)], "by hand", level=0.4)
    assert found.high == 5.0  # 70 % of the weight: 50 % are at most 2, all the rest is at 5
    assert found.low == pytest.approx(1 + 59 / 98)  # 30 % of all is 59.4 of the 99


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": 1}, r"machines.pi.interval.level: is 1.0; give a fraction between 0 and 1"),
        ({"low": 2.0}, r"interval.low: and high are 2.0 and 1.5; give 0 < low <= high"),
        ({"high": "x"}, r"interval.high: is 'x', which is not a number"),
        ({"method": ""}, r"interval.method: must be a text"),
        ({"mean": 1}, r"interval: has the unknown key 'mean'"),
    ],
)
def test_wrong_intervals_are_refused(board, change, words):
    """One sentence with the field, the value and the mend."""
    interval = {"level": 0.9, "low": 0.8, "high": 1.5, "method": "m", **change}
    with pytest.raises(InputError, match=words):
        MachineTimes.from_dict({**board.to_dict(), "interval": interval}, "machines.pi")


def test_times_keep_interval_and_batch(board):
    """They are written and read; times that scale have no interval of their own."""
    interval = Interval(0.9, 0.8, 1.5, "by hand")
    times = MachineTimes(
        board.forward_s, board.backward_s, board.update_s, board.measured, interval, 16
    )
    again = MachineTimes.from_dict(times.to_dict(), "x")
    assert again.interval == interval
    assert again.batch == 16
    scaled = times.scaled(2.0)
    assert scaled.forward_s.tolist() == [2 * value for value in board.forward_s]
    assert scaled.interval is None
    with pytest.raises(InputError, match=r"x.batch: is 0; give a whole number >= 1"):
        MachineTimes.from_dict({**board.to_dict(), "batch": 0}, "x")
