"""Changes of a pipeline whose effect on the optimum is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitopt import PipelinePartition, solve

MODELS = ("none", "uniform", "pairwise", "nic", "serial")
CASES = [(objective, model) for objective in ("period", "epoch") for model in MODELS]
EVERY = pytest.mark.parametrize(("objective", "model"), [("paper", "none"), *CASES])
SEEDS = st.integers(0, 10**6)
TRIES = settings(max_examples=5, deadline=None)


def draw(seed, objective, model, nodes=4, layers=8, **optional):
    """Draw a pipeline with room in memory for some of the partitions."""
    rng = np.random.default_rng(seed)
    memory = rng.uniform(1, 2, layers)
    links = {"model": model}
    if model != "none":
        shape = {"uniform": (), "pairwise": (nodes, nodes)}.get(model, (nodes,))
        band = rng.uniform(0.5, 4.0, shape)
        links |= {"bandwidth_bytes_per_s": band if shape else float(band), "latency_s": 0.25}
    return PipelinePartition(
        forward_s=rng.uniform(0.5, 2, (nodes, layers)),
        backward_s=rng.uniform(1, 4, (nodes, layers)),
        layer_memory_bytes=memory,
        node_memory_bytes=rng.uniform(1.2, 2.5, nodes) * memory.sum() / nodes,
        owners=1,
        objective=objective,
        cut_up_bytes=rng.uniform(0, 6, layers + 1),
        cut_down_bytes=rng.uniform(0, 6, layers + 1),
        links=links,
        batches=7,
        **optional,
    )


def changed(problem, **changes):
    return PipelinePartition.from_data(problem.data() | changes, problem.objective, "changed")


def optimum(problem):
    result = solve(problem, "subset_dp")
    assert result.outcome in ("optimal", "infeasible"), result.message
    return result.objective


def links_with(problem, **changes):
    return problem.links.to_dict() | changes


@pytest.mark.slow
@EVERY
@TRIES
@given(seed=SEEDS)
def test_permuting_nodes_changes_nothing(objective, model, seed):
    """With a free order it does not matter how the nodes are listed."""
    problem = draw(seed, objective, model)
    order = np.random.default_rng(seed).permutation(problem.nodes)
    band = problem.links.bandwidth_bytes_per_s
    changes = {}
    if model == "pairwise":
        changes["links"] = links_with(problem, bandwidth_bytes_per_s=band[np.ix_(order, order)])
    elif model in ("nic", "serial"):
        changes["links"] = links_with(problem, bandwidth_bytes_per_s=band[order])
    tables = ("forward_s", "backward_s", "node_memory_bytes")
    changes |= {name: getattr(problem, name)[order] for name in tables}
    assert optimum(changed(problem, **changes)) == pytest.approx(optimum(problem), rel=1e-12)


@pytest.mark.parametrize("seed", [1813, 2028])
def test_the_best_epoch_can_have_a_period_between_those_offered(seed):
    """On the way to the least period a chain may come by with a better epoch and a longer period.

    The best chain of all lies between the two, in period and in latency.
    """
    problem = draw(seed, "epoch", "none")
    assert optimum(problem) == pytest.approx(solve(problem, "enumerate").objective, rel=1e-12)


@pytest.mark.one_quick
@EVERY
@TRIES
@given(seed=SEEDS, factor=st.sampled_from([1e-6, 1e-3, 3.0, 3600.0]))
def test_another_unit_of_time_scales_the_optimum(objective, model, seed, factor):
    problem = draw(seed, objective, model)
    changes = {name: getattr(problem, name) * factor for name in ("forward_s", "backward_s")}
    if model != "none":
        band = problem.links.bandwidth_bytes_per_s / factor
        band = band if band.ndim else float(band)
        changes["links"] = links_with(problem, bandwidth_bytes_per_s=band, latency_s=0.25 * factor)
    expected = optimum(problem) * factor
    assert optimum(changed(problem, **changes)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.one_quick
@EVERY
@TRIES
@given(seed=SEEDS)
def test_turning_the_model_round_changes_nothing(objective, model, seed):
    """Layers backwards, with both directions swapped, make the same pipeline in reverse."""
    problem = draw(seed, objective, model)
    changes = {
        "forward_s": problem.forward_s[:, ::-1],
        "backward_s": problem.backward_s[:, ::-1],
        "layer_memory_bytes": problem.layer_memory_bytes[::-1],
        "cut_up_bytes": problem.cut_down_bytes[::-1],
        "cut_down_bytes": problem.cut_up_bytes[::-1],
    }
    changes = {name: np.ascontiguousarray(value) for name, value in changes.items()}
    assert optimum(changed(problem, **changes)) == pytest.approx(optimum(problem), rel=1e-12)


@pytest.mark.one_quick
@EVERY
@TRIES
@given(seed=SEEDS)
def test_a_node_that_need_not_be_used_never_hurts(objective, model, seed):
    """One more node lowers the optimum or leaves it; a node too small for any layer leaves it."""
    problem = draw(seed, objective, model, use_all_nodes=False)
    without = [0, 1, 2]
    band = problem.links.bandwidth_bytes_per_s
    changes = {
        name: getattr(problem, name)[without]
        for name in ("forward_s", "backward_s", "node_memory_bytes")
    }
    if model == "pairwise":
        changes["links"] = links_with(problem, bandwidth_bytes_per_s=band[:3, :3])
    elif model in ("nic", "serial"):
        changes["links"] = links_with(problem, bandwidth_bytes_per_s=band[:3])
    fewer = optimum(changed(problem, **changes))
    assert optimum(problem) <= fewer * (1 + 1e-12)
    useless = problem.node_memory_bytes.copy()
    useless[3] = 0.5  # less than any layer
    assert optimum(changed(problem, node_memory_bytes=useless)) == pytest.approx(fewer, rel=1e-12)


@pytest.mark.one_quick
@EVERY
@TRIES
@given(seed=SEEDS, factor=st.floats(1.01, 3.0))
def test_relaxing_anything_never_hurts(objective, model, seed, factor):
    problem = draw(seed, objective, model)
    here = optimum(problem) * (1 + 1e-12)
    assert optimum(changed(problem, node_memory_bytes=factor * problem.node_memory_bytes)) <= here
    assert optimum(changed(problem, forward_s=problem.forward_s / factor)) <= here
    assert optimum(changed(problem, use_all_nodes=False)) <= here
    assert optimum(changed(problem, order="given")) >= optimum(problem) * (1 - 1e-12)
    if model != "none":
        band = problem.links.bandwidth_bytes_per_s * factor
        wider = links_with(problem, bandwidth_bytes_per_s=band if band.ndim else float(band))
        assert optimum(changed(problem, links=wider)) <= here


@pytest.mark.one_quick
@EVERY
@TRIES
@given(seed=SEEDS)
def test_memory_and_owners_scale_together(objective, model, seed):
    problem = draw(seed, objective, model)
    more = changed(problem, owners=7, node_memory_bytes=7 * problem.node_memory_bytes)
    assert optimum(more) == optimum(problem)


@TRIES
@given(seed=SEEDS)
def test_the_objectives_are_ordered(seed):
    """The period is at most Eq. 3; an epoch is at least its batches at the best period."""
    problem = draw(seed, "period", "none")
    period = solve(problem)
    if period.outcome == "infeasible":
        return
    assert period.objective <= optimum(problem.with_objective("paper")) * (1 + 1e-12)
    epoch = solve(problem.with_objective("epoch"))
    assert epoch.objective >= problem.batches * period.objective * (1 - 1e-12)
    plan = problem.latency(period.decision) + (problem.batches - 1) * period.objective
    assert epoch.objective <= plan * (1 + 1e-12)


@pytest.mark.slow
@TRIES
@given(seed=SEEDS)
def test_links_without_limits_are_no_links(seed):
    """As bandwidth grows, every link model tends to none."""
    plain = draw(seed, "period", "none")
    for model in MODELS[1:]:
        shape = {"uniform": (), "pairwise": (4, 4)}.get(model, (4,))
        band = np.full(shape, 1e15) if shape else 1e15
        links = {"model": model, "bandwidth_bytes_per_s": band}
        assert optimum(changed(plain, links=links)) == pytest.approx(optimum(plain), rel=1e-9)
