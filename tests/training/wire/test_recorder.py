"""Rows of tasks, and the timeline that they make."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError
from splitopt.timeline import Resource
from splitopt.training.wire.recorder import (
    Recorder,
    measured_timeline,
    read_rows,
)
from splitopt.training.wire.transport.clocks import Offset, answer, measure

pytestmark = pytest.mark.train


def test_rows_travel_and_become_a_timeline_in_the_plans_seconds():
    near, far = Recorder(), Recorder()
    near.add("server", "server", "forward", "b", 0, 1000.2, 1000.3)
    near.add("server", "server", "forward", "a", 0, 1000.1, 1000.2)
    far.add("a", "device", "device forward", "a", 0, 1500.0, 1500.1, share=0.5)
    sent = json.loads(json.dumps(far.take()))
    assert far.take() == []
    rows = near.rows + read_rows(sent, offset_s=500.0)
    timeline = measured_timeline(rows, 0.1, {"plan": "p"})
    assert [task.start_s for task in timeline] == pytest.approx([0, 1, 2])
    assert [task.end_s for task in timeline] == pytest.approx([1, 2, 3])
    assert [(t.resource, t.owner, t.phase, t.share) for t in timeline] == [
        ("a", "a", "device forward", 0.5),
        ("server", "a", "forward", 1),
        ("server", "b", "forward", 1),
    ]
    assert timeline.origin == {"source": "measured", "time_scale": 0.1, "plan": "p"}
    assert timeline.resources == (Resource("a", "device"), Resource("server", "server"))


def test_names_in_the_order_of_the_predicted_timeline():
    record = Recorder()
    record.add("y", "k", "two", "b", 0, 0.0, 1.0)
    record.add("x", "k", "one", "a", 0, 1.0, 2.0)
    plain = measured_timeline(record.rows)
    assert plain.phases == ("two", "one")
    swapped = measured_timeline(record.rows[::-1][:1])
    assert measured_timeline(record.rows, like=swapped).phases == ("one", "two")
    assert measured_timeline(record.rows, like=swapped).resources[0].name == "x"


def test_no_rows():
    assert len(measured_timeline([])) == 0
    assert measured_timeline([]).makespan_s == 0


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_none(scale):
    with pytest.raises(InputError, match="time_scale"):
        measured_timeline([], scale)


@pytest.mark.parametrize(
    "rows",
    [
        {},
        [1],
        [["r", "k", "p", "o", 0, 0.0]],
        [["r", "k", "p", 1, 0, 0.0, 0.0, 1.0]],
        [["r", "k", "p", "o", "0", 0.0, 0.0, 1.0]],
    ],
)
def test_rows_that_are_none(rows):
    with pytest.raises(InputError, match="rows"):
        read_rows(rows)


class Talk:
    """Two processes whose clocks differ, with a delay each way, as one conversation."""

    def __init__(self, ahead, there, back):
        self.time, self.ahead, self.there, self.back = 50.0, ahead, list(there), list(back)
        self.inbox = b""
        self.last = b""

    def now(self):
        return self.time

    def send(self, data):
        self.last = data
        if len(data) == 8:
            self.time += self.there.pop(0)
            import struct

            self.inbox = struct.pack("<d", self.time + self.ahead)
            self.time += self.back.pop(0)

    def receive(self, size):
        return self.inbox[:size]


def test_the_quickest_answer_is_believed():
    there, back = [0.5, 0.1, 0.001, 0.2] * 2, [0.1, 0.5, 0.001, 0.3] * 2
    found = measure((talk := Talk(7.0, there, back)).send, talk.receive, talk.now)
    assert found.seconds == pytest.approx(7.0, abs=1e-12)
    assert found.uncertainty_s == pytest.approx(0.001)
    assert found.own(57.0) == pytest.approx(50.0)


def test_an_offset_within_the_uncertainty_is_none():
    found = measure((talk := Talk(0.0, [0.002] * 8, [0.001] * 8)).send, talk.receive, talk.now)
    assert found.seconds == 0.0
    assert found.uncertainty_s == pytest.approx(0.0015)


def test_the_peer_takes_over_the_reverse():
    import struct

    heard = []
    answers = iter([b"\0" * 8] * 8 + [struct.pack("<2d", 3.0, 0.5)])
    found = answer(heard.append, lambda size: next(answers)[:size], lambda: 9.0)
    assert found == Offset(-3.0, 0.5)
    assert heard == [struct.pack("<d", 9.0)] * 8
