"""Workload files of dnn-partitioning: what is read, their traps, and what is refused."""

import json
from pathlib import Path

import pytest

from splitopt import GraphPartition, InputError, load_problem, solve
from splitopt.bench.instances.library.graph_partition import WORKLOADS
from splitopt.cli.entry import run

NODE = {"supportedOnFpga": 1, "cpuLatency": 5.0, "fpgaLatency": 1.0, "isBackwardNode": 0}


def workload(**changes):
    found = {
        "maxSizePerFPGA": 10.0,
        "maxFPGAs": 2,
        "maxCPUs": 1,
        "nodes": [
            NODE | {"id": 7, "size": 1.0, "colorClass": 3},
            NODE | {"id": 2, "size": 2.0, "supportedOnFpga": False, "name": "host"},
            NODE | {"id": 5, "size": 3.0, "isBackwardNode": True, "colorClass": 3},
        ],
        "edges": [
            {"sourceId": 7, "destId": 2, "cost": 0.5, "size": 9},
            {"sourceId": 2, "destId": 5, "cost": 0.25},
            {"sourceId": 7, "destId": 5, "cost": 0.5},
        ],
    }
    return found | changes


def test_a_workload_becomes_the_problem(tmp_path):
    """Ids become positions; the cost of an output, at each of its edges, is read once."""
    path = tmp_path / "work.json"
    path.write_text(json.dumps(workload()))
    problem = GraphPartition.read(path)
    assert problem.edges.tolist() == [[0, 1], [1, 2], [0, 2]]
    assert problem.output_s.tolist() == [0.5, 0.25, 0.0]
    assert problem.classes[0] == problem.classes[2] != problem.classes[1]
    assert problem.cpu_only.tolist() == [False, True, False]
    assert problem.backward.tolist() == [False, False, True]
    assert (problem.accelerators, problem.cpus, problem.accelerator_memory_bytes) == (2, 1, 10)
    assert solve(path).objective == 5.0  # the host's node; 2 + .5 + .25 on the accelerator


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": []}, "nodes: must be a list of at least one node"),
        ({"nodes": 3}, "nodes: must be a list of at least one node"),
        ({"nodes": [3]}, r"nodes\[0\]: must be an object with the keys id"),
        ({"nodes": [NODE]}, r"nodes\[0\]: the field 'id' is missing"),
        ({"nodes": [NODE | {"id": 1.5}]}, r"nodes\[0\].id: is 1.5, it must be a whole number"),
        ({"nodes": [NODE | {"id": 1}] * 2}, r"nodes\[1\].id: is 1, as that of nodes\[0\]"),
        (
            {"nodes": [NODE | {"id": 7, "fpgaLatency": -1}], "edges": []},
            r"nodes\[0\].fpgaLatency: is -1.0",
        ),
        (
            {"nodes": [NODE | {"id": 7, "fpgaLatency": "1"}], "edges": []},
            r"fpgaLatency",
        ),
        (
            {"nodes": [NODE | {"id": 7, "isBackwardNode": 2}], "edges": []},
            r"nodes\[0\].isBackwardNode: is 2, it must be true or false",
        ),
        (
            {"nodes": [NODE | {"id": 7, "colorClass": "a"}], "edges": []},
            r"nodes\[0\].colorClass: is 'a'",
        ),
        ({"edges": 1}, "edges: must be a list"),
        (
            {"edges": [{"sourceId": 7, "destId": 9, "cost": 1}]},
            r"edges\[0\].destId: is 9, and no node has this id",
        ),
        ({"edges": [{"sourceId": 7, "destId": 2}]}, "the field 'cost' is missing"),
        (
            {"edges": [{"sourceId": 7, "destId": 2, "cost": None}]},
            r"edges\[0\].cost: is None, it must be a number",
        ),
        (
            {
                "edges": [
                    {"sourceId": 7, "destId": 2, "cost": 1.0},
                    {"sourceId": 7, "destId": 5, "cost": 2.0},
                ]
            },
            r"edges\[1\].cost: is 2, and 1 at edges\[0\] of the same source",
        ),
        (
            {
                "edges": [
                    {"sourceId": 7, "destId": 2, "cost": 1},
                    {"sourceId": 2, "destId": 7, "cost": 1},
                ]
            },
            "edges: have a circle",
        ),
        ({"maxFPGAs": 0}, "maxFPGAs: is 0"),
        ({"maxFPGAs": "six"}, "maxFPGAs: is 'six'"),
        ({"maxCPUs": 0.5}, "maxCPUs: is 0.5"),
        ({"maxSizePerFPGA": -1}, "maxSizePerFPGA: is -1"),
    ],
)
def test_damaged_workloads_are_refused_in_a_sentence(tmp_path, capsys, change, words):
    path = tmp_path / "work.json"
    path.write_text(json.dumps(workload(**change)))
    with pytest.raises(InputError, match=words):
        GraphPartition.read(path)
    assert run(["solve", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_what_is_no_workload_is_told_so(tmp_path):
    path = tmp_path / "work.json"
    for text in ("[]", "{}", '{"format": "splitopt-instance", "maxFPGAs": 1}'):
        path.write_text(text)
        with pytest.raises(InputError, match="is no workload of dnn-partitioning"):
            GraphPartition.read(path)
    path.write_text('{"maxFPGAs": 2, "nodes": [')
    with pytest.raises(InputError, match="is not JSON"):
        load_problem(path)
    with path.open("wb") as file:
        file.truncate(2**28 + 1)  # a hole; nothing is written
    with pytest.raises(InputError, match="is larger than 256 MiB"):
        load_problem(path)


def test_the_shipped_workloads_are_what_their_page_says():
    sizes = {
        path.stem: (problem.nodes, len(problem.edges), problem.accelerators, problem.cpus)
        for path in sorted(Path(WORKLOADS).glob("*.json"))
        for problem in [GraphPartition.read(path)]
    }
    assert sizes == {
        "bert24_training": (64, 110, 6, 1),
        "gnmt_inference": (96, 122, 6, 1),
        "inceptionv3_inference": (326, 363, 6, 1),
    }
    assert (WORKLOADS / "LICENSE").read_text().count("MIT License") == 1
