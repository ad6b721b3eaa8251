"""PipeDream's graphs: cuts against reachability, bytes and work against hand counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitopt.errors import InputError
from splitopt.profiles import load_profile, profile_names, read_graph
from splitopt.profiles.published.pipedream import pipedream_names, pipedream_profile
from splitopt.profiles.readers.graph_file import parse_graph

DIAMOND = [
    "node1 -- Input -- 5, 0, 800, 0",
    "node2 -- Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1)) -- 1, 2, 1600, 288",
    "node3 -- ReLU(inplace) -- 1, 1, 1600, 0",
    "node4 -- Conv2d(4, 4, kernel_size=(1, 1), groups=2) -- 2, 3, 1600, 32",
    "node5 -- MaxPool2d(kernel_size=2) -- 3, 4, 1600, 0",
    "node6 -- Add(inplace) -- 1, 1, 1600, 0",
    "node7 -- Linear(in_features=40, out_features=5, bias=True) -- 4, 5, 200, 820",
]
EDGES = [(1, 2), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6), (6, 7)]
KEYS = ("forward_compute_time", "backward_compute_time", "activation_size", "parameter_size")


def node_line(line):
    head, _, values = line.rpartition(" -- ")
    pairs = zip(KEYS, values.split(", "), strict=True)
    return f"{head} -- " + ", ".join(f"{key}={value}" for key, value in pairs)


def text_of(nodes=DIAMOND, edges=EDGES):
    lines = [node_line(line) for line in nodes]
    return "\n".join([*lines, *(f"\tnode{a} -- node{b}" for a, b in edges)]) + "\n"


@pytest.fixture
def diamond(tmp_path):
    path = tmp_path / "diamond.graph.txt"
    path.write_text(text_of())
    return path


def reaches(graph, without):
    """Whether data still reaches an output if one node is taken away, by walking the edges."""
    after = {place: [] for place in range(len(graph.nodes))}
    start = []
    for place, feeds in enumerate(graph.feeds):
        for feed in feeds:
            after[feed].append(place)
        if not feeds or graph.inputs[place] is not None:
            start.append(place)
    seen, stack = set(), [place for place in start if place != without]
    while stack:
        place = stack.pop()
        if place not in seen:
            seen.add(place)
            stack += [other for other in after[place] if other != without]
    return bool(seen & set(graph.outputs()))


def cuts_by_deletion(graph):
    return [place for place in range(len(graph.nodes)) if not reaches(graph, place)]


@given(st.integers(0, 10**9), st.integers(2, 12))
def test_cut_nodes_are_those_whose_loss_disconnects(seed, size):
    """On random graphs with several sources and sinks, against deleting node after node."""
    rng = np.random.default_rng(seed)
    edges = [(a, b) for a in range(size) for b in range(a + 1, size) if rng.random() < 0.3]
    edges += [(a, a + 1) for a in range(size - 1) if rng.random() < 0.6]
    names = ["Input" if place == 0 else "Add" for place in range(size)]
    lines = [
        f"node{place} -- {name} -- {rng.integers(0, 2)}, 0, {rng.integers(1, 9)}, 0"
        for place, name in enumerate(names)
    ]
    graph = parse_graph(text_of(lines, sorted(set(edges))))
    assert graph.cut_nodes() == cuts_by_deletion(graph)


@pytest.mark.parametrize("name", pipedream_names())
def test_cuts_of_the_shipped_graphs(name):
    """The same on real graphs, and nothing is lost in collapsing them."""
    from importlib import resources

    model = name.removeprefix("pipedream-")
    file = resources.files("splitopt.profiles") / "data" / "pipedream" / f"{model}.graph.txt"
    graph = parse_graph(file.read_text(encoding="utf-8"))
    assert graph.cut_nodes() == cuts_by_deletion(graph)
    for boundaries in ("cuts", "prefixes"):
        profile = pipedream_profile(name, boundaries)
        times = profile.machines["gpu"]
        batch = 128 if model in ("vgg16", "resnet50", "inception_v3") else 256
        assert batch * times.forward_s.sum() == pytest.approx(
            sum(node.forward_s for node in graph.nodes)
        )
        assert profile.device_model_bytes[-1] == sum(node.parameter_bytes for node in graph.nodes)
        assert times.measured.all()
    assert name in profile_names()
    assert load_profile(name).provenance.license == "MIT"
    before_the_end = [place for place in graph.cut_nodes() if place < len(graph.nodes) - 1]
    assert load_profile(name).layer_count == len(before_the_end) + 1


@pytest.mark.parametrize(
    ("model", "parameters", "gmac"),
    [
        ("alexnet", 61_100_840, 0.715),
        ("vgg16", 138_357_544, 15.5),
        ("resnet50", 25_557_032, 4.1),
        ("squeezenet1_0", 1_248_424, 0.82),
    ],
)
def test_totals_are_the_well_known_ones(model, parameters, gmac):
    """Parameters to the last one and the GMACs that are printed for torchvision's models."""
    profile = load_profile(f"pipedream-{model}")
    assert profile.device_model_bytes[-1] == 4 * parameters
    assert profile.device_forward_flop[-1] / 2e9 == pytest.approx(gmac, rel=0.01)


