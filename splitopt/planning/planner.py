"""`plan`: model the scenario as a problem, solve it, and say what the answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.planning import (
    cluster_and_spectrum,
    cut_and_resources,
    cut_under_uncertainty,
    pipeline_partition,
)
from splitopt.planning.fields import unused_note
from splitopt.planning.guesses import guess_notes
from splitopt.planning.promises import check_result, checked_prediction, promise
from splitopt.planning.uncertainty import machine_notes
from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.problems.base import Problem
from splitopt.problems.inputs import as_scenario
from splitopt.problems.registry import problem_class
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.uncounted import work_notes
from splitopt.results import Decision, Result
from splitopt.scenario import Scenario
from splitopt.solvers.base import Progress, Solver

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

EXPLAINERS: dict[str, Any] = {
    "cut_and_resources": cut_and_resources,
    "cluster_and_spectrum": cluster_and_spectrum,
    "cut_under_uncertainty": cut_under_uncertainty,
    "pipeline_partition": pipeline_partition,
}
"""Problem -> module with ``predict``, ``explain_infeasible``, ``notes`` and ``used``.

It may have ``prepare(scenario, profile, objective)``, which gives the scenario with the choices
made that it leaves to the plan, and notes about them, and ``remarks(prediction)``, more notes."""


def plan(
    scenario: ScenarioLike,
    *,
    problem: str | None = None,
    objective: str | None = None,
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
    rel_gap: float = 1e-9,
    seed: int = 0,
    callback: Callable[[Progress], object] | None = None,
    **options: Any,
) -> Plan:
    """Answer a scenario with a certified plan.

    Parameters
    ----------
    scenario
        The fleet, its links, its servers or compute nodes, and the model it trains: a `Scenario`,
        the path of a scenario file, the name of a shipped one, or plain data.
    problem, objective
        What to ask, such as ``"cut_and_resources"`` and ``"sum"`` or ``"makespan"``; by default
        `default_problem` of the scenario, and the first objective of the problem.
    solver, time_limit_s, rel_gap, seed, callback, **options
        As for `splitopt.solve`.

    Returns
    -------
    Plan
        Without a decision where there is none: ``plan.result["message"]`` says what would have to
        change.

    Raises
    ------
    InputError
        The scenario or an argument cannot be used.
    CapabilityError
        The solver cannot take the problem.
    """
    asked = as_scenario(scenario)
    problem = default_problem(asked) if problem is None else problem
    kind = problem_class(problem)
    objective = kind.objectives[0] if objective is None else objective
    profile, explainer = asked.load_model(), EXPLAINERS[problem]
    said: list[str] = []
    try:
        if hasattr(explainer, "prepare"):
            asked, said = explainer.prepare(asked, profile, objective)
        question = kind.from_scenario(asked, profile, objective)
    except InfeasibleError as error:
        result = Result(problem, objective, "none", "infeasible", "proved", str(error), seed=seed)
        return _envelope(result, asked, profile, None, explainer, said)
    result = solve(
        question,
        solver,
        time_limit_s=time_limit_s,
        rel_gap=rel_gap,
        seed=seed,
        callback=callback,
        **options,
    )
    if result.outcome == "infeasible":
        reason = explainer.explain_infeasible(question, asked, profile)
        result = replace(result, message=reason or result.message)
    return _envelope(result, asked, profile, question, explainer, said)


def default_problem(scenario: Scenario) -> str:
    """Say which problem a scenario asks: that of the section which no other problem uses.

    With compute nodes it is ``pipeline_partition``, with distributions ``cut_under_uncertainty``,
    with clusters alone ``cluster_and_spectrum``, otherwise ``cut_and_resources``.
    """
    if scenario.nodes:
        return "pipeline_partition"
    if scenario.distributions is not None:
        return "cut_under_uncertainty"
    return "cut_and_resources" if scenario.clusters is None else "cluster_and_spectrum"


def _envelope(
    result: Result,
    scenario: Scenario,
    profile: ModelProfile,
    question: Problem[Any] | None,
    explainer: Any,
    said: Sequence[str],
) -> Plan:
    """Put a result with all that it was made from into a plan."""
    summary = result.to_dict()
    for left_out in ("format", "version", "problem", "objective_name", "decision"):
        del summary[left_out]
    summary["versions"] = {"splitopt": metadata.version("splitopt"), **summary["versions"]}
    decision = result.decision if result.is_feasible else None
    prediction = None
    if decision is not None and question is not None:
        prediction = promise(question, decision, scenario, profile, explainer)
    if prediction is not None and "confidence" in result.details:
        prediction["confidence"] = summary["details"]["confidence"]
    if prediction is not None and hasattr(explainer, "remarks"):
        said = [*said, *explainer.remarks(prediction)]
    return Plan(
        problem=result.problem,
        objective=result.objective_name,
        scenario=scenario.to_dict(),
        profile=profile.to_dict(),
        decision=None if decision is None else decision.to_dict(),
        prediction=prediction,
        result=summary,
        notes=(
            *said,
            *work_notes(profile.uncounted),
            *explainer.notes(scenario, profile),
            *machine_notes(result.problem, scenario, profile),
            *guess_notes(scenario, profile, prediction),
            *unused_note(
                scenario,
                explainer.used(scenario, profile, result.objective_name, result.solver),
            ),
        ),
    )


class OpenedPlan(NamedTuple):
    """The live objects that a plan was made of.

    Without a decision there may be no problem either: nothing could be built that might have one.
    ``plan`` is the plan with its prediction computed anew.
    """

    scenario: Scenario
    profile: ModelProfile
    problem: Problem[Any] | None
    decision: Decision | None
    plan: Plan


def open_plan(saved: PlanLike, source: str = "plan") -> OpenedPlan:
    """Rebuild scenario, profile, problem and decision from the plan alone, and check it.

    Raises
    ------
    InputError
        A part cannot be read, or the decision does not do what the plan promises; the field is
        named, with what it says and what the decision gives.
    """
    saved = as_plan(saved, source)
    scenario = Scenario.from_dict(saved.scenario, f"{source}: scenario")
    profile = ModelProfile.from_dict(saved.profile, f"{source}: profile")
    kind = problem_class(saved.problem, source)
    try:
        problem = kind.from_scenario(scenario, profile, saved.objective)
    except InfeasibleError:
        if saved.decision is None:
            return OpenedPlan(scenario, profile, None, None, saved)
        raise
    if saved.decision is None:
        return OpenedPlan(scenario, profile, problem, None, saved)
    decision = problem.decode(saved.decision, f"{source}: decision")
    if broken := problem.violations(decision):
        names = ", ".join(f"{name} by {by:.3g}" for name, by in broken.items())
        raise InputError(f"{source}: the decision is not feasible: {names}")
    check_result(saved, problem.evaluate(decision), source)
    prediction = checked_prediction(
        saved, problem, decision, scenario, profile, EXPLAINERS[saved.problem], source
    )
    return OpenedPlan(scenario, profile, problem, decision, replace(saved, prediction=prediction))
