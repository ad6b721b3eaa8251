"""Plans that promise more of a resource than there is: what validation must refute."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import splitopt
from benchmarks.validation.runs import WITHIN, Row, percent, plan_of, run, scales_of
from splitopt.planning.explaining import explainer_of
from splitopt.planning.promises import promise
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.profiles import ModelProfile

SCENARIO = "digits-splitfed"
FACTORS = (1.0, 1.5, 3.0)
"""Times the plan's shares."""
UNCHECKED = Path(__file__).parent / "unchecked"
SHARES = ("download_share", "upload_share", "server_share")


@contextmanager
def unchecked() -> Iterator[None]:
    """Open plans whose shares do not fit, in this process and in those that it starts."""
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
    """Return a plan with `factor` times its shares, 1 at most each, and their latency.

    It says nothing of a bound: what has more than there is may be below every bound.
    """
    assert plan.decision is not None
    decision = {
        **plan.decision,
        **{name: [min(1.0, factor * x) for x in plan.decision[name]] for name in SHARES},
    }
    scenario = splitopt.Scenario.from_dict(plan.scenario)
    profile = ModelProfile.from_dict(plan.profile, "plan")
    problem = CutAndResources.from_scenario(scenario, profile, plan.objective)
    shared_out = problem.decode(decision, "plan")
    found = problem.evaluate(shared_out)
    result = {**plan.result, "objective": found, "bound": None, "gap": None, "outcome": "feasible"}
    explainer = explainer_of(problem.name)(scenario, profile, plan.objective)
    prediction = promise(explainer, problem, shared_out).to_dict()
    return replace(plan, decision=decision, result=result, prediction=prediction)


def rows_of(factors: Sequence[float], rounds: int = 1) -> Iterator[Row]:
    """Run the plan of a shipped scenario with several times its shares, and give a row for each."""
    right = plan_of(SCENARIO)
    for factor in factors:
        plan = right if factor == 1 else oversubscribed(right, factor)
        with unchecked():
            scale = scales_of(plan)[1]  # that of now: another moment's check might refuse it
            row = run(SCENARIO, plan, scale, rounds, any_speed=True)
        yield {**row, "factor": factor, "shares": sums_of(plan)}


def failures(rows: Iterable[Row]) -> list[str]:
    """Report which plan was judged wrongly: a right one refuted, or one held that does not fit."""
    found = []
    for row in rows:
        holds = max(abs(row["step_error"]), abs(row["whole_error"])) <= WITHIN
        if holds != (row["factor"] <= 1):
            word = "holds" if holds else "does not hold"
            found.append(f"{row['scenario']} with {row['factor']:g} times its shares {word}")
    return found


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Lay out the runs, a line per factor."""
    phases = ("model download", "upload", "server", "gradient download")
    lines = [
        [
            "shares of downlink, uplink, server add up to",
            "time scale",
            "median step",
            "round",
            *phases,
            f"within {100 * WITHIN:.0f} %",
        ]
    ]
    for row in rows:
        errors = (row["step_error"], row["whole_error"], *(row["phase_errors"][p] for p in phases))
        holds = max(abs(row["step_error"]), abs(row["whole_error"])) <= WITHIN
        lines.append(
            [
                ", ".join(f"{total:.2f}" for total in row["shares"].values()),
                f"{row['time_scale']:g}",
                *map(percent, errors),
                "yes" if holds else "no",
            ]
        )
    return lines


def sums_of(plan: Plan) -> dict[str, float]:
    """Add up the shares of each resource."""
    assert plan.decision is not None
    return {name: sum(plan.decision[name]) for name in SHARES}
