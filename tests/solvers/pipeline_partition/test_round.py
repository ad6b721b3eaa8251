"""The objective ``round`` against all partitions, worked out here from the definitions alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from splitopt import load_problem, solve
from splitopt.errors import InputError
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.solvers.pipeline_partition.backends import Gurobi, Highs, PyomoGurobi, Scip

MODELS = ("none", "uniform", "pairwise", "nic", "serial")
PARTS = ("first_forward_s", "last_s", "first_backward_s")
MOVES = ("to_first_s", "from_last_s", "to_last_s", "from_first_s")


def draw(rng, model, *, layers=6, nodes=3):
    """Draw data of an instance, as in its file; some numbers are whole, so that there are ties."""
    whole = rng.random() < 0.3

    def some(*shape):
        values = rng.uniform(0.2, 3.0, shape)
        return np.round(values) if whole else values

    band = {"uniform": (), "pairwise": (nodes, nodes), "nic": (nodes,), "serial": (nodes,)}
    links = {"model": model}
    if model != "none":
        rate = 4 * rng.uniform(0.3, 3.0, band[model])
        links["bandwidth_bytes_per_s"] = rate if rate.ndim else float(rate)
        links["latency_s"] = float(rng.choice([0.0, 0.4]))
        links["duplex"] = str(rng.choice(["full", "half"]))
    groups = int(rng.integers(1, 4))
    scale = 10 ** rng.uniform(-1.3, 1.7)  # from owners who are quick to owners who are the limit
    count, batches = rng.integers(1, 4, groups), rng.integers(1, 9, groups)
    owners = {"count": count, "batches": batches, "shared": bool(rng.integers(2))}
    owners |= {key: scale * some(groups) for key in (*PARTS, *MOVES, "upload_s", "download_s")}
    owners |= {"latency_s": float(rng.choice([0.0, 0.3])), "aggregate_s": float(rng.integers(2))}
    return {
        "forward_s": some(nodes, layers),
        "backward_s": some(nodes, layers),
        "layer_memory_bytes": rng.uniform(0.5, 1.5, layers),
        "node_memory_bytes": count.sum() * rng.uniform(2.0, 7.0, nodes),
        "owners": int(count.sum()),
        "cut_up_bytes": 4 * some(layers + 1),
        "cut_down_bytes": 4 * some(layers + 1),
        "links": links,
        "order": str(rng.choice(["free", "free", "given"])),
        "use_all_nodes": bool(rng.integers(2)),
        "owner_groups": owners,
    }


def chains(data):
    """List all chains as (nodes, boundaries)."""
    nodes, layers = data["forward_s"].shape
    arrange = itertools.combinations if data["order"] == "given" else itertools.permutations
    for size in range(nodes if data["use_all_nodes"] else 1, nodes + 1):
        for chain in arrange(range(nodes), size):
            for inner in itertools.combinations(range(1, layers), size - 1):
                yield chain, (0, *inner, layers)


def round_of(data, chain, ends):
    """Work out the round of a chain, infinite where it does not fit."""
    links, up, down = data["links"], data["cut_up_bytes"], data["cut_down_bytes"]
    model, half = links["model"], links.get("duplex") == "half"
    band = np.asarray(links.get("bandwidth_bytes_per_s", np.inf))
    own_card = model in ("nic", "serial")
    busy, trip = [], 0.0
    for m, node in enumerate(chain):
        a, b = ends[m], ends[m + 1]
        if data["owners"] * data["layer_memory_bytes"][a:b].sum() > data["node_memory_bytes"][node]:
            return math.inf
        work = data["forward_s"][node, a:b].sum() + data["backward_s"][node, a:b].sum()
        trip += work
        if own_card:
            received, sent = up[a] + down[b], down[a] + up[b]
            talk = (received + sent if half else max(received, sent)) / band[node]
            busy += [work + talk] if model == "serial" else [work, talk]
        else:
            busy.append(work)
        if m and model != "none":
            before = chain[m - 1]
            there, back = band, band
            if model == "pairwise":
                there, back = band[before, node], band[node, before]
            if own_card:
                there = back = min(band[before], band[node])
            moved = up[a] / there, down[a] / back
            trip += sum(moved) + 2 * links["latency_s"]
            if not own_card:
                busy.append(sum(moved) if half else max(moved))
    owners = data["owner_groups"]
    slow = dict.fromkeys(MOVES, 0.0)
    if own_card:
        first, last = band[chain[0]], band[chain[-1]]
        slow = {
            "to_first_s": up[0] / first,
            "from_first_s": down[0] / first,
            "from_last_s": up[-1] / last,
            "to_last_s": down[-1] / last,
        }
    people = []  # one entry per owner: batches, trip, upload, download, busy uplink and downlink
    for g, number in enumerate(owners["count"]):
        own = sum(owners[key][g] for key in PARTS) + 4 * owners["latency_s"]
        own += sum(max(owners[key][g], slow[key]) for key in MOVES)
        there = owners["to_first_s"][g] + owners["to_last_s"][g]
        back = owners["from_last_s"][g] + owners["from_first_s"][g]
        row = (owners["batches"][g], own + trip, owners["upload_s"][g], owners["download_s"][g])
        people += [(*row, there, back)] * number
    batches, trips, uploads, downloads, there, back = map(np.array, zip(*people, strict=True))
    total = batches.sum()
    if owners["shared"]:
        busy += [(batches * there).sum() / total, (batches * back).sum() / total]
    full = trips.mean() + (total - 1) * max(busy)
    sent = uploads.sum() if owners["shared"] else uploads.mean()
    end = sent + owners["aggregate_s"] + downloads.sum() + 2 * owners["latency_s"]
    ends = uploads.any() or downloads.any() or owners["aggregate_s"]
    return max(full, (batches * trips).max()) + (end if ends else 0.0)


def best_of(data):
    """Return the least round of all chains."""
    return min((round_of(data, *chain) for chain in chains(data)), default=math.inf)


def check(data, solver):
    problem = PipelinePartition(**data, objective="round")
    least = best_of(data)
    result = solve(problem, solver)
    if math.isinf(least):
        assert result.outcome == "infeasible"
        return None
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(least, rel=1e-9)
    chain = result.decision.chain
    assert round_of(data, chain.nodes, chain.boundaries) == pytest.approx(least, rel=1e-9)
    assert problem.bound() <= least * (1 + 1e-12)
    return problem


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(12))
def test_the_round_is_the_best_of_all_partitions(model, seed):
    data = draw(np.random.default_rng([seed, MODELS.index(model)]), model)
    check(data, "subset_dp")
    if seed < 4:
        check(data, "enumerate")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_the_round_is_the_best_of_all_partitions_of_many(model):
    for seed in range(150):
        rng = np.random.default_rng([7, seed, MODELS.index(model)])
        check(
            draw(rng, model, layers=int(rng.integers(3, 8)), nodes=int(rng.integers(1, 5))), "auto"
        )


@pytest.mark.parametrize("model", ["nic", "serial"])
def test_ends_of_the_chain_are_chosen_for_the_owners(model):
    """A slow interface at an end delays every batch of an owner with a fast link."""
    data = draw(np.random.default_rng(0), model, layers=3)
    data |= {"forward_s": np.ones((3, 3)), "backward_s": np.ones((3, 3)), "order": "free"}
    data |= {"use_all_nodes": True, "node_memory_bytes": np.full(3, 1e9)}
    data |= {key: np.array([4.0, 0.1, 0.1, 4.0]) for key in ("cut_up_bytes", "cut_down_bytes")}
    data["links"] |= {"bandwidth_bytes_per_s": np.array([0.1, 10.0, 20.0]), "latency_s": 0.0}
    data["owner_groups"] |= {key: np.zeros(len(data["owner_groups"]["count"])) for key in MOVES}
    problem = check(data, "subset_dp")
    assert solve(problem).decision.chain.nodes[1] == 0


@pytest.mark.parametrize("solver", [Highs(), Scip(), Gurobi(), PyomoGurobi()], ids=lambda s: s.name)
def test_the_integer_program_has_the_round(solver):
    for seed, model in enumerate(("none", "uniform", "uniform", "serial")):
        data = draw(np.random.default_rng([3, seed]), model, layers=5)
        if model == "serial":
            data["links"]["bandwidth_bytes_per_s"] = np.full(3, 2.0)
        least = best_of(data)
        result = solve(PipelinePartition(**data, objective="round"), solver)
        if math.isinf(least):
            assert result.outcome == "infeasible"
        else:
            assert result.objective == pytest.approx(least, rel=1e-6)
            assert result.bound <= least * (1 + 1e-6)


def test_the_integer_program_refuses_interfaces_that_differ():
    data = draw(np.random.default_rng(1), "nic")
    problem = PipelinePartition(**data, objective="round")
    with pytest.raises(InputError, match="interfaces of different rates"):
        problem.to_pyomo()


@pytest.mark.slow
def test_order_search_bounds_and_finds_rounds():
    data = draw(np.random.default_rng(5), "nic", layers=6, nodes=4)
    data |= {"order": "free", "node_memory_bytes": np.full(4, 1e9)}
    result = solve(PipelinePartition(**data, objective="round"), "order_search")
    least = best_of(data)
    assert result.bound <= least * (1 + 1e-9)
    assert result.objective >= least * (1 - 1e-9)
    assert result.objective == pytest.approx(least, rel=0.05)


def test_what_the_owners_add_survives_a_file(tmp_path):
    data = draw(np.random.default_rng(2), "nic")
    problem = PipelinePartition(**data, objective="round")
    decision = PipelinePartitionDecision.of_chain([0, 1, 2], [0, 2, 4, 6])
    for name in ("a.json", "a.npz"):
        problem.save(tmp_path / name)
        again = load_problem(tmp_path / name)
        assert again.evaluate(decision) == problem.evaluate(decision)
        assert again.objective == "round"
