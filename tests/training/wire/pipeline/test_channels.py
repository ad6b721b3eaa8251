"""Who may send over a channel of all owners, and when: by hand, on a clock of numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.wire.pipeline.channels import Channels, channel_end, request
from splitopt.training.wire.pipeline.timing import Leg, Occupied, OwnerWay, PipelineTiming
from splitopt.training.wire.transport.clocks import Offset
from splitopt.training.wire.transport.errors import FrameError

pytestmark = pytest.mark.train


def end(resource, kind, seconds):
    return Occupied(resource, kind, "activations", 0, 1.0, seconds)


UP, DOWN = end("uplink", "channel", 4.0), end("downlink", "channel", 2.0)
LEGS = (
    Leg("activations", (UP,), 0.5, 100.0),
    Leg("activations", (end("one out", "interface", 3.0), DOWN), 0.0, 100.0),
    Leg("gradients", (end("one -> two", "link", 3.0),), 0.0, 100.0),
)


@pytest.fixture
def channels():
    return Channels(PipelineTiming(("a", "b"), ("one",), (OwnerWay((), LEGS),) * 2, None, 1.0))


def test_first_come_first_served_each_at_the_full_rate(channels):
    """4 s for a whole batch, 1 s for a quarter; the other direction is not touched."""
    assert channels.reserve(request(0, 0, 100, 10.0), 10.0) == (0, 10.0)
    assert channels.reserve(request(1, 0, 25, 10.0), 10.1) == (1, 14.0)
    assert channels.reserve(request(0, 1, 100, 10.5), 10.5) == (0, 10.5)
    assert channels.reserve(request(0, 0, 100, 12.0), 12.0) == (0, 15.0)
    assert channels.reserve(request(1, 0, 100, 30.0), 30.2) == (1, 30.0)
    channels.clear()
    assert channels.reserve(request(1, 0, 100, 30.5), 30.5) == (1, 30.5)


def test_clocks_of_others_are_brought_to_ones_own(channels):
    """Theirs is 1000 s ahead."""
    assert channels.reserve(request(0, 0, 100, 1010.0), 10.0, Offset(1000.0)) == (0, 10.0)


@pytest.mark.parametrize(
    "fields",
    [
        request(2, 0, 100, 10.0),
        request(0, 3, 100, 10.0),
        request(0, 2, 100, 10.0),
        request(0, 0, 101, 10.0),
        request(0, 0, -1, 10.0),
        request(0, 0, 100, float("nan")),
        request(0, 0, 100, "soon"),
        {},
    ],
)
def test_what_makes_no_sense_is_refused(channels, fields):
    with pytest.raises(FrameError):
        channels.reserve(fields, 10.0)


def test_an_owner_may_have_batches_that_are_larger_by_chance(channels):
    """Twice as many bytes take twice as long; beyond what all its samples are nothing goes."""
    twice = Channels(channels._timing, lambda owner: 1.0 + owner)
    assert twice.reserve(request(1, 0, 200, 10.0), 10.0) == (1, 10.0)
    assert twice.reserve(request(0, 0, 100, 10.0), 10.0) == (0, 18.0)
    for owner, size in ((0, 101), (1, 201)):
        with pytest.raises(FrameError):
            twice.reserve(request(owner, 0, size, 10.0), 10.0)


def test_nobody_reserves_a_channel_for_ever(channels):
    """A moment far ahead counts as the latest at which the message itself could get there."""
    assert channels.reserve(request(0, 0, 100, 1e9), 10.0) == (0, 14.5)


def test_at_which_end_a_channel_is():
    assert [channel_end(leg) for leg in LEGS] == [0, 1, None]
