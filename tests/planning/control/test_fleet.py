"""Plans that follow a fleet, against enumeration of all cuts with formulas of their own."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, solve
from splitopt.planning.control.events import (
    DeviceJoins,
    DeviceLeaves,
    DeviceSlows,
    RateChanges,
    ServerGoes,
    ServerSlows,
)
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.replan import Damping

TABLES = ("download_s", "upload_s", "server_s", "device_s")
NONE = Damping(gain=0.0)


def draw(seed, devices, layers=4, objective="sum"):
    """Return tables of a small fleet in which no cut is best for all; the last needs no server."""
    rng = np.random.default_rng(seed)
    x = np.arange(1, layers + 1) / layers
    shapes = (2 * (1 - x) + 0.1, 3 * (1 - x) + 0.1, 2 * (1 - x), 12 * x)
    size = rng.uniform(0.5, 2, (devices, 1))
    rows = [size * shape * rng.uniform(0.6, 1.4, (devices, layers)) for shape in shapes]
    rows[2][:, -1] = 0.0
    return CutAndResources(*rows, objective=objective)


class Mirror:
    """The same fleet, kept by plain arrays: what the controller is held against."""

    def __init__(self, problem):
        self.rows = {name: np.array(getattr(problem, name)) for name in TABLES}
        self.names = [f"device-{n + 1}" for n in range(problem.devices)]
        self.here = dict.fromkeys(self.names, True)
        self.factor = {n: {"download": 1.0, "upload": 1.0, "device": 1.0} for n in self.names}
        self.server, self.objective = 1.0, problem.objective

    def tables(self):
        """Seconds (4, M, L) of those who take part; the server's are infinite while it is gone."""
        found = []
        for n, name in enumerate(self.names):
            if self.here[name]:
                by = self.factor[name]
                d, u, s, own = (self.rows[t][n] for t in TABLES)
                gone = np.where(s > 0, np.inf, 0.0)
                served = gone if self.server == 0 else s / self.server
                found.append((d / by["download"], u / by["upload"], served, own / by["device"]))
        return np.array(found).transpose(1, 0, 2)

    def value(self, cuts):
        """Objective of 0-based cuts: Cauchy-Schwarz for the sum, bisection for the makespan."""
        t = self.tables()
        rows = np.arange(t.shape[1])
        d, u, s, own = (table[rows, cuts] for table in t)
        if not np.isfinite(s).all():
            return np.inf
        if self.objective == "sum":
            return sum(np.sqrt(x).sum() ** 2 for x in (d, u, s)) + own.sum()
        return makespan(np.sqrt(np.array([d, u, s])), own)

    def best(self):
        """Return the least objective of all vectors of cuts."""
        t = self.tables()
        return min(
            self.value(np.array(cuts))
            for cuts in itertools.product(range(t.shape[2]), repeat=t.shape[1])
        )


def makespan(roots, own):
    """Bisect the deadline at which the largest eigenvalue of sum alpha alpha^T/(T - d) is one."""
    low, high = own.max(), own.max() + 10 * (roots.sum() ** 2) + 1e-9
    for _ in range(50):
        mid = 0.5 * (low + high)
        value = np.linalg.eigvalsh((roots / np.maximum(mid - own, 1e-300)) @ roots.T)[-1]
        low, high = (mid, high) if value > 1 else (low, mid)
    return high


