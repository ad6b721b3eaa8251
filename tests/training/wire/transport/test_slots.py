"""Who has to go when too many have connected, and what the log says of it."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.wire.transport.refusals import Refusals
from splitopt.training.wire.transport.slots import Slots

pytestmark = pytest.mark.train


def test_there_is_room_until_it_is_full():
    slots = Slots(3)
    assert [slots.enter("a", name)[1] for name in "xyz"] == [None] * 3


def test_the_oldest_goes_where_all_have_one_address():
    slots = Slots(3)
    gone = [slots.enter("127.0.0.1", number)[1] for number in range(8)]
    assert gone == [None, None, None, 0, 1, 2, 3, 4]


def test_a_crowd_drives_out_itself_and_nobody_at_another_address():
    slots = Slots(4)
    slots.enter("friend", "old friend")
    gone = [slots.enter("crowd", number)[1] for number in range(20)]
    assert gone == [None, None, None, *range(17)]
    # a second one at the friend's address comes in too, as the crowd has more of the room
    assert slots.enter("friend", "new friend")[1] == 17


def test_who_has_left_makes_room_once():
    slots = Slots(1)
    number, _ = slots.enter("a", "first")
    assert slots.leave(number)
    assert not slots.leave(number)
    _, gone = slots.enter("a", "second")
    assert gone is None
    assert slots.enter("a", "third")[1] == "second"


def test_a_thousand_refusals_are_a_few_lines_that_add_up(caplog):
    """One at once, then one every 5 s, and at the end what is left."""
    caplog.set_level(logging.WARNING)
    time_s = [100.0]
    refusals = Refusals("here:1", every_s=5.0, now=lambda: time_s[0])
    for number in range(1000):  # for 15.6 s
        refusals.add(f"10.0.0.1:{number}", "it has another token" if number % 4 else "it is rude")
        time_s[0] += 1 / 64
    refusals.close()
    refusals.close()
    lines = [record.getMessage() for record in caplog.records]
    assert refusals.count == 1000
    assert len(lines) == 5
    assert lines[0] == "refused a connection from 10.0.0.1:0: it is rude"
    assert lines[1].startswith("refused 320 connections to here:1, the last one from 10.0.0.1:320 ")
    assert "times: it has another token; " in lines[1]
    assert 1 + sum(int(line.split()[1]) for line in lines[1:]) == 1000


def test_reasons_without_end_do_not_fill_the_memory_or_the_line(caplog):
    caplog.set_level(logging.WARNING)
    refusals = Refusals("here:1", now=lambda: 0.0)
    for number in range(10_000):
        refusals.add("peer", f"reason {number}")
    refusals.close()
    assert len(caplog.records) == 2
    assert len(caplog.records[1].getMessage()) < 300
    assert "9969 times: other reasons" in caplog.records[1].getMessage()
