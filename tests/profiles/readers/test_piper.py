"""Workloads of Piper, held against hand-computed numbers and against the graphs they come from."""

from __future__ import annotations

import copy
import json
from importlib.resources import files

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import load_profile, read, read_graph
from splitopt.profiles.readers.graph_file import parse_graph

PIPEDREAM = files("splitopt") / "profiles" / "data" / "pipedream"


def tmpcs(seconds, weights=0.0, kept=0.0, again=None):
    """Return the ways to run a layer on one device."""
    plain = {
        "id": "vanilla", "timePerSample": seconds, "parameterSize": weights,
        "memoryUsageA": kept, "memoryUsageB": 2 * weights, "syncTimeFw": {}, "syncTimeBw": {},
    }  # fmt: skip
    recomputing = {**plain, "id": "activation recomp", "timePerSample": again}
    return {"1": [plain] if again is None else [plain, recomputing]}


def edge(source, target, size):
    return {"sourceId": source, "destId": target, "communicationCost": size}


WORKLOAD = {
    "maxDevices": 2, "maxMemoryPerDevice": 1e9, "bandwidth": 1e9, "mbsInBatch": 8,
    "nodes": [
        {"id": 3, "name": "tensor", "TMPCs": tmpcs(0.0, kept=80.0, again=0.0)},
        {"id": 7, "name": "conv", "TMPCs": tmpcs(6.0, 40.0, 160.0, again=8.0)},
        {"id": 1, "TMPCs": tmpcs(3.0, 0.0, 160.0, again=4.5)},
        {"id": 9, "name": "head", "TMPCs": tmpcs(9.0, 8.0, 20.0, again=13.0)},
    ],
    "edges": [edge(3, 7, 80.0), edge(7, 1, 160.0), edge(1, 9, 20.0)],
}  # fmt: skip
"""An input and three layers in a row; milliseconds and bytes of a micro-batch of 4."""


@pytest.fixture
def write(tmp_path):
    def write(change=None, **keys):
        document = copy.deepcopy(WORKLOAD) | keys
        if change is not None:
            change(document)
        (tmp_path / "small.json").write_text(json.dumps(document))
        return tmp_path / "small.json"

    return write


def test_a_workload_by_hand(write):
    """A second forward pass takes 2, 1.5 and 4 ms more; 4 samples share all that is sent."""
    profile = read(write(), batch=4, unit="ms")
    assert profile.layers == ("conv-7", "layer-1", "head-9")
    times = profile.machines["gpu"]
    np.testing.assert_allclose(times.forward_s, [0.5e-3, 0.375e-3, 1e-3], rtol=1e-12)
    np.testing.assert_allclose(times.backward_s, [1e-3, 0.375e-3, 1.25e-3], rtol=1e-12)
    assert profile.smashed_bytes.tolist() == profile.gradient_bytes.tolist() == [40.0, 5.0, 0.0]
    assert profile.layer_parameter_bytes.tolist() == [40.0, 0.0, 8.0]
    assert profile.device_memory_fixed_bytes.tolist() == [80.0, 80.0, 96.0]
    assert profile.layer_saved_bytes.tolist() == [40.0, 40.0, 5.0]
    assert profile.device_memory_per_sample_bytes.tolist() == [40.0, 80.0, 85.0]
    assert profile.work_unit == "none"
    seconds = read(write(), batch=4, unit="s", machine="a100").machines["a100"]
    np.testing.assert_allclose(seconds.forward_s, 1e3 * times.forward_s, rtol=1e-12)


def test_a_third_where_nothing_says_the_forward_pass(write):
    """One layer without the second TMPC, or one that gains by computing more, is enough."""
    alone = write(lambda found: found["nodes"][3].update(TMPCs=tmpcs(9.0, 8.0, 20.0)))
    profile = read(alone, batch=1, unit="ms")
    np.testing.assert_allclose(profile.machines["gpu"].forward_s, [2e-3, 1e-3, 3e-3], rtol=1e-12)
    np.testing.assert_allclose(profile.machines["gpu"].total_s, [6e-3, 3e-3, 9e-3], rtol=1e-12)
    assert any("a third" in note for note in profile.provenance.notes)
    faster = write(lambda found: found["nodes"][1].update(TMPCs=tmpcs(6.0, 40.0, 160.0, again=5.0)))
    again = read(faster, batch=1, unit="ms").machines["gpu"]
    assert again.forward_s.tolist() == profile.machines["gpu"].forward_s.tolist()


def of_pipedream(text):
    """Return the workload of a graph of PipeDream, as Piper's authors made theirs of one."""
    graph = parse_graph(text)
    nodes, edges = [], []
    for place, node in enumerate(graph.nodes):
        both, kept = node.forward_s + node.backward_s, node.activation_bytes
        ways = tmpcs(both, node.parameter_bytes, kept, again=both + node.forward_s)
        nodes.append({"id": place, "name": f"node{node.number}", "TMPCs": ways})
        edges += [
            edge(feed, place, graph.nodes[feed].activation_bytes) for feed in graph.feeds[place]
        ]
    first = len(nodes)
    for place, taken in enumerate(graph.inputs):
        if taken is not None:
            nodes.append({"id": len(nodes), "name": "tensor", "TMPCs": tmpcs(0.0, again=0.0)})
            edges.append(edge(nodes[-1]["id"], place, taken))
    assert len(nodes) > first
    return {**WORKLOAD, "nodes": nodes, "edges": edges}


