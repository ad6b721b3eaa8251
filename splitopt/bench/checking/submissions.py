"""Checking a submitted answer: a plan, a result or a bare decision against an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitopt.bench.checking.claims import TOLERANCE, above, evaluate_decision, judge
from splitopt.bench.checking.settling import Table
from splitopt.bench.instances.best_known import BestKnown
from splitopt.bench.instances.instance import Instance
from splitopt.errors import InputError, shown
from splitopt.problems.base import Problem
from splitopt.results import relative_gap


@dataclass(frozen=True)
class Submission:
    """What was handed in. ``claim`` is what a result file says of itself, None for the others."""

    objective: str | None
    decision: Any
    claim: Mapping[str, Any] | None


@dataclass(frozen=True)
class CheckReport:
    """What a submission is worth.

    ``accepted`` means: the decision is feasible and everything that the file claims holds.
    ``gap_to_best_known`` is relative; negative where the submission is better.
    """

    instance: str
    objective: str
    accepted: bool
    reason: str | None
    value: float | None
    best_known: float | None
    best_known_status: str | None
    gap_to_best_known: float | None

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if not self.accepted:
            return f"rejected: {self.reason}"
        assert self.value is not None  # accepted means evaluated
        text = f"accepted: feasible, {self.objective} {self.value:.12g}"
        if self.best_known is None or self.gap_to_best_known is None:
            return f"{text}; no best known value to compare with"
        against = f"the best known value {self.best_known:.12g} ({self.best_known_status})"
        if self.gap_to_best_known < -TOLERANCE:
            return f"{text}, {-self.gap_to_best_known:.3g} better than {against}"
        if self.gap_to_best_known <= TOLERANCE:
            return f"{text}, equal to {against}"
        return f"{text}, {self.gap_to_best_known:.3g} above {against}"


def read_submission(document: Any, source: str) -> Submission:
    """Recognise a plan, a result or a decision.

    Raises
    ------
    InputError
        It is none of these, or holds no decision.
    """
    if not isinstance(document, Mapping):
        raise InputError(f"{source}: must be a plan, a result or a decision (an object)")
    file_format = document.get("format")
    if file_format == "splitopt-plan":
        from splitopt.plans import Plan

        plan = Plan.from_dict(document, source)
        found = Submission(plan.objective, plan.decision, None)
    elif file_format == "splitopt-result":
        from splitopt.bench.checking.documents import ClaimDocument
        from splitopt.documents.schemas import validated

        validated(ClaimDocument, document, source)
        claim = {"decision": None, **document}
        found = Submission(claim["objective_name"], claim["decision"], claim)
    elif file_format is None:
        found = Submission(None, document, None)
    else:
        raise InputError(f"{source}: format {shown(file_format)} is neither a plan nor a result")
    if found.decision is None:
        raise InputError(f"{source}: holds no decision to check")
    return found


def check_submission(
    submission: Submission, instance: Instance, objective: str | None, table: Table
) -> CheckReport:
    """Check a submission against an instance and its best known value.

    Parameters
    ----------
    submission
        What was handed in.
    instance
        What it is meant for.
    objective
        The objective; by default the submission's, or else the instance's first.
    table
        Best known values.

    Raises
    ------
    InputError
        The instance cannot be loaded, or the objective is not one of its problem's.
    """
    chosen = objective or submission.objective or instance.objectives[0]
    problem = instance.load(chosen)
    value, reason = evaluate_decision(problem, submission.decision)
    if reason is None and submission.claim is not None and chosen == submission.objective:
        reason = _false_claim(problem, submission.claim)
    known = table.get((instance.problem, chosen, instance.name))
    best = None if known is None else known.value
    if reason is None and value is not None and known is not None:
        reason = _beats_proof(value, known) or _bound_too_high(submission, known)
    gap = None
    if value is not None and best is not None:
        gap = relative_gap(value, best) if value >= best else -relative_gap(best, value)
    return CheckReport(
        instance.name,
        chosen,
        reason is None,
        reason,
        value,
        best,
        None if known is None else known.status,
        gap,
    )


def _false_claim(problem: Problem[Any], claim: Mapping[str, Any]) -> str | None:
    if claim["outcome"] not in ("optimal", "feasible"):
        return f"says the outcome {shown(claim['outcome'])}, yet holds a feasible decision"
    return judge(problem, claim).contradiction


def _beats_proof(value: float, known: BestKnown) -> str | None:
    if known.status != "proved" or known.bound is None or not above(known.bound, value):
        return None
    return (
        f"its value {value!r} is below the proved bound {known.bound!r} of the instance: one of "
        "the two is wrong, please report it"
    )


def _bound_too_high(submission: Submission, known: BestKnown) -> str | None:
    bound = None if submission.claim is None else submission.claim["bound"]
    if bound is None or known.value is None or not above(float(bound), known.value):
        return None
    return f"its bound {bound!r} is above the best known value {known.value!r}"
