"""`GraphPartition` against values worked out by hand, its files, and its wrong input."""

import json

import numpy as np
import pytest

from splitopt import GraphPartition, InputError, load_problem, solve
from splitopt.problems.digest import instance_digest

DIAMOND = {
    "accelerator_s": [1.0, 2.0, 3.0, 1.0],
    "output_s": [0.5, 0.25, 0.25, 7.0],
    "edges": [[0, 1], [0, 2], [1, 3], [2, 3]],
    "accelerators": 2,
}


def diamond(**fields):
    return GraphPartition(**(DIAMOND | fields))


def place(problem, *device):
    return problem.decode({"device": list(device)})


def test_loads_are_work_and_each_output_once_per_side():
    """Node 0's output is needed by device 1, as is node 1's; node 3's is needed by nobody."""
    problem = diamond()
    found = problem.loads(place(problem, 0, 0, 1, 1))
    assert found.tolist() == [1 + 2 + 0.5 + 0.25, 3 + 1 + 0.5 + 0.25]
    assert problem.evaluate(place(problem, 0, 0, 1, 1)) == 4.75
    assert problem.evaluate(place(problem, 0, 0, 0, 0)) == 7


def test_an_output_costs_its_sender_once_however_many_receive_it():
    problem = GraphPartition([1.0] * 3, [0.5, 0.0, 0.0], [[0, 1], [0, 2]], 3)
    assert problem.loads(place(problem, 0, 1, 2)).tolist() == [1.5, 1.5, 1.5]
    assert problem.loads(place(problem, 0, 1, 1)).tolist() == [1.5, 2.5, 0.0]


def test_a_cpu_pays_no_communication():
    """Its own time counts alone; the accelerator pays for both outputs that come from there."""
    problem = diamond(cpus=1, cpu_s=[9.0, 2.0, 9.0, 9.0])
    assert problem.loads(place(problem, 0, 2, 0, 0)).tolist() == [5 + 0.5 + 0.25, 0.0, 2.0]


def test_what_a_decision_breaks_is_counted():
    problem = diamond(
        memory_bytes=[4.0, 4.0, 4.0, 4.0],
        accelerator_memory_bytes=8.0,
        cpus=1,
        cpu_s=[1.0] * 4,
        colour_classes=[0, -1, -1, 0],
        cpu_only=[False, True, False, False],
    )
    assert problem.violations(place(problem, 0, 2, 1, 0)) == {"circular_devices": 3}
    assert problem.violations(place(problem, 0, 0, 0, 1)) == {
        "accelerator_memory_bytes": 4.0,
        "split_classes": 1,
        "cpu_only_nodes": 1,
    }
    assert problem.violations(place(problem, 2, 2, 2, 2)) == {}


def test_data_must_not_flow_back():
    """0 -> 1 -> 2 with 0 and 2 together, and 1 elsewhere."""
    chain = GraphPartition([1.0] * 3, [0.0] * 3, [[0, 1], [1, 2]], 2)
    assert chain.violations(place(chain, 0, 1, 0)) == {"circular_devices": 2}
    assert chain.violations(place(chain, 1, 1, 0)) == {}


def test_backward_nodes_go_where_their_class_goes():
    """The backward pass flows back; only an orphan has a place of its own, by mirror image."""
    edges = [[0, 1], [1, 2], [2, 3]]  # two layers forward, two backward
    fields = {"accelerator_s": [1.0] * 4, "output_s": [1.0] * 4, "edges": edges}
    fields |= {"accelerators": 2, "backward": [False, False, True, True]}
    mates = GraphPartition(**fields, colour_classes=[0, 1, 1, 0])
    assert mates.violations(place(mates, 0, 1, 1, 0)) == {}
    assert mates.order.tolist() == [[0, 1]]
    assert mates.loads(place(mates, 0, 1, 1, 0)).tolist() == [2 + 1 + 1, 2 + 1 + 1]
    orphan = GraphPartition(**fields, colour_classes=[0, 1, 1, -1])
    assert orphan.order.tolist() == [[0, 1], [3, 2]]
    assert orphan.violations(place(orphan, 0, 1, 1, 0)) == {}
    assert orphan.violations(place(orphan, 0, 0, 0, 1)) == {}
    three = GraphPartition(**(fields | {"accelerators": 3}), colour_classes=[0, 1, 1, -1])
    assert three.violations(place(three, 1, 2, 2, 0)) == {}


def test_open_nodes_follow_their_class():
    problem = diamond(colour_classes=[5, -1, -1, 5])
    assert problem.complete([1, 0, 0, -1]).device.tolist() == [1, 0, 0, 1]
    with pytest.raises(InputError, match=r"device\[1\]: is open, and no node of its class"):
        problem.complete([1, -1, 0, -1])


def test_the_bound_is_in_closed_form():
    """Work over devices; with a CPU, half as fast as an accelerator at best; a large node."""
    assert diamond().bound() == pytest.approx(3.5)
    cpu = diamond(cpus=1, cpu_s=[9.0, 4.0, 9.0, 9.0])
    assert cpu.bound() == pytest.approx(max(7 / (2 + 0.5), 3.0))
    assert GraphPartition([8.0, 1.0], [0.0] * 2, [[0, 1]], 2).bound() == pytest.approx(8.0)


