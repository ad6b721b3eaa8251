"""`PipelinePartition`: values against loops over the definitions, files, and wrong input."""

from __future__ import annotations

import itertools
import json
import math
import re

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.problems.pipeline_partition import (
    Links,
    PipelinePartition,
    PipelinePartitionDecision,
)

MODELS = ("none", "uniform", "pairwise", "nic", "serial")

TWO_NODES = {
    "forward_s": [[2, 3, 1, 4, 2, 2], [4, 6, 2, 8, 4, 4]],
    "backward_s": [[4, 6, 2, 9, 4, 3], [8, 12, 4, 18, 8, 6]],
    "layer_memory_bytes": [1, 1, 1, 1, 1, 1],
    "node_memory_bytes": [100, 100],
    "owners": 1,
}
CUTS = {"cut_up_bytes": [5, 4, 3, 2, 1, 6, 7], "cut_down_bytes": [1, 2, 3, 1, 2, 3, 4]}


def two_nodes(objective="period", **changes):
    return PipelinePartition.from_data(TWO_NODES | changes, objective, "file")


@pytest.mark.one_quick
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("whole", [False, True])
def test_values_are_those_of_the_definitions(model, whole, pipeline, worked_by_hand):
    for seed in range(30):
        problem = pipeline(seed, nodes=3, layers=5, model=model, whole=whole)
        rng = np.random.default_rng(seed)
        for size in (1, 2, 3):
            ends = [0, *sorted(rng.choice(np.arange(1, 5), size - 1, replace=False)), 5]
            decision = PipelinePartitionDecision.of_chain(rng.permutation(3)[:size], ends)
            known = worked_by_hand(problem, decision.assignment)
            assert problem.evaluate(decision) == pytest.approx(known["period"], rel=1e-14)
            epoch = known["latency"] + (problem.batches - 1) * known["period"]
            if math.isfinite(known["period"]):
                assert problem.latency(decision) == pytest.approx(known["latency"], rel=1e-14)
                value = problem.with_objective("epoch").evaluate(decision)
                assert value == pytest.approx(epoch, rel=1e-14)
                assert problem.binding(decision)["busy_s"] == problem.evaluate(decision)
            else:
                assert "neighbours_without_link" in problem.violations(decision)
            if model == "none":
                value = problem.with_objective("paper").evaluate(decision)
                assert value == pytest.approx(known["paper"], rel=1e-14)


def test_the_known_instance():
    decision = PipelinePartitionDecision([1, 1, 0, 0, 0, 0])
    assert two_nodes().evaluate(decision) == 30
    assert two_nodes("paper").evaluate(decision) == 30
    assert two_nodes().latency(decision) == 30 + 27
    assert two_nodes().binding(decision) == {"kind": "node", "index": 1, "busy_s": 30}
    assert two_nodes().violations(decision) == {}


def test_the_binding_resource_may_be_a_link_or_an_interface():
    links = {"model": "pairwise", "bandwidth_bytes_per_s": [[0, 0.05], [0.1, 0]]}
    decision = PipelinePartitionDecision([1, 1, 0, 0, 0, 0])
    problem = two_nodes(**CUTS, links=links)
    expected = {"kind": "link", "between": [1, 0], "boundary": 2, "busy_s": 60.0}
    assert problem.binding(decision) == expected
    nic = two_nodes(**CUTS, links={"model": "nic", "bandwidth_bytes_per_s": [9, 0.1]})
    assert nic.binding(decision) == {"kind": "interface", "index": 1, "busy_s": 80.0}
    serial = two_nodes(**CUTS, links={"model": "serial", "bandwidth_bytes_per_s": [9, 0.1]})
    assert serial.binding(decision) == {"kind": "node", "index": 1, "busy_s": 110.0}