def happen(mirror, rng):
    """Draw an event, note it in the mirror, and return it."""
    name = mirror.names[rng.integers(len(mirror.names))]
    kind = rng.integers(6)
    if not mirror.here[name]:
        mirror.here[name] = True
        return DeviceJoins(name)
    if kind == 0 and sum(mirror.here.values()) > 1:
        mirror.here[name] = False
        return DeviceLeaves(name)
    factor = float(np.exp(rng.normal(0, 1)))
    if kind == 1:
        mirror.factor[name]["device"] = factor
        return DeviceSlows(name, factor)
    if kind == 2:
        mirror.server = factor
        return ServerSlows(factor)
    if kind == 3:
        mirror.server = 0.0
        return ServerGoes()
    link = ("download", "upload")[rng.integers(2)]
    mirror.factor[name][link] = factor
    return RateChanges(name, {link: factor})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "sequences"),
    [("sum", 30), ("makespan", 4), pytest.param("makespan", 60, marks=pytest.mark.slow)],
)
def test_sequences_of_events_are_within_the_certified_gap(objective, sequences):
    """Bound <= optimum <= plan, and the plan is what it is said to be, after every event."""
    checked = 0
    for seed in range(sequences):
        rng = np.random.default_rng(seed)
        problem = draw(seed, 3 + seed % 2, 3, objective)
        controller, mirror = FleetController(problem, damping=NONE), Mirror(problem)
        for _ in range(5):
            plan = controller.apply(happen(mirror, rng))
            best = mirror.best()
            assert plan.bound <= best * (1 + 1e-9)
            assert plan.objective == pytest.approx(mirror.value(plan.decision.cut - 1), rel=1e-7)
            assert plan.objective <= best / (1 - controller.goal) * (1 + 1e-9)
            assert plan.gap <= controller.goal
            assert not controller.problem.violations(plan.decision)
            assert controller.problem.evaluate(plan.decision) == pytest.approx(plan.objective)
            checked += 1
    assert checked == 5 * sequences


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("objective", "sequences", "least"),
    [("sum", 12, 6), ("makespan", 3, 0), pytest.param("makespan", 60, 1, marks=pytest.mark.slow)],
)
def test_damping_gives_away_no_more_than_it_states(objective, sequences, least):
    """A plan that is kept is worse than the best by no more than the tolerance and the goal."""
    damping = Damping(gain=0.03, hysteresis=1.0)
    kept = 0
    for seed in range(sequences):
        rng = np.random.default_rng(100 + seed)
        problem = draw(seed, 4, 3, objective)
        controller, mirror = FleetController(problem, damping=damping), Mirror(problem)
        for _ in range(6):
            plan = controller.apply(happen(mirror, rng))
            best = mirror.best()
            most = best / (1 - controller.goal) / (1 - damping.tolerance)
            assert plan.objective <= most * (1 + 1e-9)
            assert plan.bound <= best * (1 + 1e-9)
            kept += any("kept" in text for text in plan.changed)
    assert kept >= least


def oscillating(damping, rounds=12):
    """Count the rounds in which cuts change while a rate goes to and fro around a tie."""
    problem = draw(3, 6, 6)
    controller = FleetController(problem, damping=damping)
    changes = 0
    for turn in range(rounds):
        factor = 0.6 if turn % 2 else 1.6
        plan = controller.apply(
            [RateChanges(name, {"upload": factor}) for name in controller.devices[:3]]
        )
        changes += bool(plan.moved)
    return changes, controller


def test_an_oscillating_rate_does_not_take_the_plan_along():
    """Without damping every turn moves devices; with it few do, and what lasts is followed."""
    free, _ = oscillating(NONE)
    damped, controller = oscillating(Damping(gain=0.05, hysteresis=2.0))
    assert free >= 8
    assert damped <= 2
    plan = controller.apply([RateChanges(name, {"upload": 0.02}) for name in controller.devices])
    assert plan.moved
    # a change that takes the last one back has to gain more than a new one
    assert Damping(0.05, 2.0).needed(takes_back=True) == pytest.approx(0.15)


def test_moving_costs_are_in_the_objective():
    """Enumerated: the plan is least in seconds plus what is fetched; dear moves are not made."""
    for seed in range(12):
        problem = draw(seed, 4, 3)
        table = np.cumsum(np.full((4, 3), 0.7), axis=1) * (1 + seed % 3)
        controller = FleetController(problem, damping=NONE, moving=table, goal=1e-9)
        mirror, before = Mirror(problem), controller.plan.decision.cut - 1
        mirror.factor["device-1"]["device"] = 0.25
        plan = controller.apply(DeviceSlows("device-1", 0.25))
        rows = np.arange(4)

        def cost(cuts, before=before, table=table, mirror=mirror, rows=rows):
            cuts = np.array(cuts)
            fetched = np.maximum(table[rows, cuts] - table[rows, before], 0.0)
            return mirror.value(cuts) + fetched.sum()

        best = min(cost(cuts) for cuts in itertools.product(range(3), repeat=4))
        assert plan.found == pytest.approx(cost(plan.decision.cut - 1))
        assert plan.found <= best * 1.01
        assert plan.bound <= mirror.best() * (1 + 1e-9)
    dear = FleetController(problem, moving=table * 1e6)
    assert all(new <= old for old, new in dear.apply(ServerSlows(0.01)).moved.values())


def test_unknown_devices_are_kept_out_and_logged(caplog):
    """The event changes nothing, is told in words, and the others are taken."""
    controller = FleetController(draw(1, 4))
    before = controller.plan.objective
    with caplog.at_level(logging.WARNING, "splitopt.control"):
        plan = controller.apply([DeviceLeaves("device-9"), RateChanges("device-1", {"uplod": 2.0})])
    assert plan.objective == pytest.approx(before)
    assert len(plan.kept_out) == len(caplog.records) == 2
    assert "did you mean" in plan.kept_out[0] or "unknown" in plan.kept_out[0]
    assert "'uplod' is unknown" in plan.kept_out[1]
    assert "gap" in plan.to_dict()


