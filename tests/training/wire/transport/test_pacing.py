"""The arithmetic of paced links, on a clock that only the tests move."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError
from splitopt.training.wire.transport.pacing import (
    LARGEST_CHUNK,
    SMALLEST_CHUNK,
    Bucket,
    pad_until,
)

pytestmark = pytest.mark.train


class Clock:
    """Time that passes only in sleeps, each longer than asked by `late` s."""

    def __init__(self, late=0.0):
        self.moment, self.late, self.sleeps = 100.0, late, []

    def now(self):
        return self.moment

    def sleep(self, seconds):
        assert seconds > 0
        self.sleeps.append(seconds)
        self.moment += seconds + self.late


def bucket(rate, clock):
    return Bucket(rate, clock.now, clock.sleep)


def test_a_message_takes_its_bytes_over_the_rate():
    lease = bucket(1e6, Clock()).lease(2_500_000)
    assert lease.start_s == 100
    assert lease.end_s == pytest.approx(102.5, rel=1e-15)
    assert lease.due_s(500_000) == pytest.approx(100.5, rel=1e-15)


def test_messages_follow_one_another_and_an_idle_link_saves_nothing_up():
    clock = Clock()
    link = bucket(1e6, clock)
    assert [link.lease(10**6).start_s for _ in range(3)] == [100, 101, 102]
    clock.moment = 110.0
    assert link.lease(10**6).end_s == 111.0
    assert link.lease(10**6).end_s == 112.0


def test_what_one_sleep_is_late_by_the_next_makes_good():
    clock = Clock(late=0.003)
    link = bucket(1e6, clock)
    lease = link.lease(10**6)
    ends = []
    for _, last in lease.chunks():
        link.wait_until(lease.due_s(last))
        ends.append(clock.now() - lease.due_s(last))
    assert len(ends) == 250  # 4 ms each
    assert max(ends) <= 0.003 + 1e-9  # never later than one sleep, however many there were
    assert clock.now() == pytest.approx(101.003, abs=1e-9)


def test_no_sleep_where_a_moment_is_over():
    clock = Clock()
    assert pad_until(99.0, clock.now, clock.sleep) == 1.0
    assert clock.sleeps == []
    assert pad_until(100.25, clock.now, clock.sleep) == 0
    assert clock.sleeps == [0.25]


@pytest.mark.parametrize("rate", [1.0, 1e5, 1e9, math.inf])
def test_chunks_cover_a_message_without_gaps(rate):
    size = 1_000_003
    chunks = list(bucket(rate, Clock()).lease(size).chunks())
    assert chunks[0][0] == 0
    assert chunks[-1][1] == size
    assert [last for _, last in chunks[:-1]] == [first for first, _ in chunks[1:]]
    lengths = {last - first for first, last in chunks[:-1]}
    assert all(SMALLEST_CHUNK <= length <= LARGEST_CHUNK for length in lengths)


def test_a_link_that_costs_nothing():
    lease = bucket(math.inf, Clock()).lease(10**12)
    assert lease.end_s == lease.start_s == 100


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
def test_a_rate_that_is_none(rate):
    with pytest.raises(InputError, match="rate_bytes_per_s"):
        Bucket(rate)
