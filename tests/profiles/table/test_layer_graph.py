"""The edges of a profile: checked, written and read back."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from splitopt import InputError, load_profile
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.layer_graph import LayerGraph, joined


def graph(**changes):
    """Return a diamond with changes."""
    given = {
        "edges": [[0, 1], [0, 2], [1, 3], [2, 3]],
        "output_bytes": [4.0, 2.0, 2.0, 0.0],
        "gradient_bytes": [4.0, 2.0, 0.0, 0.0],
        "together": [[1, 2]],
    }
    return LayerGraph(**{**given, **changes})


def test_a_graph_is_written_and_read_back():
    """Plain data, a copy by pickle, and what the problem takes of it."""
    found = graph(edges=[[2, 3], [0, 1], [0, 2], [1, 3], [0, 1]])
    assert found.edges.tolist() == [[0, 1], [0, 2], [1, 3], [2, 3]]
    assert LayerGraph.from_dict(found.to_dict()).to_dict() == found.to_dict()
    assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
    assert not found.edges.flags.writeable
    assert found.colour_classes() == [-1, 0, 0, -1]
    assert "together" not in graph(together=()).to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": [[0, 1], [1, 0]]}, r"edges\[1\]: leads from layer 1 to layer 0.*no circle"),
        ({"edges": [[2, 2]]}, "leads from layer 2 to layer 2"),
        ({"edges": [[0, 4]]}, "names 4, which is no layer; they are numbered 0 to 3"),
        ({"edges": [[0, -1]]}, "names -1, which is no layer"),
        ({"edges": [[0, 1.5]]}, "names 1.5, which is no layer"),
        ({"edges": [[0, True]]}, "names True"),
        ({"edges": [[0, 1, 2]]}, r"edges\[0\]: is .*a pair of layers"),
        ({"edges": "0 1"}, "edges: must be a list of pairs"),
        ({"edges": 3}, "edges: must be a list of pairs"),
        ({"output_bytes": [1.0, -1.0, 0, 0]}, "output_bytes: entry 2 is -1"),
        ({"output_bytes": 5}, "output_bytes: must be a list"),
        ({"gradient_bytes": [1.0]}, "gradient_bytes: has 1 numbers"),
        ({"gradient_bytes": [1.0, float("nan"), 0, 0]}, "gradient_bytes: entry 2 is nan"),
        ({"together": [[1]]}, r"together\[0\]: is .*two or more layers"),
        ({"together": [[1, 9]]}, "names 9, which is no layer"),
        ({"together": [[1, 2], [2, 3]]}, r"together\[1\]: names a layer that stands there before"),
        ({"together": "12"}, "together: must be a list of lists"),
    ],
)
def test_what_is_no_graph_is_refused(changes, message):
    """A circle, an edge to nowhere, and values of other kinds: one sentence with the place."""
    with pytest.raises(InputError, match=message):
        graph(**changes)


def test_keys_of_the_document_are_checked():
    """An unknown and a missing key."""
    document = graph().to_dict()
    with pytest.raises(InputError, match="graph: has the unknown key 'colour'"):
        LayerGraph.from_dict({**document, "colour": 1})
    with pytest.raises(InputError, match="graph: lacks 'edges'"):
        LayerGraph.from_dict({key: document[key] for key in ("output_bytes", "gradient_bytes")})


def test_a_profile_has_a_graph_of_its_own_layers():
    """Of another number of layers it is refused; the file keeps it."""
    profile = load_profile("pipedream-alexnet", boundaries="graph")
    assert profile.graph is not None
    document = profile.to_dict()
    assert ModelProfile.from_dict(copy.deepcopy(document), "file") == profile
    with pytest.raises(InputError, match="graph: has 4 layers, but the profile has"):
        replace(profile, graph=graph())
    document["graph"]["edges"][0] = [3, 1]
    with pytest.raises(InputError, match=r"file: graph.edges\[0\]"):
        ModelProfile.from_dict(document, "file")


def test_groups_that_share_a_layer_are_one():
    """Joined again and again, and a layer alone is no group."""
    assert joined([[0, 1], [2, 3], [1, 2], [5], [7, 6]]) == ((0, 1, 2, 3), (6, 7))
    assert joined([]) == ()


@pytest.mark.parametrize("model", ["inception_v3", "resnet50"])
def test_a_graph_of_pipedream_keeps_its_edges(model):
    """Its tensors by prefix are those that the edges leave behind, input data aside."""
    profile = load_profile(f"pipedream-{model}", boundaries="graph")
    graph, prefixes = profile.graph, load_profile(f"pipedream-{model}", boundaries="prefixes")
    assert np.isclose(profile.layer_parameter_bytes.sum(), prefixes.layer_parameter_bytes.sum())
    last = np.arange(len(graph))
    for start, end in graph.edges:
        last[start] = max(last[start], end)
    alive = [
        sum(graph.output_bytes[v] for v in range(cut + 1) if last[v] > cut)
        for cut in range(len(graph) - 1)
    ]
    assert np.allclose(alive, profile.gradient_bytes[:-1])