@pytest.mark.parametrize("boundaries", ["cuts", "prefixes", "graph"])
@pytest.mark.parametrize("model", ["alexnet", "squeezenet1_0"])
def test_what_was_made_of_a_graph_is_that_graph(tmp_path, model, boundaries):
    """Times, bytes and cuts are those that the reader of PipeDream's own file finds."""
    source = PIPEDREAM / f"{model}.graph.txt"
    (tmp_path / "made.json").write_text(json.dumps(of_pipedream(source.read_text())))
    found = read(tmp_path / "made.json", batch=64, unit="s", boundaries=boundaries)
    known = read_graph(source, 64, boundaries=boundaries)
    assert found.layer_count == known.layer_count
    for column in ("smashed_bytes", "gradient_bytes", "device_model_bytes"):
        np.testing.assert_allclose(getattr(found, column), getattr(known, column), rtol=1e-9)
    for column in ("forward_s", "backward_s"):
        ours, theirs = (getattr(one.machines["gpu"], column) for one in (found, known))
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    if boundaries == "graph":
        assert found.graph.edges.tolist() == known.graph.edges.tolist()
        np.testing.assert_allclose(found.graph.output_bytes, known.graph.output_bytes, rtol=1e-9)


def test_an_output_of_two_sizes(write):
    """The largest counts, and the profile says so."""

    def branch(found):
        found["edges"].append(edge(7, 9, 200.0))

    profile = read(write(branch), batch=4, unit="ms", boundaries="prefixes")
    assert profile.smashed_bytes.tolist() == [50.0, 55.0, 0.0]
    assert any("of 1 layers or inputs state different sizes" in x for x in profile.provenance.notes)


def test_what_the_file_does_not_say_must_be_said(write):
    path = write()
    for said in ({}, {"batch": 4}, {"unit": "ms"}):
        with pytest.raises(InputError, match="is a workload of Piper; say for how many samples"):
            read(path, **said)
    with pytest.raises(InputError, match="unit: is 'min'; choose one of s, ms"):
        read(path, batch=4, unit="min")
    with pytest.raises(InputError, match="batch: is 0; give a whole number >= 1"):
        read(path, batch=0, unit="s")
    assert load_profile(path, batch=4, unit="ms") == read(path, batch=4, unit="ms")
    with pytest.raises(InputError, match="batch and unit are of a file"):
        load_profile("vgg19-cifar", batch=4)


def way(found, node=1):
    return found["nodes"][node]["TMPCs"]["1"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("edges"), "edges"),
        (lambda d: d["nodes"][1].pop("id"), r"nodes\[1\]: .*id"),
        (lambda d: d["nodes"][1].update(id=3), r"nodes\[1\].id: is 3, which stands there before"),
        (lambda d: d["nodes"][1].update(id="x"), r"nodes\[1\].id: is 'x'; give a whole number"),
        (lambda d: way(d).pop("memoryUsageA"), r"nodes\[1\].TMPCs.1\[0\]: .*memoryUsageA"),
        (lambda d: way(d).update(timePerSample=-1), r"TMPCs.1\[0\].timePerSample: is -1"),
        (lambda d: way(d).update(syncTimeFw=[]), r"TMPCs.1\[0\].syncTimeFw: must be an object"),
        (lambda d: way(d).update(id="activation recomp"), "which stands there before"),
        (lambda d: way(d).update(id="plain"), "call the one without recomputation 'vanilla'"),
        (
            lambda d: d["nodes"][1].update(TMPCs={"2": []}),
            r"nodes\[1\].TMPCs: has none for 1 device",
        ),
        (lambda d: d["edges"].append(edge(1, 5, 1)), r"edges\[3\].destId: is 5, and no node"),
        (lambda d: d["edges"].append(edge(1, 9, 1)), r"edges\[3\]: leads from 1 to 9 as one"),
        (lambda d: d["edges"].append(edge(9, 7, 1)), "circle"),
        (lambda d: d["edges"][0].update(communicationCost="x"), r"edges\[0\].communicationCost"),
        (lambda d: d.update(edges={}), "edges: must be a list"),
        (lambda d: d["edges"].append(edge(3, 9, 80.0)), "take boundaries='prefixes'"),
    ],
)
def test_a_spoiled_workload_is_refused(write, change, words):
    """By one sentence with the file and the place."""
    path = write(change)
    with pytest.raises(InputError, match=words) as caught:
        read(path, batch=4, unit="ms")
    assert str(caught.value).startswith(str(path))