def test_the_diamond_by_hand(diamond):
    """Layers end behind nodes 2, 3, 6 and 7; the branches between 3 and 6 are one layer."""
    profile = read_graph(diamond, 10, machine="board")
    assert profile.layers == ("Conv2d-2", "ReLU-3", "Add-6", "Linear-7")
    times = profile.machines["board"]
    np.testing.assert_allclose(times.forward_s, np.array([1, 1, 6, 4]) / 1e4)
    np.testing.assert_allclose(times.backward_s, np.array([2, 1, 8, 5]) / 1e4)
    np.testing.assert_allclose(profile.smashed_bytes, [160, 160, 160, 0])
    np.testing.assert_allclose(profile.layer_parameter_bytes, [288, 0, 32, 820])
    np.testing.assert_allclose(profile.layer_output_bytes, [160, 160, 160, 20])
    # values: 40 from every operator but the last, which has 5; the data has 20
    macs = [40 * 2 * 9, 40, 40 * 4 / 2 + 40, 5 * 40]
    np.testing.assert_allclose(profile.device_forward_flop, 2 * np.cumsum(macs))
    # conv: the data; ReLU: its result; branches: that result once and the indices; linear: input
    np.testing.assert_allclose(profile.layer_saved_bytes, [80, 160, 160 + 320, 160])
    # behind one another the branches find the result kept; Add lies in node 4's storage
    np.testing.assert_allclose(profile.device_memory_per_sample_bytes, [80, 240, 560, 720])


def test_prefixes_carry_all_live_tensors(diamond):
    """Behind node 4 the results of 3 and 4 cross, behind 5 those of 4 and 5."""
    profile = read_graph(diamond, 10, boundaries="prefixes")
    assert profile.layer_count == 6
    np.testing.assert_allclose(profile.smashed_bytes, [160, 160, 320, 320, 160, 0])
    np.testing.assert_allclose(profile.gradient_bytes, profile.smashed_bytes)


def test_data_that_is_needed_later_goes_along(tmp_path):
    """A second branch from the input forbids the cut, and as a prefix it carries the input."""
    path = tmp_path / "two.graph.txt"
    path.write_text(text_of(edges=[*EDGES, (1, 6)]))
    assert read_graph(path, 10).layers == ("Add-6", "Linear-7")
    fine = read_graph(path, 10, boundaries="prefixes")
    np.testing.assert_allclose(fine.smashed_bytes, [240, 240, 400, 400, 160, 0])
    np.testing.assert_allclose(fine.gradient_bytes, [160, 160, 320, 320, 160, 0])


def test_tuples_unused_items_and_unknown_operators(tmp_path):
    """Sizes of a tuple add up; an item that nobody takes is no output; no work is made up."""
    nodes = [
        "node1 -- Input0 -- 0, 0, 0, 0",
        "node2 -- hidden -- 0, 0, 0, 0",
        "node3 -- LSTM(8, 8) -- 1, 2, [100.0; 20.0; 20.0], 40",
        "node4 -- __getitem__(0) -- 0, 0, 100, 0",
        "node5 -- __getitem__(1) -- 0, 0, 20, 0",
        "node6 -- Linear(in_features=8, out_features=2, bias=True) -- 1, 1, 10, 8",
    ]
    path = tmp_path / "lstm.graph.txt"
    path.write_text(text_of(nodes, [(1, 3), (2, 3), (3, 4), (3, 5), (4, 6), (2, 6)]))
    profile = read_graph(path, 1)
    assert profile.layers == ("LSTM-3", "__getitem__-4", "Linear-6")
    np.testing.assert_allclose(profile.smashed_bytes, [140, 100, 0])
    assert profile.work_unit == "none"
    assert profile.layer_saved_bytes is None
    assert any("LSTM cannot be counted" in note for note in profile.provenance.notes)
    with pytest.raises(InputError, match=r"has no work, only measured times; name a machine \(gpu"):
        profile.layer_work()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: "", "has no nodes"),
        (lambda t: "nonsense\n" + t, "line 1: is neither a node nor an edge: 'nonsense'"),
        (lambda t: t + t.splitlines()[1] + "\n", "line 15: node2 stands twice"),
        (lambda t: t + "\tnode7 -- node9\n", "line 15: there is no node9"),
        (lambda t: t + "\tnode6 -- node2\n", "node2 is part of a circle"),
        (lambda t: t.replace("time=2", "time=-2", 1), "line 2: backward_compute_time is '-2'"),
        (lambda t: t.replace("time=2", "time=nan", 1), "line 2: .*finite and >= 0"),
        (lambda t: t.replace("size=1600", "size=big", 1), "line 2: activation_size is 'big'"),
        (lambda t: t.replace(", parameter_size=288", ""), "line 2: node2 has no parameter_size"),
        (lambda t: t + "\tnode1 -- node7\n", "it can be cut nowhere with one tensor"),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, words):
    """One sentence with the line."""
    path = tmp_path / "bad.graph.txt"
    path.write_text(change(text_of()))
    with pytest.raises(InputError, match=words) as caught:
        read_graph(path, 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"boundaries": "all"}, "boundaries: is 'all'"), ({"batch_size": 0}, "batch_size: is 0")],
)
def test_wrong_options_are_refused(diamond, options, words):
    """The batch is at least one sample, and there are two kinds of boundaries."""
    with pytest.raises(InputError, match=words):
        read_graph(diamond, **{"batch_size": 10, **options})
