"""What a run claims, checked against its problem.

A solver never scores itself: the decision is decoded, checked and evaluated here, in another
process than the solver's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.results import OPTIMAL_GAP, Outcome, StopReason, relative_gap

TOLERANCE = 1e-9
"""How far, relatively, a claimed number may be from the truth by rounding."""


@dataclass(frozen=True)
class Verdict:
    """The value of a claim as evaluated here, and what contradicts the claim if anything does."""

    value: float | None
    contradiction: str | None


def above(bound: float, value: float) -> bool:
    """Whether a lower bound stands above a value by more than rounding."""
    return bound - value > TOLERANCE * max(abs(value), abs(bound))


def judge(problem: Problem[Any], claim: Mapping[str, Any]) -> Verdict:
    """Check a result (as `Result.to_dict` gives it) against its problem.

    The claims are the outcome, the objective and the bound; the decision is what they are held
    against.
    """
    outcome, stop = claim["outcome"], claim["stop_reason"]
    if outcome not in get_args(Outcome) or stop not in get_args(StopReason):
        return Verdict(None, f"says the outcome {outcome!r} with {stop!r}, which do not exist")
    if outcome == "infeasible" and problem.infeasibility() is None:
        return Verdict(None, "says that there is no answer, but no device or limit rules one out")
    if outcome not in ("optimal", "feasible"):
        return Verdict(None, None)
    if claim["decision"] is None:
        return Verdict(None, f"says {outcome!r} without a decision")
    value, violated = evaluate_decision(problem, claim["decision"])
    if value is None or violated is not None:
        return Verdict(None, violated)
    claimed = claim["objective"]
    if claimed is None or abs(claimed - value) > TOLERANCE * max(abs(value), abs(claimed)):
        return Verdict(value, f"says the objective {claimed!r}, its decision has {value!r}")
    bound = -math.inf if claim["bound"] is None else float(claim["bound"])
    if above(bound, value):
        return Verdict(value, f"its bound {bound!r} is above the value {value!r} that it reached")
    if outcome == "optimal" and relative_gap(value, bound) > OPTIMAL_GAP + TOLERANCE:
        gap = relative_gap(value, bound)
        return Verdict(value, f"says 'optimal' with a gap of {gap:.3g} to its own bound")
    return Verdict(value, None)


def evaluate_decision(
    problem: Problem[Any], document: Mapping[str, Any]
) -> tuple[float | None, str | None]:
    """Decode, check and evaluate a decision: its value, or what is wrong with it."""
    try:
        decision = problem.decode(document)
    except InputError as error:
        return None, f"its decision cannot be read: {error}"
    violated = problem.violations(decision)
    if violated:
        broken = ", ".join(f"{name} by {by:.3g}" for name, by in violated.items())
        return None, f"its decision is not feasible: {broken}"
    value = problem.evaluate(decision)
    if not math.isfinite(value):
        return None, f"its decision has the objective {value!r}"
    return value, None
