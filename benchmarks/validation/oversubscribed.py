"""Plans that promise more of a resource than there is: what validation must refute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import splitopt
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.profiles import ModelProfile

UNCHECKED = Path(__file__).parent / "unchecked"
SHARES = ("download_share", "upload_share", "server_share")


@contextmanager
def unchecked() -> Iterator[None]:
    """Take plans whose shares do not fit, in this process and in those that it starts."""
    unbound: Any = CutAndResources
    own = unbound.violations
    unbound.violations = lambda _problem, _decision: {}
    sys.path.insert(0, str(UNCHECKED))  # where the processes of a run look for modules too
    try:
        yield
    finally:
        sys.path.remove(str(UNCHECKED))
        unbound.violations = own


def oversubscribed(plan: Plan, factor: float) -> Plan:
    """Give a plan with `factor` times its shares, 1 at most each, and the latency they promise."""
    assert plan.decision is not None
    decision = {
        **plan.decision,
        **{name: [min(1.0, factor * x) for x in plan.decision[name]] for name in SHARES},
    }
    scenario = splitopt.Scenario.from_dict(plan.scenario, from_file=True)
    profile = ModelProfile.from_dict(plan.profile, "plan")
    problem = CutAndResources.from_scenario(scenario, profile, plan.objective)
    found = problem.evaluate(problem.decode(decision, "plan"))
    return replace(plan, decision=decision, result={**plan.result, "objective": found})


def sums_of(plan: Plan) -> dict[str, float]:
    """Add up the shares of each resource."""
    assert plan.decision is not None
    return {name: sum(plan.decision[name]) for name in SHARES}
