"""Rounds that wait for a quorum, simulated and trained: against latencies by the formula."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import Scenario, plan, simulate
from splitopt.planning.planner import open_plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.report.following import robust_facts
from splitopt.report.training import summarize_training
from splitopt.simulation.replay import simulate_decision
from splitopt.training.history import History
from tests.robust_cases import robust_problem, slowed_latencies

LEFT = "Not waited for, and nothing learnt of"


def drawn(objective, quorum, *, left=()):
    """Return a problem of five devices with cuts and shares at random, some devices left out."""
    problem = robust_problem(2, 5, 3, objective, 0, quorum, "both")
    rng = np.random.default_rng(7)
    share = rng.uniform(0.2, 1.0, (5, 3))
    share[list(left)] = 0.0
    return problem, problem.decision_of(rng.integers(1, 4, 5), share / share.sum(axis=0))


@pytest.mark.parametrize("left", [(), (1,), (0, 3)])
@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_a_round_ends_with_the_last_that_is_waited_for(quorum, left):
    """The Q-th smallest latency of a makespan; of a sum the slowest of the best set of Q."""
    for objective in ("makespan", "sum"):
        problem, decision = drawn(objective, quorum, left=left)
        latency = slowed_latencies(problem, decision, np.zeros(5))
        found = simulate_decision(problem, decision)
        # without slow devices the Q least of a sum are the Q first of a makespan
        assert found.simulated_s == pytest.approx(np.sort(latency)[quorum - 1], rel=1e-12)
        assert found.forecasts[0].seconds == pytest.approx(found.simulated_s, rel=1e-12)
        facts = dict(found.facts)
        assert facts["Waited for"] == f"{quorum} of 5 devices"
        late = np.flatnonzero(np.isfinite(latency) & (latency > found.simulated_s * (1 + 1e-9)))
        named = ", ".join(f"device {n}" for n in late)
        assert facts.get("Late, and not waited for", "") == named
        assert facts.get("Left out by the plan", "") == ", ".join(f"device {n}" for n in left)


def test_chance_changes_who_is_waited_for():
    """With noise the Q-th that is done ends a makespan's round, whoever that is."""
    problem, decision = drawn("makespan", 3)
    tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    everyone = CutAndResources(*tables, problem.allowed, "makespan")
    lasts = set()
    for seed in range(20):
        line = simulate_decision(everyone, decision, noise=0.8, seed=seed).timeline
        ends = [max(task.end_s for task in line if task.owner == name) for name in line.owners]
        found = simulate_decision(problem, decision, noise=0.8, seed=seed)
        assert found.simulated_s == pytest.approx(sorted(ends)[2], rel=1e-12)
        lasts.add(found.binding)
        assert not found.timeline.overloads()
    assert len(lasts) > 1


def quorum_plan(objective="makespan", quorum=3):
    """Return a plan of four boards of whom a round waits for some."""
    document = Scenario.load("digits-splitfed").to_dict() | {"robust": {"quorum": quorum}}
    return plan(document, objective=objective)


@pytest.mark.parametrize("objective", ["makespan", "sum"])
def test_a_simulated_round_is_what_the_plan_promises(objective):
    made = quorum_plan(objective)
    found = simulate(made)
    assert found.simulated_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    assert dict(found.facts)["Waited for"] == "3 of 4 devices"
    rounds = sorted(row["round_s"] for row in made.prediction["devices"] if not row.get("left_out"))
    assert found.simulated_s == pytest.approx(rounds[2], rel=1e-9)


@pytest.fixture
def one_thread():
    """Train on one thread: sums of several may differ in the last bit on a busy host."""
    from splitopt.training.wire.compute import one_thread

    with one_thread():
        yield


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_training_is_that_of_the_devices_that_are_waited_for():
    """Losses are those of a fleet without the late device; seconds are the promise."""
    import splitopt

    made = quorum_plan()
    opened = open_plan(made)
    latency = opened.problem.phases(opened.decision).sum(axis=1)
    names = [device.name for device in opened.scenario.fleet()]
    (late,) = np.argsort(latency, kind="stable")[3:]
    document = Scenario.load("digits-splitfed").to_dict()
    fleet = [entry | {"name": name, "count": 1} for entry, name in zip(
        [entry for entry in document["devices"] for _ in range(entry["count"])], names, strict=True,
    )]  # fmt: skip
    document["devices"] = [entry for n, entry in enumerate(fleet) if n != late]
    given = {"rounds": 2, "seed": 3, "evaluate_every": 2}
    history = splitopt.train(made, **given).history
    assert history.origin["not_waited_for"] == [names[late]]
    assert dict(summarize_training({"": history}, "rounds").facts)[LEFT] == names[late]
    found = history.rows
    others = splitopt.train(plan(document), **given).history.rows
    assert list(found[0].clients) == [name for n, name in enumerate(names) if n != late]
    assert [row.loss for row in found] == [row.loss for row in others]
    assert found[-1].accuracy == others[-1].accuracy
    for row in found:
        assert row.round_s == pytest.approx(made.prediction["round_s"], rel=1e-9)


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_processes_are_those_of_the_devices_that_are_waited_for():
    """Over connections a quorum's plan has a process for each of them, and learns the same."""
    import torch

    import splitopt
    from splitopt.training.validation.measuring import measured_of
    from splitopt.training.wire.launch import run_wire

    made, given = quorum_plan(), {"rounds": 1, "seed": 3}
    one = splitopt.train(made, **given)
    fast = {"time_scale": 1e-4, "any_speed": True, "join_s": 600.0, "deadline": "120 s"}
    wired = run_wire(made, **given, **fast)
    assert wired.history == one.history
    assert len(wired.timelines[0].owners) == 3
    found = measured_of(wired, made.prediction["round_s"])
    assert found.promised_s == pytest.approx(found.validation.predicted_s, rel=1e-9)
    assert (found.validation.missing, found.validation.extra) == ((), ())
    (left,) = one.history.origin["not_waited_for"]
    facts = dict(found.facts)
    assert facts["Waited for"] == "3 of 4 devices"
    assert facts["Not waited for, and without a process"] == left
    sent = {row.kind: row for row in found.traffic}
    for kind in ("smashed", "gradient", "model"):
        assert sent[kind].measured == sent[kind].predicted > 0
    for name, value in one.model.state_dict().items():
        assert torch.equal(wired.model.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.train
def test_a_history_says_what_its_plan_insures_against():
    """The worst round beside that of the clock, also where a quorum's program has few devices."""
    from splitopt.training.preparing.robust import robust_described
    from splitopt.training.program import program_of

    slow = {"devices": 1, "compute": 2.0}
    document = Scenario.load("digits-splitfed").to_dict()
    for robust in ({"slow": slow}, {"slow": slow, "quorum": 3}):
        made = plan(document | {"robust": robust}, objective="sum")
        told = robust_described(program_of(made))
        assert told["worst_round"]["slow"] == made.prediction["worst_case"]["slow"]
        assert told["worst_round"]["if_none_slow_s"] == pytest.approx(made.prediction["round_s"])
        worst = simulate(made, slow=told["worst_round"]["slow"])
        assert told["worst_round"]["round_s"] == worst.simulated_s
        words = dict(robust_facts(History(origin=told)))["A round of the worst case, 1 slow"]
        assert words.endswith(f"then slow: {told['worst_round']['slow'][0]}")
        assert robust_facts(History(origin={"worst_round": {"slow": 3}})) == []
    assert "worst_round" not in robust_described(program_of(quorum_plan()))
