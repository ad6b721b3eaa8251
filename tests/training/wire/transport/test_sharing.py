"""Shared resources against processor sharing by hand, on a clock that the tests move."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError
from splitopt.training.wire.transport.pacing import Bucket, Granted
from splitopt.training.wire.transport.sharing import SharedClock, SharedLink, SharedResource

pytestmark = pytest.mark.train


def finish_times(flows):
    """Return when flows (begin, share, planned s) on one resource are done."""
    clock, active, ends = SharedClock(0.0), {}, {}
    waiting = sorted(range(len(flows)), key=lambda k: flows[k][0])
    moment = 0.0
    while waiting or active:
        due = min(((clock.moment_s(s), k) for k, (_, s) in active.items()), default=None)
        if waiting and (due is None or flows[waiting[0]][0] <= due[0]):
            k = waiting.pop(0)
            moment, share, planned = flows[k]
            number = clock.enter(moment, share)
            active[k] = number, clock.shown_s(moment) + planned
        else:
            moment, k = due
            number, _ = active.pop(k)
            clock.leave(moment, number)
            ends[k] = moment
    return [ends[k] for k in range(len(flows))]


@pytest.mark.parametrize(
    ("flows", "wanted"),
    [
        # Shares that fit: everybody as planned, whoever comes and goes.
        ([(0, 0.5, 4), (1, 0.3, 2), (1, 0.2, 7)], [4, 3, 8]),
        # Two whole resources: both at half, 4 s for 2; then the first alone, its other 1 s.
        ([(0, 1.0, 3), (0, 1.0, 2)], [5, 4]),
        # 0.6 + 0.9 = 1.5. From 1 on both are slowed by it: the second needs 2 x 1.5 = 3 s, in
        # which the first does 2 of its 3 planned s; its last one is at full pace.
        ([(0, 0.6, 4), (1, 0.9, 2)], [5, 4]),
        # Three times the resource, all alike: all take three times as long.
        ([(0, 1.0, 1), (0, 1.0, 1), (0, 1.0, 1)], [3, 3, 3]),
        # 0.5 + 0.5 + 1 = 2 until the last is done after 2 s, having let the others do 1 s each;
        # then they fit: 2 and 4 s are left of 3 and 5.
        ([(0, 0.5, 3), (0, 0.5, 5), (0, 1.0, 1)], [4, 6, 2]),
        # One comes while two are at half: by then each has done 1 s of its 2 and 3. At a third of
        # the pace the first needs 3 s more, until 5; then the second has 1 s left and the third 3
        # of 4, both at half: 7 and, alone for its last 2, 9.
        ([(0, 1.0, 2), (0, 1.0, 3), (2, 1.0, 4)], [5, 7, 9]),
    ],
)
def test_finish_times_by_hand(flows, wanted):
    assert finish_times(flows) == pytest.approx(wanted, rel=1e-12)


def test_all_that_is_done_is_what_the_resource_can_do():
    """Oversubscribed and never idle: shares times planned seconds add up to the time it takes."""
    flows = [(0, 0.7, 3.0), (0, 0.6, 3.0), (0, 0.9, 3.0)]
    assert finish_times(flows) == pytest.approx([sum(share * s for _, share, s in flows)] * 3)


def test_threads_wait_as_the_shares_say():
    """Two have the whole: what is planned for 60 ms takes 120; a change wakes who waits.

    A busy host may be late, so only what is never too early is exact; `finish_times` has the rest.
    """
    resource, ends = SharedResource(), {}

    def work(name, planned_s):
        with resource.reserved(1.0):
            barrier.wait()
            begin = time.monotonic()
            ends[name] = resource.begin(begin).wait(planned_s) - begin

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=pair) for pair in (("a", 0.06), ("b", 0.1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends["a"] >= 0.115
    assert ends["b"] >= 0.155  # 120 ms at half, and then 40 ms alone


def test_who_waits_is_woken_when_another_leaves():
    """With a share of 1000 beside it, what is planned for 1 s would take a quarter of an hour."""
    resource = SharedResource()
    use, ended = resource.begin(), threading.Event()

    def wait():
        use.wait(1.0)
        ended.set()

    with resource.reserved(1.0), resource.reserved(999.0):
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        assert not ended.wait(0.05)
    assert ended.wait(300)


def test_a_link_of_a_share_is_slowed_with_the_others():
    """1000 byte at 20 kB/s are planned for 50 ms; with shares of 2 in all they take 100."""
    resource = SharedResource()
    link = SharedLink(20_000, resource)
    with resource.reserved(1.0), resource.reserved(1.0):
        begin = time.monotonic()
        lease = link.lease(1000)
        link.wait_until(lease.due_s(1000))
        assert time.monotonic() - begin >= 0.099
    begin = time.monotonic()
    link.wait_until(link.lease(1000).end_s)
    assert time.monotonic() - begin >= 0.049


def test_a_share_is_above_0():
    with (
        pytest.raises(InputError, match="share: is 0, it must be above 0"),
        SharedResource().reserved(0),
    ):
        pass


def test_a_moment_that_was_settled_elsewhere_is_kept_even_if_it_is_over():
    assert Granted(1e6, 50.0).lease(2_000_000).end_s == 52.0
    assert isinstance(Granted(1e6, 50.0), Bucket)
