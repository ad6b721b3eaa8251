"""`counts_dp` at sizes beyond enumeration: against a plain recursion, and what it is told."""

from dataclasses import replace

import numpy as np
import pytest

from splitopt import CapabilityError, ReplicatedPipeline, solve
from splitopt.bench.instances.families.replicated_pipeline import BENCHMARK
from splitopt.problems.replicated_pipeline.stages import stage_of
from splitopt.solvers.replicated_pipeline.counts_dp import CountsDp

FAMILIES = [name for name in BENCHMARK.families if name != "infeasible"]


def drawn(family, seed=0, layers=9, devices=5):
    return BENCHMARK.families[family](seed=seed, layers=layers, devices=devices)


def best(problem, solver="counts_dp"):
    found = solve(problem, solver)
    assert found.outcome == "optimal"
    return found.objective


def recursion(problem):
    """Solve by the recursion as it stands in the documentation, with stages of the problem."""
    groups = [np.array(row) for row in np.ndindex(*(problem.devices + 1).tolist()) if sum(row)]
    choices = {"never": [False], "always": [True], "choose": [False, True]}[problem.recompute]
    value = {(problem.layers, (0,) * problem.types): 0.0}
    for i in range(problem.layers - 1, -1, -1):
        for behind in groups:
            least = np.inf
            for own in groups:
                if (own > behind).any() or own.sum() > problem.most_replicas:
                    continue
                rest = tuple((behind - own).tolist())
                for j in range(i + 1, problem.layers + 1):
                    if (after := value.get((j, rest), np.inf)) == np.inf:
                        continue
                    for again in choices:
                        stage = stage_of(problem, i, j, own, int(behind.sum()), again)
                        if stage.fits[own > 0].all():
                            least = min(least, max(stage.period_s, after))
            value[i, tuple(behind.tolist())] = least
    whole = tuple(problem.devices.tolist())
    if problem.use_all_devices:
        return value[0, whole]
    return min(found for (i, _), found in value.items() if i == 0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.one_quick
def test_the_recursion_as_it_stands_gives_the_same(family):
    problem = drawn(family, layers=6, devices=4)
    assert best(problem) == pytest.approx(recursion(problem), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.one_quick
def test_more_freedom_never_costs_more(family):
    problem = drawn(family)
    known = best(problem) * (1 + 1e-9)
    freer = [replace(problem, devices=problem.devices + 1)] if family != "whole" else []
    freer += [
        replace(problem, max_replicas=None),
        replace(problem, forward_s=problem.forward_s / 2),
    ]
    freer += [replace(problem, bandwidth_bytes_per_s=None), replace(problem, duplex="full")]
    freer += [replace(problem, memory_bytes=None, reserve_bytes=None)]
    freer += [replace(problem, optimizer_bytes=None), replace(problem, overlap=True)]
    for easier in freer:
        assert best(easier) <= known


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.one_quick
def test_other_units_and_another_order_of_types_change_nothing(family):
    problem = drawn(family)
    known = best(problem)
    slow = replace(
        problem,
        forward_s=1000 * problem.forward_s,
        backward_s=1000 * problem.backward_s,
        bandwidth_bytes_per_s=problem.rates / 1000,
    )
    assert best(slow) == pytest.approx(1000 * known, rel=1e-9)
    turned = {
        name: None if getattr(problem, name) is None else getattr(problem, name)[::-1]
        for name in ("forward_s", "backward_s", "devices", "bandwidth_bytes_per_s")
    }
    turned |= {
        name: None if getattr(problem, name) is None else getattr(problem, name)[::-1]
        for name in ("memory_bytes", "reserve_bytes")
    }
    assert best(replace(problem, **turned)) == pytest.approx(known, rel=1e-9)


def test_devices_of_one_type_may_be_told_apart():
    """Two types that are alike are one type."""
    problem = drawn("memory", devices=2)
    both = [0, 0, 1]
    fields = ("forward_s", "backward_s", "bandwidth_bytes_per_s", "memory_bytes", "reserve_bytes")
    apart = {name: getattr(problem, name)[both] for name in fields}
    counted = replace(problem, devices=np.array([2, 1]))
    assert best(replace(problem, devices=np.ones(3, dtype=np.int64), **apart)) == pytest.approx(
        best(counted), rel=1e-12
    )


def test_alike_devices_need_no_more_than_their_optimizer():
    problem = drawn("alike", layers=12)
    assert solve(problem, "alike_devices").objective == best(problem)
    mixed = drawn("types", layers=12, devices=6)
    assert solve(mixed, "alike_devices").objective > best(mixed)
    short = solve(drawn("plain", layers=12, devices=6), "alike_devices")
    assert short.outcome == "no_answer" or short.objective >= best(
        drawn("plain", layers=12, devices=6)
    )


def test_a_plan_to_start_from_is_the_answer_of_a_run_without_time():
    problem = drawn("memory", layers=40, devices=6)
    start = solve(problem).decision
    stopped = solve(problem, start=start, time_limit_s=0)
    assert stopped.objective == best(problem)


def test_too_many_states_are_refused_with_their_number():
    problem = drawn("types", layers=9, devices=6)
    with pytest.raises(CapabilityError, match="270 states, more than its limit of max_states = 20"):
        solve(problem, CountsDp(max_states=20))
    with pytest.raises(CapabilityError, match="216 pairs of groups of devices"):
        solve(problem, CountsDp(max_pairs=20))
    wide = ReplicatedPipeline(np.ones((3, 2)), np.ones((3, 2)), [300, 300, 300], 1)
    with pytest.raises(CapabilityError, match="states, more than its limit"):
        solve(wide, "counts_dp")


def test_no_answer_says_what_may_help():
    problem = replace(drawn("gpipe"), recompute="never", memory_bytes=np.full(3, 40.0))
    result = solve(problem)
    assert result.outcome == "infeasible"
    assert "recompute: choose" in result.message
    assert "the schedule 1f1b" in result.message
    forced = ReplicatedPipeline([[1.0]], [[1.0]], [3], 1, max_replicas=2, use_all_devices=True)
    assert "3 devices must all be used" in solve(forced).message
    heavy = replace(drawn("types"), memory_bytes=np.full(3, 1.0))
    assert "beside its reserve" in solve(heavy).message


@pytest.mark.slow
@pytest.mark.parametrize("family", ["plain", "memory"])
def test_a_hundred_layers_on_ten_devices_are_proved(family):
    """Of three types, with replicas and without; twice the same."""
    problem = drawn(family, layers=100, devices=10)
    one, two = solve(problem), solve(problem)
    assert one.outcome == two.outcome == "optimal"
    assert one.objective == two.objective == pytest.approx(problem.evaluate(one.decision))
