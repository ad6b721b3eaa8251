"""Files of profiles that hold what no profile has."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile, load_profile, read
from splitopt.profiles.readers.graph_file import parse_graph, read_graph
from splitopt.profiles.readers.layer_csv import write_layer_csv
from splitopt.profiles.table.curves import Curve
from splitopt.profiles.table.interval import Interval

LINE = (
    "node{} -- {} -- forward_compute_time=1, backward_compute_time=2, activation_size=8, "
    "parameter_size=4\n"
)


def graph(operator: str) -> str:
    """Return a chain of three operators."""
    lines = [LINE.format(1, "Input0"), LINE.format(2, operator), LINE.format(3, "ReLU(inplace)")]
    return "".join([*lines, "\tnode1 -- node2\n", "\tnode2 -- node3\n"])


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        ("Conv2d(3, 8, stride=(1, 1))", "has no kernel_size"),
        ("Conv2d(2x6, 8, kernel_size=(3, 3))", "input channels is '2x6', it must be a whole"),
        ("Conv2d(3, 8, kernel_size=(a, 3))", "kernel_size is 'a', it must be a whole"),
        ("Conv2d(3, 8, kernel_size=(3, 3), groups=0)", "groups is '0', it must be a whole"),
        ("Conv2d(1e999, 8, kernel_size=(3, 3))", "input channels is '1e999'"),
        ("Conv2d()", "has no kernel_size"),
        ("Linear(features=3)", "in_features is '', it must be a whole"),
        ("Linear(in_features=-1)", "in_features is '-1', it must be a whole"),
    ],
)
def test_operators_without_their_sizes_are_refused(tmp_path, operator, words):
    """The file and the operator are named."""
    (tmp_path / "graph.txt").write_text(graph(operator))
    with pytest.raises(InputError, match=words) as caught:
        read_graph(tmp_path / "graph.txt", 2)
    assert str(caught.value).startswith(str(tmp_path / "graph.txt"))


@pytest.mark.parametrize(
    "text",
    [
        LINE.format("9" * 5000, "ReLU"),
        LINE.format(1, "ReLU") + f"\tnode{'9' * 5000} -- node1\n",
        LINE.format(1, "ReLU").replace("activation_size=8", "activation_size=1e999"),
        LINE.format(1, "ReLU").replace("activation_size=8", "activation_size=1_0"),
        LINE.format(1, "ReLU").replace("activation_size=8", f"activation_size=1{'0' * 400}"),
        LINE.format(1, "ReLU").replace("activation_size=8", "activation_size=[1e308;1e308]"),
    ],
)
def test_numbers_of_a_graph_are_numbers(text):
    """Of any length."""
    with pytest.raises(InputError):
        parse_graph(text)


def test_numbers_beyond_floats_are_refused():
    """In every part of a profile that is plain numbers."""
    with pytest.raises(InputError, match=r"coefficients\[0\]: is 1000.* give a finite number"):
        Curve("linear", (10**400, 1.0))
    with pytest.raises(InputError, match=r"low: is 1000.* give a finite number"):
        Interval(0.9, 10**400, 2.0, "x")


def test_control_characters_in_names_are_refused():
    """Of the profile, of a layer, of a machine."""
    document = load_profile("resnet18-imagenet").to_dict()
    for change, place in (
        ({"name": "a\x1b[2J"}, "name: is "),
        ({"layers": ["a\u202eb", *document["layers"][1:]]}, r"layers\[0\]: is "),
    ):
        with pytest.raises(InputError, match=f"{place}.*control character"):
            ModelProfile.from_dict({**document, **change}, "p.json")


@pytest.mark.parametrize("sign", [";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_layer_tables_of_all_spreadsheets(tmp_path, sign, mark):
    """A semicolon, a tab and a byte-order mark make no difference."""
    profile = load_profile("resnet18-imagenet")
    write_layer_csv(profile, tmp_path / "own.csv")
    first = read(tmp_path / "own.csv")
    text = (tmp_path / "own.csv").read_text().replace(",", sign)
    (tmp_path / "own.csv").write_text(mark + text, encoding="utf-8")
    assert read(tmp_path / "own.csv") == first
    (tmp_path / "own.csv").write_text(text.replace(".", ","), encoding="utf-8")
    with pytest.raises(InputError, match="decimal comma, write"):
        read(tmp_path / "own.csv")


def test_times_with_marks_and_semicolons(tmp_path):
    """As the layer tables."""
    profile = load_profile("resnet18-imagenet")
    rows = "".join("1;2;0,5\n" for _ in profile.layers)
    path = tmp_path / "net__pi.csv"
    path.write_bytes(b"\xef\xbb\xbf" + rows.replace(",", ".").encode())
    found = read(path, profile, batch=1)
    np.testing.assert_allclose(found.machines["pi"].update_s, 0.5e-3)
    path.write_text(rows)
    with pytest.raises(InputError, match=r"line 1, column 3: is '0,5'; it has a decimal comma"):
        read(path, profile, batch=1)


@pytest.mark.parametrize("value", [10**400, "1", None, True, [], float("inf")])
def test_events_of_a_trace_without_times_are_left_out(tmp_path, value):
    """So that a trace without any other has no layer."""
    profile = load_profile("resnet18-imagenet")
    layer = profile.layers[0]
    event = {"ph": "X", "name": layer, "cat": "user_annotation", "ts": 1, "dur": value, "tid": 1}
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": [event]}).replace("Infinity", "1e999"))
    with pytest.raises(InputError, match=r"no layer of|beyond all floating-point numbers"):
        read(path, profile, batch=1, machine="here")


@pytest.mark.parametrize("field", ["tid", "args", "cat"])
def test_events_of_a_trace_may_hold_anything(tmp_path, field):
    """Lists and objects where numbers and names belong end in one sentence, or are not used."""
    profile = load_profile("resnet18-imagenet")
    events = [
        {"ph": "X", "name": layer, "cat": "user_annotation", "ts": n, "dur": 1, "tid": 1}
        for n, layer in enumerate(profile.layers)
    ]
    events += [
        {
            "ph": "X", "name": "k", "cat": "kernel", "ts": 1, "dur": 1, "tid": 7,
            "args": {"correlation": [], "External id": {}, "Sequence number": "x"},
        },
        {"ph": "X", "name": "k", "cat": "cuda_runtime", "ts": 1, "dur": 1, "tid": []},
    ]  # fmt: skip
    for value in ([], {}, 10**300, "x", None, [[1]]):
        for event in events:
            changed = [{**one, field: value} if one is event else one for one in events]
            path = tmp_path / "trace.json"
            path.write_text(json.dumps({"traceEvents": changed}))
            try:
                read(path, profile, batch=1, machine="here")
            except InputError:
                continue
