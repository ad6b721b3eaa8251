"""The decentralised optimum: equal to what enumeration finds, from masked sums alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from splitopt import CapabilityError, CutAndResources, InputError, Scenario, solve
from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.price_consensus import Consensus, PriceConsensus
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Coordinator


def overheard(problem, **options):
    """Run with a listener to all messages."""
    heard = []
    search = Search(problem, None, 1e-9, 0)
    run = Consensus(PriceConsensus(**options), problem, search, heard.append)
    run.run()
    return run, search, heard


@pytest.mark.parametrize("seed", range(12))
def test_reaches_the_optimum_of_enumeration(random_problem, seed):
    """On every kind of small instance the certified answer is the best of all vectors of cuts."""
    devices, decades = 2 + seed % 4, (2.0, 8.0)[seed % 2]
    problem = random_problem(seed, devices, 5, masked=seed % 3 == 0, decades=decades)
    best = solve(problem, "enumerate").objective
    result = solve(problem, "price_consensus")
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(best, rel=1e-9)
    assert result.bound <= best * (1 + 1e-12)
    assert result.gap <= 1e-9


@pytest.mark.parametrize(("devices", "layers", "seed"), [(10, 8, 1), (40, 8, 2), (120, 6, 3)])
def test_agrees_with_the_exact_solver(random_problem, devices, layers, seed):
    """At sizes beyond enumeration both certify the same value."""
    problem = random_problem(seed, devices, layers, masked=True)
    exact, own = solve(problem, "exact"), solve(problem, "price_consensus")
    assert (exact.outcome, own.outcome) == ("optimal", "optimal")
    assert own.objective == pytest.approx(exact.objective, rel=2e-9)


def test_the_published_setting():
    """DP-MORA's section 7.2 with ResNet-18: the optimum of the sum is 211,966.6 s."""
    problem = CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))
    result = solve(problem, "price_consensus")
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(211_966.6, abs=0.05)
    assert problem.latencies(result.decision).max() == pytest.approx(36_020.7, abs=0.05)


def test_branching_is_needed_and_counted(random_problem):
    """Where rounding leaves a gap, branching messages close it."""
    problem = random_problem(1, 2, 8)
    rounded = solve(problem, "price_consensus", branching=False)
    assert (rounded.outcome, rounded.stop_reason) == ("feasible", "converged")
    assert rounded.details["root_gap"] > 1e-3
    closed = solve(problem, "price_consensus")
    assert closed.outcome == "optimal"
    assert closed.details["nodes"] > 0
    assert closed.details["messages_by_kind"]["exclude"] == closed.details["nodes"]


def test_private_numbers_are_never_seen_in_the_clear(random_problem):
    """The coordinator gets masked numbers, revealed cuts and yes or no: no root, no seconds."""
    problem = random_problem(1, 6, 8)
    run, search, heard = overheard(problem)
    assert search.gap <= 1e-9
    assert search.details["nodes"] > 0
    to_coordinator = [m for m in heard if m.kind in run.channel.log.seen_by("coordinator")]
    assert {name for m in to_coordinator for name in m.fields} == {"masked", "cut", "left"}
    masked = {value for m in to_coordinator for value in m.fields.get("masked", ())}
    secrets = {
        run.solver.code.encode(float(v))
        for v in (*problem.roots.ravel(), *problem.device_s.ravel())
    }
    assert len(masked) == 4 * sum(m.kind == "answer" for m in to_coordinator)
    assert not masked & secrets
    clear = [value for m in to_coordinator for value in np.ravel(m.fields.get("cut", ()))]
    assert clear
    assert all(value in range(1, problem.layers + 1) for value in clear)


def test_the_coordinator_reaches_devices_through_the_channel_only(random_problem):
    """It holds no data of a device, and the channel lets only known messages pass."""
    run, _, _ = overheard(random_problem(0, 3, 4))
    assert isinstance(run.coordinator, Coordinator)
    kinds = {type(value).__name__ for value in vars(run.coordinator).values()}
    assert kinds == {"Channel", "FixedPoint", "int", "Plan", "SumMeasure"}
    with pytest.raises(ValueError, match="has the fields"):
        run.channel.ask(0, "reveal", {"rounds": (1,), "roots": ()})
    with pytest.raises(KeyError):
        run.channel.ask(0, "tell_all", {})