def test_a_new_device_comes_with_its_numbers():
    """It is in the plan, which is as good as that of a fleet that had it from the start."""
    whole = draw(5, 5)
    part = CutAndResources(*(getattr(whole, name)[:4] for name in TABLES))
    controller = FleetController(part, damping=NONE)
    row = {name: getattr(whole, name)[4] for name in TABLES}
    plan = controller.apply(DeviceJoins("late", row))
    assert plan.devices[-1] == "late"
    assert len(plan.decision.cut) == 5
    assert plan.objective <= solve(whole).objective * (1 + controller.goal)
    assert controller.apply(DeviceJoins("later")).kept_out
    with pytest.raises(InputError, match=r"upload_s"):
        controller.apply(DeviceJoins("odd", {**row, "upload_s": [1.0]}))


def test_nothing_left_is_said_not_raised():
    """Without devices, or cuts that need no server, there is no plan, and the reason is told."""
    rng = np.random.default_rng(0)
    needing = CutAndResources(*rng.uniform(1, 2, (4, 2, 3)))
    controller = FleetController(needing)
    plan = controller.apply(ServerGoes())
    assert plan.decision is None
    assert "can use no cut" in plan.message
    assert controller.apply(ServerSlows(1.0)).decision is not None
    plan = controller.apply([DeviceLeaves("device-1"), DeviceLeaves("device-2")])
    assert plan.message == "no device takes part"


def test_budgets_choices_and_links_of_their_own_follow_too():
    """Every form of the problem has its plan checked by the problem itself and a cold solve."""
    rng = np.random.default_rng(7)
    base = draw(2, 5)
    rows = [getattr(base, name) for name in TABLES]
    use = rng.uniform(1, 2, (5, 4))
    limit = float(use.min(axis=1).sum() * 1.2)
    forms = [
        CutAndResources(*rows, budgets=[{"name": "memory", "use": use, "limit": limit}]),
        CutAndResources(*rows, shared_links=False, priority=rng.uniform(1, 3, 5)),
        CutAndResources(
            *rows,
            objective="latency_energy",
            device_w=np.full(5, 2.0),
            radio_w=np.ones(5),
            seconds_per_joule=0.1,
        ),
        CutAndResources.of_choices(rng.uniform(0, 2, (5, 4, 5)), rng.uniform(0, 3, (5, 4))),
    ]
    for problem in forms:
        controller = FleetController(problem, damping=NONE)
        name = problem.resources[1]
        plan = controller.apply([RateChanges("device-2", {name: 0.2}), DeviceLeaves("device-4")])
        changed = controller.problem
        assert changed.devices == 4
        assert not changed.violations(plan.decision)
        assert changed.evaluate(plan.decision) == pytest.approx(plan.objective)
        cold = solve(changed).objective
        assert plan.bound <= cold * (1 + 1e-9)
        assert plan.objective <= cold / (1 - controller.goal) * (1 + 1e-9)


def test_a_scenario_names_its_devices_and_brings_new_ones():
    """Rates count as in a scenario with those rates; a device as in a file joins."""
    scenario = Scenario.generate(seed=2, devices=4)
    controller = FleetController.start(scenario, damping=NONE, moving=True, horizon=1e9)
    device = scenario.to_dict()["devices"][0] | {"name": "guest"}
    row = controller.row_of(device)
    assert row["upload_s"] == pytest.approx(controller.problem.upload_s[0])
    plan = controller.apply(DeviceJoins("guest", row))
    assert len(plan.devices) == 5
    assert plan.gap <= controller.goal


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DeviceSlows("a", 0.0), "factor"),
        (lambda: DeviceSlows("", 1.0), "device"),
        (lambda: RateChanges("a", {}), "factors"),
        (lambda: RateChanges("a", {"upload": float("nan")}), "factors"),
        (lambda: FleetController(draw(0, 2), ["a"]), "names"),
        (lambda: FleetController(draw(0, 2), ["a", "a"]), "twice"),
        (lambda: FleetController(draw(0, 2)).apply("leave"), "events"),
        (lambda: FleetController(draw(0, 2)).apply([1]), r"events\[0\]"),
        (lambda: FleetController(draw(0, 2), moving=[[1.0]]), "moving"),
        (lambda: Damping(gain=2.0), "gain"),
    ],
)
def test_wrong_input_is_named(make, words):
    """One sentence, which names the field."""
    with pytest.raises(InputError, match=words):
        make()
