"""Runs of shipped plans over real connections, what they must show, and their tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import splitopt
from splitopt.plans import Plan
from splitopt.training.validation.measured import Measured

SYSTEMS = {
    "digits-splitfed": "DP-MORA: a cut and shares per device",
    "digits-clusters": "CPSL: clusters and subcarriers",
    "digits-pipeline": "MP-SL: layers to nodes",
}
"""Shipped scenario -> what its plan decides."""
SCHEMES = {
    "splitfed_v1": "SplitFedV1",
    "splitfed_v2": "SplitFedV2, client by client",
    "splitfed_v2:batch": "SplitFedV2, batch by batch",
    "vanilla": "vanilla split learning",
    "federated": "federated learning",
}
"""Scheme that `SCHEME_SCENARIO` is planned for (and its order of service) -> its name."""
SCHEME_SCENARIO = "digits-splitfed"
WITHIN = 0.15
"""By so much at most the median step, and the round, may differ from the plan."""

Row = Mapping[str, Any]

_MUST_BE_NONE = {
    "out_of_order": "steps whose phases came in another order",
    "incomplete": "steps that were not measured whole",
    "unmatched": "tasks that were only predicted or only measured",
}


def plan_of(scenario: str) -> Plan:
    """Plan a shipped scenario, to the proof."""
    return splitopt.plan(splitopt.Scenario.load(scenario), time_limit_s=60.0)


def scheme_plan(name: str) -> Plan:
    """Plan the cut of all devices for a scheme."""
    scheme, _, order = name.partition(":")
    return splitopt.plan(SCHEME_SCENARIO, scheme=scheme, server_order=order or None)


def scales_of(plan: Plan) -> tuple[float, float]:
    """Return the smallest time scale that this host may run at, and the one that it proposes."""
    from splitopt.training.job import TrainingJob
    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.wire.host import measure_host
    from splitopt.training.wire.speed import least_time_scale, proposed_time_scale

    prepared = prepare(TrainingJob(plan))
    timeline = prepared.program.replay.timeline
    host = measure_host(prepared.program, prepared.scheme, timeline)
    return least_time_scale(timeline, host), proposed_time_scale(timeline, host)


def run(scenario: str, plan: Plan, time_scale: float, rounds: int, any_speed: bool = False) -> Row:
    """Run some rounds and give a row of results."""
    load = os.getloadavg()[0]
    found = splitopt.validate(plan, rounds=rounds, time_scale=time_scale, any_speed=any_speed)
    return {"scenario": scenario, "load": round(load, 1), **row_of(found)}


def row_of(found: Measured) -> dict[str, Any]:
    """Return what a measured run comes to."""
    validation, culprit = found.validation, found.validation.culprit
    bytes_off = [
        abs(row.measured - row.predicted) / row.predicted
        for row in found.traffic
        if row.predicted is not None
    ]
    return {
        "problem": found.problem,
        "time_scale": found.time_scale,
        "rounds": found.rounds,
        "steps": validation.steps.count,
        "incomplete": validation.steps.incomplete,
        "out_of_order": validation.steps.out_of_order,
        "unmatched": sum(one.tasks for one in (*validation.missing, *validation.extra)),
        "step_predicted_s": validation.steps.predicted_s,
        "step_measured_s": validation.steps.measured_s,
        "step_error": validation.steps.relative_error,
        "whole_predicted_s": validation.predicted_s,
        "whole_measured_s": validation.measured_s,
        "whole_error": validation.relative_error,
        "phase_errors": {row.phase: row.relative_error for row in validation.phases},
        "culprit": None if culprit is None else culprit.name,
        "culprit_s": 0.0 if culprit is None else culprit.seconds,
        "bytes": sum(row.measured for row in found.traffic if row.predicted is not None),
        "bytes_error": max(bytes_off),
    }


def failures(rows: Iterable[Row]) -> list[str]:
    """Report what of the rows is not as predicted: bytes, order, the median step and the round."""
    found = []
    by_scenario: dict[str, list[Row]] = {}
    for row in rows:
        by_scenario.setdefault(row["scenario"], []).append(row)
        name = row["scenario"]
        if row["bytes_error"] != 0:
            found.append(f"{name}: bytes differ by up to {100 * row['bytes_error']:.3g} %")
        found += [f"{name}: {row[key]} {what}" for key, what in _MUST_BE_NONE.items() if row[key]]
    for name, own in by_scenario.items():
        for key, what in (("step_error", "the median step"), ("whole_error", "the round")):
            error = median(row[key] for row in own)
            if not abs(error) <= WITHIN:
                found.append(f"{name}: {what} is off by {100 * error:+.1f} %")
    return found


def table(rows: Sequence[Row], systems: Mapping[str, str] = SYSTEMS) -> list[list[str]]:
    """Lay out the repeats, a line per plan; ``systems`` says what each of them is."""
    lines = [
        [
            "plan",
            "time scale",
            "steps",
            "step error, each run",
            "round, predicted s",
            "round error, each run",
            "most of it",
            "bytes, as predicted",
            "load",
        ]
    ]
    for scenario, system in systems.items():
        own = [row for row in rows if row["scenario"] == scenario]
        if not own:
            continue
        middle = sorted(own, key=lambda row: row["whole_error"])[len(own) // 2]
        lines.append(
            [
                f"{system} (`{scenario}`)",
                f"{own[0]['time_scale']:g}",
                f"{own[0]['steps']}",
                ", ".join(percent(row["step_error"]) for row in own),
                ", ".join(dict.fromkeys(_round_s(row) for row in own)),
                ", ".join(percent(row["whole_error"]) for row in own),
                f"{middle['culprit']} {middle['culprit_s']:+.2g} s",
                f"{own[0]['bytes']:,.0f}" if all(r["bytes_error"] == 0 for r in own) else "no",
                ", ".join(f"{row['load']:.1f}" for row in own),
            ]
        )
    return lines


def _round_s(row: Row) -> str:
    return f"{row['whole_predicted_s'] / row['rounds']:.3f}"


def scale_table(rows: Sequence[Row]) -> list[list[str]]:
    """Lay out runs at several time scales, a line per plan and scale."""
    lines = [["plan", "time scale", "smallest allowed", "step error", "round error", "load"]]
    lines += [
        [
            f"`{row['scenario']}`",
            f"{row['time_scale']:g}",
            f"{row['least_time_scale']:.2g}",
            percent(row["step_error"]),
            percent(row["whole_error"]),
            f"{row['load']:.1f}",
        ]
        for row in rows
    ]
    return lines


def percent(value: float) -> str:
    """Write a relative error."""
    return f"{100 * value:+.1f} %"