def test_violations_name_each_constraint_in_its_unit():
    problem = two_nodes(node_memory_bytes=[3, 100], owners=2, order="given")
    assert problem.violations(PipelinePartitionDecision([0, 0, 1, 1, 1, 1])) == {"memory_bytes": 1}
    assert problem.violations(PipelinePartitionDecision([1, 1, 1, 1, 1, 1])) == {"idle_nodes": 1}
    found = problem.violations(PipelinePartitionDecision([1, 1, 1, 1, 1, 0]))
    assert found == {"nodes_out_of_order": 1}
    scattered = PipelinePartitionDecision([0, 1, 1, 1, 1, 0])
    assert problem.violations(scattered) == {"scattered_layers": 1, "nodes_out_of_order": 1}
    assert problem.evaluate(scattered) == math.inf
    for odd, name in (([0, 1], "assignment_length"), ([0, 1, 1, 2, 2, 2], "assignment_outside_")):
        decision = PipelinePartitionDecision(odd)
        assert [key.startswith(name) for key in problem.violations(decision)] == [True]
        with pytest.raises(InputError, match=r"decision.assignment"):
            problem.evaluate(decision)


def test_memory_is_checked_with_the_tolerance_that_all_constraints_have():
    tight = two_nodes(layer_memory_bytes=[0.1] * 6, node_memory_bytes=[0.3, 0.3])
    assert 0.1 + 0.1 + 0.1 > 0.3
    assert tight.violations(PipelinePartitionDecision([0, 0, 0, 1, 1, 1])) == {}
    assert tight.infeasibility() is None


def test_zero_times_and_bytes_are_legal():
    zeros = PipelinePartition([[0.0, 0.0]], [[0.0, 0.0]], [0.0, 0.0], [0.0], 1)
    decision = PipelinePartitionDecision([0, 0])
    assert (zeros.evaluate(decision), zeros.violations(decision), zeros.bound()) == (0.0, {}, 0.0)
    links = {"model": "pairwise", "bandwidth_bytes_per_s": [[0, 0], [0, 0]]}
    assert two_nodes(links=links).violations(PipelinePartitionDecision([1, 1, 0, 0, 0, 0])) == {}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("model", MODELS)
def test_files_keep_everything(suffix, model, tmp_path, pipeline):
    for seed in range(4):
        problem = pipeline(seed, nodes=3, layers=4, model=model)
        path = tmp_path / f"x{suffix}"
        problem.save(path)
        if suffix == ".json":
            data = json.loads(path.read_text())["data"]
        else:
            from splitopt.problems.registry import _read_npz

            data = _read_npz(path)["data"]
        again = PipelinePartition.from_data(data, problem.objective, "x")
        assert again.to_document() == problem.to_document()
        assert again.links.to_dict().keys() == problem.links.to_dict().keys()


def test_decisions_are_read_strictly():
    problem = two_nodes()
    document = {"problem": "pipeline_partition", "assignment": [1, 1, 0, 0, 0, 0]}
    decision = problem.decode(document)
    assert decision.to_dict() == document
    with pytest.raises(ValueError, match="read-only"):
        decision.assignment[0] = 0
    for assignment in ([0, 0, 1], [0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0.5], [0, 0, 0, 1, 1, None]):
        with pytest.raises(InputError, match="assignment"):
            problem.decode({"assignment": assignment})


