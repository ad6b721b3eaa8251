"""The timeline: measures by hand, files that come back equal, and strict reading."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from splitopt import InputError
from splitopt.timeline import Resource, Task, Timeline


def small(**change):
    """Two resources: a node with tasks at 0-2, 1-3 and 5-6, and a shared server."""
    fields = {
        "resources": (Resource("n", "node"), Resource("s", "server")),
        "phases": ("forward", "backward"),
        "owners": ("a", "b"),
        "resource": [0, 0, 0, 1, 1],
        "phase": [0, 1, 0, 0, 0],
        "owner": [0, 1, 0, 0, 1],
        "batch": [0, 0, 1, 1, 1],
        "start_s": [0.0, 1.0, 5.0, 0.0, 2.0],
        "end_s": [2.0, 3.0, 6.0, 4.0, 8.0],
        "share": [1.0, 1.0, 1.0, 0.25, 0.75],
        "origin": {"seed": 3},
    }
    return Timeline(**{**fields, **change})


def test_measures_by_hand():
    """Busy is the union of the tasks, used is their sum by shares."""
    timeline = small()
    assert (len(timeline), timeline.makespan_s) == (5, 8.0)
    node, server = timeline.usage
    assert (node.busy_s, node.used_s, node.tasks) == (4.0, 5.0, 3)
    assert (server.busy_s, server.used_s, server.tasks) == (8.0, 0.25 * 4 + 0.75 * 6, 2)
    assert timeline.completions().tolist() == [2, 3, 6, 8]
    assert list(timeline)[4] == Task("s", "forward", "b", 1, 2.0, 8.0, 0.75)


def test_overloads_are_overlaps_of_more_than_everything():
    """The node does two things at once from 1 to 2, the server is just full."""
    assert small().overloads() == {"n": 1.0}
    assert small(start_s=[0.0, 2.0, 5.0, 0.0, 2.0]).overloads() == {}
    assert small(share=[0.5, 0.5, 1.0, 0.5, 0.75]).overloads() == {"s": 0.25}


def test_pace_is_that_of_the_middle():
    """Batches at 1 s apart, but for a slow start."""
    count = 12
    ends = np.arange(count) + np.where(np.arange(count) > 2, 100.0, 0.0)
    timeline = Timeline(
        (Resource("n", "node"),),
        ("p",),
        ("o",),
        *(np.zeros(count, int) for _ in range(3)),
        np.arange(count),
        ends,
        ends,
        np.ones(count),
    )
    assert timeline.pace_s() == 1.0
    assert math.isnan(small().pace_s())


def test_files_come_back_equal(tmp_path):
    """JSON holds everything; the CSV has a row per task."""
    timeline = small()
    timeline.save(tmp_path / "t.json")
    again = Timeline.load(tmp_path / "t.json")
    assert again.to_dict() == timeline.to_dict()
    assert list(again) == list(timeline)
    timeline.save(tmp_path / "t.csv")
    rows = (tmp_path / "t.csv").read_text().splitlines()
    assert rows[0] == "resource,kind,phase,owner,batch,start_s,end_s,share"
    assert rows[5] == "s,server,forward,b,1,2.0,8.0,0.75"
    assert len(rows) == 6


def test_columns_are_frozen_copies():
    """Nobody changes a timeline through the arrays it was made of."""
    start = np.zeros(5)
    timeline = small(start_s=start)
    start[0] = 1.0
    assert timeline.start_s[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        timeline.start_s[0] = 1.0


def test_selection_keeps_the_names():
    """A selection by mask has the same resources and the rows named."""
    chosen = small().select(np.array([False, True, False, False, True]))
    assert [task.owner for task in chosen] == ["b", "b"]
    assert chosen.resources == small().resources
    empty = small().select(np.zeros(5, dtype=bool))
    assert (len(empty), empty.makespan_s, empty.overloads()) == (0, 0.0, {})
    assert empty.completions().size == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"share": [1.0] * 4}, r"share: has shape \(4,\)"),
        ({"resource": [0, 0, 2, 1, 1]}, r"resource\[2\]: is 2"),
        ({"batch": [0, -1, 0, 0, 0]}, r"batch\[1\]: is -1"),
        ({"end_s": [2.0, 3.0, 4.0, 4.0, 8.0]}, r"end_s\[2\]: is before"),
        ({"share": [1.0, 1.0, 1.0, 1.5, 1.0]}, r"share\[3\]: is not a fraction"),
        ({"start_s": [0.0, 1.0, math.nan, 0.0, 2.0]}, "start_s: holds a number"),
    ],
)
def test_wrong_columns_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        small(**change)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("format",), "other", "format is 'other'"),
        (("version",), 2, "version is 2"),
        (("tasks", "share"), None, "tasks.share: is None; it must be a list"),
        (("tasks", "share"), [True] * 5, r"tasks.share\[0\]: is True"),
        (("tasks", "batch"), [0.5] * 5, r"tasks.batch\[0\]: is 0.5"),
        (("tasks", "batch"), [10**30] * 5, r"tasks.batch\[0\]: is 10*; it must be less than"),
        (("tasks", "batch"), [-1] * 5, r"tasks.batch\[0\]: is -1"),
        (("resources",), [{"name": "x"}], r"resources\[0\] \(x\).kind: this field is missing"),
        (("resources",), "x", "resources: is 'x'; it must be a list"),
        (("phases",), [1, 2], r"phases\[0\]: is 1; it must be a text"),
        (("origin",), [], r"origin: is \[\]; it must be an object"),
        (("owners",), ["a\x1b[2J"], r"owners\[0\]: is .* control character"),
        (("tasks", "start_s"), [10**400] * 5, r"tasks.start_s\[0\]: is 1000.*must be a number"),
        (("more",), 1, "more: this field is unknown"),
    ],
)
def test_wrong_files_are_refused(path, value, words):
    """One sentence that names the place."""
    document = copy.deepcopy(small().to_dict())
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InputError, match=words):
        Timeline.from_dict(document, "t.json")
