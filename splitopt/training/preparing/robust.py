"""What a history says of a plan that waits for a quorum, or insures against slow devices."""

from __future__ import annotations

from typing import Any

from splitopt.planning.insured import insured
from splitopt.planning.planner import open_plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.training.program import Program


def not_waited_for(program: Program) -> list[str]:
    """Return the devices of a plan for whom no round waits, and of whom nothing is learnt."""
    if program.problem != CutAndResources.name:
        return []
    trained = {client.name for client in program.clients}
    planned = (program.opened.plan.prediction or {}).get("devices", ())
    return [row["name"] for row in planned if row["name"] not in trained]


def robust_described(program: Program) -> dict[str, Any]:
    """Return whom no round waits for, and the worst round that the plan insures against.

    The clock of a training goes by rounds in which nobody is slow.
    """
    found: dict[str, Any] = {}
    if left := not_waited_for(program):
        found["not_waited_for"] = left
    plan = program.opened.plan
    stated = plan.scenario.get("robust") or {}
    if not stated.get("slow") or program.plays != program.planned_scheme:
        return found
    covered = insured(open_plan(plan))  # a quorum's program is about some of the devices
    if covered is not None:
        found["worst_round"] = {
            "slow_devices": covered.slow_devices,
            "slow": list(covered.slow),
            "round_s": covered.worst_round_s,
            "if_none_slow_s": covered.nominal_round_s,
        }
    return found