WRONG = [
    ({"forward_s": [[1, 2], [1, -2]]}, r"data\.forward_s\[1\]\[1\]: is -2.0, .* >= 0"),
    ({"backward_s": [[1] * 6, [1, 1, 1, 1, 1, math.nan]]}, r"backward_s\[1\]\[5\]: is nan"),
    ({"forward_s": [[1] * 6, [1, 1, 1, 1, 1, None]]}, r"forward_s\[1\]\[5\]: "),
    ({"forward_s": [[1] * 6, [1] * 5]}, "row 1 has 5 entries where row 0 has 6"),
    ({"backward_s": [[1] * 5] * 2}, "backward_s: is 2 x 5, it must be 2 x 6"),
    ({"layer_memory_bytes": [1] * 5}, "layer_memory_bytes: is 5, it must be 6"),
    ({"node_memory_bytes": [1]}, "node_memory_bytes: is 1, it must be 2"),
    ({"owners": 0}, "owners: is 0, it must be a whole number >= 1"),
    ({"owners": 1.5}, "owners: is 1.5"),
    ({"owners": True}, "owners: is True"),
    ({"cut_up_bytes": [1] * 6}, "cut_up_bytes: is 6, it must be 7"),
    ({"cut_down_bytes": [1] * 6 + [math.inf]}, r"cut_down_bytes\[6\]: is inf"),
    ({"order": "any"}, "order: is 'any', it must be 'free' or 'given'"),
    ({"use_all_nodes": 1}, "use_all_nodes: is 1, it must be true or false"),
    ({"batches": 0}, "batches: is 0"),
    ({"speed": 1}, "the field 'speed' is unknown"),
    ({"links": {"model": "mesh"}}, r"links\.model: is 'mesh'"),
    ({"links": {"bandwidth_bytes_per_s": 1}}, "links: the field 'model' is missing"),
    ({"links": {"model": "uniform"}}, "links: the model 'uniform' needs 'bandwidth_bytes_per_s'"),
    ({"links": {"model": "none", "latency_s": 1}}, r"links\.latency_s: does not go with"),
    (
        {"links": {"model": "uniform", "bandwidth_bytes_per_s": 0}},
        r"links\.bandwidth_bytes_per_s: is 0, it must be finite and above 0",
    ),
    (
        {"links": {"model": "nic", "bandwidth_bytes_per_s": [1, 0]}},
        r"links\.bandwidth_bytes_per_s\[1\]: is 0",
    ),
    (
        {"links": {"model": "pairwise", "bandwidth_bytes_per_s": [1, 2]}},
        r"links\.bandwidth_bytes_per_s: is 2, it must be 2 x 2",
    ),
    (
        {"links": {"model": "uniform", "bandwidth_bytes_per_s": 1, "duplex": "both"}},
        r"links\.duplex: is 'both'",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_wrong_input_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        two_nodes(**changes)


def test_the_objectives_say_what_they_need():
    with pytest.raises(InputError, match="batches: is missing"):
        two_nodes("epoch")
    links = {"model": "uniform", "bandwidth_bytes_per_s": 1}
    with pytest.raises(InputError, match="'paper', which knows no links"):
        two_nodes("paper", links=links)
    with pytest.raises(InputError, match="'paper', which knows no links"):
        two_nodes(links=links).with_objective("paper")
    with pytest.raises(InputError, match="objective is 'sum'"):
        two_nodes("sum")
    owner = {"model": "none", "owner_bandwidth_bytes_per_s": 2}
    assert two_nodes("paper", links=owner).links.owner_bandwidth_bytes_per_s == 2.0


INFEASIBLE = [
    ({"forward_s": [[1]] * 2, "backward_s": [[1]] * 2, "layer_memory_bytes": [1]}, "at most 1 "),
    ({"node_memory_bytes": [9, 9], "owners": 10}, r"6 of 6 layers fit no node .* at most 9 owners"),
    ({"node_memory_bytes": [0, 9]}, "nodes have not even the 1 byte of the smallest layer"),
    ({"node_memory_bytes": [3, 2]}, "which is 1 byte too little; 2 nodes with 3 byte"),
]


@pytest.mark.parametrize(("changes", "message"), INFEASIBLE)
def test_infeasible_problems_say_what_would_do(changes, message):
    problem = two_nodes(**changes)
    found = problem.infeasibility()
    assert found is not None
    assert re.search(message, found), found


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["period", "paper", "epoch"])
def test_the_bound_is_below_every_partition(objective, pipeline):
    tight = 0
    for seed in range(60):
        problem = pipeline(seed, 3, 4, objective=objective, whole=seed % 2 == 0)
        bound, best = problem.bound(), math.inf
        for assignment in itertools.product(range(3), repeat=4):
            decision = PipelinePartitionDecision(assignment)
            if not problem.violations(decision):
                best = min(best, problem.evaluate(decision))
        assert bound <= best * (1 + 1e-12)
        tight += bound > 0.5 * best
    assert tight > 10


def test_links_give_rates_between_all_pairs():
    links = Links.read({"model": "nic", "bandwidth_bytes_per_s": [3, 1, 2]}, 3)
    expected = [[math.inf, 1, 2], [1, math.inf, 1], [2, 1, math.inf]]
    assert links.rates.tolist() == expected
    assert Links.read(None, 2).to_dict() == {"model": "none"}
    assert (Links.read(None, 2).rates == math.inf).all()