def test_without_branching_only_sums_are_seen(random_problem):
    """The root bound and the rounded plan need no cut to be known to the coordinator."""
    result = solve(random_problem(1, 6, 8), "price_consensus", branching=False)
    assert result.details["coordinator_saw"] == {"answer": ["masked"]}
    assert result.details["server_saw"] == {"plan": ["cut", "shares"]}


def test_messages_and_bytes_by_hand(random_problem):
    """One round: N calls, N answers, and N + N messages to adopt the plan."""
    n = 7
    result = solve(random_problem(0, n, 4), "price_consensus", max_rounds=1)
    assert result.stop_reason == "iterations"
    assert result.details["rounds"] == result.iterations == 1
    assert result.details["messages"] == 4 * n
    call, answer, adopt, plan = 1 + 4, 1 + 4 * 16, 1 + 4 + 3 * 8, 1 + 2 + 3 * 8
    assert result.details["message_bytes"] == n * (call + answer + adopt + plan)


@pytest.mark.parametrize("bits", [0, 2, 5, 10, 64])
def test_rounding_never_overstates_the_bound(random_problem, bits):
    """However coarse the masked numbers, the bound holds and the plan is feasible."""
    for seed in range(4):
        problem = random_problem(seed, 4, 4)
        best = solve(problem, "enumerate").objective
        result = solve(problem, "price_consensus", fraction_bits=bits)
        assert result.is_feasible
        assert result.bound <= best * (1 + 1e-12)
        assert result.objective >= best * (1 - 1e-12)
        if bits == 64:
            assert result.gap <= 1e-9


def test_the_seed_changes_masks_and_nothing_else(random_problem):
    """Masks cancel, so that the answer and its path do not depend on them."""
    problem = random_problem(3, 8, 6)
    first, second = (solve(problem, "price_consensus", seed=seed) for seed in (0, 1))
    assert first.decision.to_dict() == second.decision.to_dict()
    assert first.details == second.details


def test_no_time_gives_the_first_plan(random_problem):
    """A time limit of 0 still ends with a feasible plan."""
    result = solve(random_problem(0, 30, 8), "price_consensus", time_limit_s=0)
    assert (result.outcome, result.stop_reason) == ("feasible", "time")


def test_an_interrupt_adopts_the_best_plan(random_problem):
    """Ctrl-C in the middle of the work keeps what the devices have agreed on."""

    def press(progress):
        if progress.iterations > 2:
            raise KeyboardInterrupt

    result = solve(random_problem(1, 6, 8), "price_consensus", callback=press)
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")
    assert result.details["rounds"] > 2


def test_what_it_refuses(random_problem):
    """One device has nobody to hide behind; sums that do not fit are named; so is the makespan."""
    with pytest.raises(CapabilityError, match="at least 2 devices"):
        solve(random_problem(0, 1, 4), "price_consensus")
    problem = random_problem(0, 3, 4)
    large = dataclasses.replace(problem, device_s=problem.device_s * 1e19)
    with pytest.raises(CapabilityError, match="larger unit"):
        solve(large, "price_consensus")
    assert solve(large, "price_consensus", fraction_bits=40).outcome == "optimal"
    with pytest.raises(CapabilityError, match="makespan"):
        solve(problem.with_objective("makespan"), "price_consensus")


@pytest.mark.parametrize(
    "options",
    [
        {"max_rounds": 0},
        {"roundings": -1},
        {"neighbours": 1},
        {"fraction_bits": 128},
        {"branching": "yes"},
    ],
)
def test_options_out_of_range(options):
    """A wrong option is named with its value."""
    with pytest.raises(InputError, match=next(iter(options))):
        PriceConsensus(**options)
