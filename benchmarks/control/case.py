"""Measurements: seconds and gaps of re-plans, and the regret of policies."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.control.fleets import EVENTS, fleet
from splitopt import Scenario, solve
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import generated_rates, rounds_of
from splitopt.planning.control.replan import Damping
from splitopt.planning.control.replay import replay_fleet


def replans(devices: int, objective: str, repeats: int) -> list[dict[str, Any]]:
    """Return a row per kind of event: median and largest milliseconds, and the largest gap.

    Without damping, so that every gap is what following reaches. The milliseconds of the processor
    are those of this process alone; others may keep it waiting.
    """
    problem = fleet(0, devices, objective)
    begin = time.perf_counter()
    solve(problem, rel_gap=5e-4)
    cold_s = time.perf_counter() - begin
    controller = FleetController(problem, damping=Damping(gain=0.0))
    rows = []
    for kind, make in EVENTS.items():
        rng = np.random.default_rng(1)
        wall, cpu, gaps, by_solver = [], [], [], 0
        for _ in range(repeats):
            events = make(controller, rng)
            begin = time.process_time()
            plan = controller.apply(events)
            cpu.append(1000 * (time.process_time() - begin))
            wall.append(1000 * plan.took_s)
            gaps.append(plan.gap)
            by_solver += plan.by != "prices"
        rows.append(
            {
                "devices": devices,
                "objective": objective,
                "event": kind,
                "replans": repeats,
                "wall_ms": float(np.median(wall)),
                "wall_most_ms": max(wall),
                "cpu_ms": float(np.median(cpu)),
                "gap": max(gaps),
                "by_solver": by_solver,
                "cold_ms": 1000 * cold_s,
            }
        )
    return rows


def regret(devices: int, rounds: int, objective: str, delay: int) -> list[dict[str, Any]]:
    """Return a row per policy: its mean against that of knowing every round."""
    scenario = Scenario.generate(seed=5, devices=devices)
    trace = rounds_of(generated_rates(scenario, rounds, seed=2), scenario)
    controller = FleetController.start(scenario, objective)
    report = replay_fleet(controller, trace, delay=delay, period=10)
    best = report.latencies("clairvoyant").mean()
    moved = sum(each.moved or 0 for each in report.rounds)
    return [
        {
            "devices": devices,
            "objective": objective,
            "rounds": rounds,
            "delay": delay,
            "policy": name,
            "regret": 100 * (report.latencies(name).mean() / best - 1),
            "gap": report.largest_gap if name == "controller" else None,
            "moved": moved if name == "controller" else None,
        }
        for name in report.policies
    ]