@pytest.mark.parametrize("end", ["json", "npz"])
def test_files_hold_the_same_instance(tmp_path, end):
    for fields in (
        {},
        {"edges": []},
        {
            "cpus": 1,
            "cpu_s": [1.0] * 4,
            "memory_bytes": [1.0] * 4,
            "accelerator_memory_bytes": 3.0,
            "colour_classes": [0, -1, 0, -1],
            "backward": [False, False, False, True],
            "cpu_only": [True, False, False, False],
        },
    ):
        problem = diamond(**fields)
        problem.save(tmp_path / f"one.{end}")
        again = load_problem(tmp_path / f"one.{end}")
        assert instance_digest(again) == instance_digest(problem)
        assert solve(again, "enumerate").objective == solve(problem, "enumerate").objective


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"edges": [[0, 1], [1, 2], [2, 0]]}, "edges: have a circle: .*->.*drop one"),
        ({"edges": [[1, 1]]}, "circle: 1 -> 1"),
        ({"edges": [[0, 4]]}, r"edges\[0\]\[1\]: is 4, which is no node; .* from 0 to 3"),
        ({"edges": [[0, 0.5]]}, r"edges\[0\]\[1\]: is 0.5, which is no node"),
        ({"edges": [[0, -1]]}, r"edges\[0\]\[1\]: is -1.0, it must be finite and >= 0"),
        ({"edges": [0, 1]}, "edges: is 2, it must be"),
        ({"edges": {}}, "edges: must be a list"),
        ({"output_s": [0.5, -0.25, 0.25, 7]}, r"output_s\[1\]: is -0.25"),
        ({"output_s": [0.5, 0.25, 0.25]}, "output_s: is 3, it must be 4"),
        ({"accelerator_s": [1, 2, float("nan"), 1]}, r"accelerator_s\[2\]: is nan"),
        ({"accelerator_s": []}, "accelerator_s: "),
        ({"accelerator_s": [0.0] * 50_001}, "has 50,001 nodes, a problem has at most 50,000"),
        ({"accelerators": 0}, "accelerators: is 0, it must be a whole number >= 1"),
        ({"accelerators": 2000}, "accelerators: is 2,000, a problem has at most 1,000"),
        ({"cpus": 1}, "cpu_s: is missing, and there are CPUs"),
        ({"cpus": -1}, "cpus: is -1"),
        ({"accelerator_memory_bytes": 1.0}, "memory_bytes: is missing"),
        ({"colour_classes": [0, 1, 2]}, "colour_classes: has 3 entries"),
        ({"colour_classes": [0, 1, 2, -2]}, r"colour_classes\[3\]: is -2"),
        ({"backward": [True, False, False, False]}, "from the backward node 0 to the forward"),
        ({"backward": [0, 0, 2, 0]}, "backward: must hold only true and false"),
        ({"accelerator_s": [1e300] * 4, "output_s": [1e300] * 4}, None),
        ({"objective": "latency"}, "objective is 'latency', it must be 'load'"),
    ],
)
def test_wrong_input_is_named(fields, words):
    if words is None:  # large, and still within what sums can hold
        assert diamond(**fields).bound() > 1e300
        return
    with pytest.raises(InputError, match=words):
        diamond(**fields)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"device": [0, 1, 2, 0]}, r"decision.device\[2\]: is 2; .*, from 0 to 1"),
        ({"device": [0, 1]}, "has 2 entries, it needs 4"),
        ({"device": 3}, "decision.device: must be a list"),
        ({}, "the field 'device' is missing"),
    ],
)
def test_wrong_decisions_are_named(document, words):
    with pytest.raises(InputError, match=words):
        diamond().decode(document)


def test_why_nothing_fits_is_said():
    """A class above the memory, all nodes above all memories, a node for a CPU without one."""
    sizes = {"memory_bytes": [2.0, 2.0, 2.0, 2.0]}
    one = diamond(**sizes, accelerator_memory_bytes=3.0, colour_classes=[0, -1, -1, 0])
    assert "node 0 and what must stay with it take 4 byte" in solve(one).message
    both = solve(diamond(**sizes, accelerator_memory_bytes=3.9))
    assert (both.outcome, both.stop_reason) == ("infeasible", "proved")
    assert "all nodes take 8 byte, and 2 accelerators have 7.8 byte together" in both.message
    only = solve(diamond(cpu_only=[False, True, False, False]))
    assert "node 1 runs on a CPU only, and there is none" in only.message
    with_cpu = diamond(**sizes, accelerator_memory_bytes=1.0, cpus=1, cpu_s=[1.0] * 4)
    assert solve(with_cpu).objective == 4  # all of it on the CPU


def test_a_scenario_without_accelerators_is_refused():
    with pytest.raises(InputError, match=r"accelerators: there are none"):
        GraphPartition.from_scenario("digits-splitfed")


def test_instance_files_are_checked(tmp_path):
    """An unknown field, a wrong value in the file: one sentence with its place."""
    document = diamond().to_document()
    document["data"]["edges"][0] = [0, 9]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"bad.json: data.edges\[0\]\[1\]: is 9, which is no node"):
        load_problem(path)
    document = diamond().to_document()
    document["data"]["color_classes"] = [0, 0, 0, 0]
    with pytest.raises(InputError, match=r"'color_classes' is unknown.*colour_classes"):
        GraphPartition.from_data(document["data"], "load")


def test_arrays_are_kept_as_they_were_given():
    times = np.ones(4)
    problem = diamond(accelerator_s=times)
    times[0] = 9
    assert problem.accelerator_s[0] == 1
