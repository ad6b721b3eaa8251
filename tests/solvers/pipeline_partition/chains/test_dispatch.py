"""`subset_dp` with links, from the driver: outcomes, refusals, and what must not change a value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt import solve
from splitopt.errors import CapabilityError
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.solvers.pipeline_partition.backends import Highs
from splitopt.solvers.pipeline_partition.enumeration import Enumerate
from splitopt.solvers.pipeline_partition.subset_dp import SubsetDp

LINKED = ("uniform", "pairwise", "nic", "serial")


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["period", "epoch"])
@pytest.mark.parametrize("model", LINKED)
def test_it_agrees_with_enumeration(model, objective, linked):
    rng = np.random.default_rng(17)
    for _ in range(8):
        problem = replace(linked(rng, model, "half", use_all_nodes=False), objective=objective)
        wanted, found = solve(problem, Enumerate()), solve(problem)
        assert found.solver == "subset_dp"
        assert (found.outcome, found.stop_reason) == (wanted.outcome, "proved")
        if found.decision is None:
            assert found.message
            continue
        assert found.objective == pytest.approx(wanted.objective, rel=1e-12)
        if objective == "period":
            latencies = [problem.latency(r.decision) for r in (found, wanted)]
            assert latencies[0] == pytest.approx(latencies[1], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["uniform", "nic", "serial"])
def test_an_integer_program_agrees_on_a_medium_size(model):
    """Four nodes, fourteen layers, by HiGHS."""
    problem = medium(model)
    wanted, found = solve(problem, Highs()), solve(problem)
    assert found.outcome == "optimal"
    assert found.objective == pytest.approx(wanted.objective, rel=1e-7)


def medium(model, nodes=4, layers=14, **changes):
    """Return a pipeline in which transfers and computing weigh about the same."""
    rng = np.random.default_rng(23)
    links = {"model": model, "bandwidth_bytes_per_s": rng.uniform(0.3, 0.9, nodes)}
    if model == "uniform":
        links["bandwidth_bytes_per_s"] = 0.4
    if model == "pairwise":
        links["bandwidth_bytes_per_s"] = rng.uniform(0.2, 0.9, (nodes, nodes))
    fields = {
        "forward_s": rng.uniform(1, 2, (nodes, layers)),
        "backward_s": rng.uniform(1, 2, (nodes, layers)),
        "layer_memory_bytes": np.ones(layers),
        "node_memory_bytes": np.full(nodes, float(layers)),
        "owners": 1,
        "cut_up_bytes": rng.uniform(0, 5, layers + 1),
        "cut_down_bytes": rng.uniform(0, 5, layers + 1),
        "links": links,
        "batches": 9,
    }
    return PipelinePartition(**fields | changes)


@pytest.mark.one_quick
@pytest.mark.parametrize("objective", ["period", "epoch"])
@pytest.mark.parametrize("model", LINKED)
def test_what_must_not_change_the_value(model, objective):
    """Names of nodes, the direction of the chain, units of time; idle nodes and rates only help."""
    problem = medium(model, objective=objective)
    value = solve(problem).objective
    links, shuffle = problem.links.to_dict(), np.array([2, 0, 3, 1])

    def again(**changes):
        return solve(replace(problem, **changes)).objective

    def with_rates(rates):
        return {**links, "bandwidth_bytes_per_s": rates}

    rates = np.asarray(links["bandwidth_bytes_per_s"])
    mixed = rates[np.ix_(*[shuffle] * rates.ndim)] if rates.ndim else float(rates)
    renamed = again(
        forward_s=problem.forward_s[shuffle],
        backward_s=problem.backward_s[shuffle],
        links=with_rates(mixed),
    )
    assert renamed == pytest.approx(value, rel=1e-12)
    turned = again(
        forward_s=problem.forward_s[:, ::-1],
        backward_s=problem.backward_s[:, ::-1],
        cut_up_bytes=problem.cut_down_bytes[::-1],
        cut_down_bytes=problem.cut_up_bytes[::-1],
        links=links,
    )
    assert turned == pytest.approx(value, rel=1e-12)
    slower = again(
        forward_s=8 * problem.forward_s,
        backward_s=8 * problem.backward_s,
        links=with_rates(rates / 8 if rates.ndim else float(rates) / 8),
    )
    assert slower == pytest.approx(8 * value, rel=1e-12)
    faster = again(links=with_rates(2 * rates if rates.ndim else 2 * float(rates)))
    assert faster <= value * (1 + 1e-12)
    assert again(use_all_nodes=False) <= value * (1 + 1e-12)
    assert again(order="given") >= value * (1 - 1e-12)


def test_equal_nodes_are_one_kind_also_with_links():
    """30 nodes of three kinds, which would be 10^9 sets if they counted one by one."""
    rng = np.random.default_rng(2)
    kind = np.arange(30) % 3
    rates = rng.uniform(0.5, 2, (3, 3))[np.ix_(kind, kind)]
    for model, rate in (("pairwise", rates), ("nic", rates[0]), ("uniform", 1.0)):
        work = rng.uniform(1, 2, 100) / np.array([1.0, 2.0, 4.0])[kind][:, None]
        problem = PipelinePartition(
            work, work, np.ones(100), np.full(30, 50.0), 1, "period",
            rng.uniform(0, 1, 101), rng.uniform(0, 1, 101),
            {"model": model, "bandwidth_bytes_per_s": rate},
        )  # fmt: skip
        result = solve(problem)
        assert result.outcome == "optimal"
        assert problem.bound() <= result.objective


def test_too_many_states_are_refused_in_words():
    problem = medium("pairwise", nodes=9, layers=20)
    with pytest.raises(CapabilityError, match=r"4,608 pairs of used nodes .* max_states = 4,000"):
        solve(problem, SubsetDp(max_states=4000))
    many = medium("pairwise", nodes=200, layers=4000, order="given", use_all_nodes=False)
    with pytest.raises(CapabilityError, match="80,024,001 transfer times of pairs"):
        solve(many, SubsetDp())
