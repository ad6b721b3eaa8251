"""`plan`: model the scenario as a problem, solve it, and say what the answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from splitopt.documents.checks import check_choice
from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.extras import installed_version
from splitopt.plan_result import PlanResult
from splitopt.planning import u_shaped
from splitopt.planning.by_group import GroupedExplainer
from splitopt.planning.explaining import AnyExplainer, explained_problems, explainer_of
from splitopt.planning.fields import unused_note
from splitopt.planning.guesses import guess_notes
from splitopt.planning.predictions import Prediction
from splitopt.planning.promises import check_result, checked_prediction, promise
from splitopt.planning.uncertainty import machine_notes
from splitopt.plans import Plan, PlanLike, as_plan
from splitopt.problems.base import Problem
from splitopt.problems.common_cut import SCHEMES, SERVER_ORDERS, CommonCut
from splitopt.problems.cut_and_resources.choice_tables import CHOSEN, has_choices
from splitopt.problems.cut_and_resources.parts import GroupedDecision, is_grouped
from splitopt.problems.inputs import as_scenario, expect_fleet
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.registry import problem_class
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.sample_gradients import note_of
from splitopt.profiles.table.uncounted import work_notes
from splitopt.results import Decision, Result
from splitopt.scenario import Scenario
from splitopt.solvers.base import Progress, Solver

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike


BY_GROUP_ABOVE = 10_000
"""Devices above which a plan of `cut_and_resources` is by group."""


def plan(
    scenario: ScenarioLike,
    *,
    problem: str | None = None,
    objective: str | None = None,
    scheme: str | None = None,
    server_order: str | None = None,
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
    rel_gap: float = 1e-9,
    seed: int = 0,
    callback: Callable[[Progress], object] | None = None,
    by_group: bool | None = None,
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
    scheme
        ``"splitfed_v1"``, ``"splitfed_v2"``, ``"vanilla"`` or ``"federated"``: ask for the one cut
        of all devices that makes a round of this scheme shortest (the problem ``common_cut``, whose
        objective it is). ``"u_shaped"``: ask for the first and the last cut that do so, with both
        ends and the labels on the devices and the one server between them (the problem
        ``pipeline_partition`` of one node).
    server_order
        How ``"splitfed_v2"`` serves, ``"client"`` or ``"batch"``; what the scenario states by
        default.
    solver, time_limit_s, rel_gap, seed, callback, **options
        As for `splitopt.solve`.
    by_group
        Whether the plan is about groups of alike devices instead of every single one, which plans
        of ``cut_and_resources`` by the solver ``exact`` can be. By default they are so of a fleet
        of more than `BY_GROUP_ABOVE` devices.

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
    scenario, early = as_scenario(scenario, fleet=False), list[str]()
    if scheme == u_shaped.SCHEME:
        _expect_pipeline(problem)
        expect_fleet(scenario)
        scenario, note = u_shaped.server_as_node(scenario)
        problem, early = PipelinePartition.name, [note]
    elif scheme is not None:
        problem, objective = _of_scheme(scheme, problem, objective)
    if server_order is not None:
        scenario = _in_order(scenario, server_order, objective)
    problem = default_problem(scenario) if problem is None else problem
    objective = problem_class(problem).objectives[0] if objective is None else objective
    kind = explainer_of(problem)
    if kind.needs_fleet:
        expect_fleet(scenario)
    explainer = kind(scenario, scenario.load_model(), objective)
    explainer = _grouped(explainer, by_group, solver)
    notes = early
    try:
        explainer, found = explainer.prepare()
        notes = [*early, *found]
        posed = explainer.pose()
    except InfeasibleError as error:
        result = Result(problem, objective, "none", "infeasible", "proved", str(error), seed=seed)
        return _plan_of(result, explainer, None, notes)
    result = solve(
        posed,
        solver,
        time_limit_s=time_limit_s,
        rel_gap=rel_gap,
        seed=seed,
        callback=callback,
        **options,
    )
    if result.outcome == "infeasible":
        reason = explainer.explain_infeasible(posed)
        result = replace(result, message=reason or result.message)
    return _plan_of(result, explainer, posed, notes)


def _grouped(
    explainer: AnyExplainer, by_group: bool | None, solver: str | Solver[Any]
) -> AnyExplainer:
    """Return the explainer of a plan by group where the fleet is large, or where it is asked."""
    if explainer.problem != GroupedExplainer.problem:
        if by_group:
            raise InputError.at(
                "by_group", f"is for cut_and_resources, and this asks {explainer.problem}; drop it"
            )
        return explainer
    if has_choices(explainer.scenario):
        if by_group:
            raise InputError.at(
                "by_group",
                f"is for devices that choose a cut alone, and these choose more ({CHOSEN}); drop "
                "it",
            )
        return explainer
    if explainer.scenario.robust is not None:
        if by_group:
            raise InputError.at(
                "by_group", "is not for worst cases, which look at every device; drop 'robust'"
            )
        return explainer
    if by_group is None:
        name = solver if isinstance(solver, str) else solver.name
        large = explainer.scenario.device_count() > BY_GROUP_ABOVE
        by_group = large and name in ("auto", "exact")
    return _by_group(explainer) if by_group else explainer


def _by_group(explainer: AnyExplainer) -> AnyExplainer:
    return GroupedExplainer(explainer.scenario, explainer.profile, explainer.objective)


def _of_scheme(scheme: str, problem: str | None, objective: str | None) -> tuple[str, str]:
    """Return problem and objective of a scheme whose common cut is asked for."""
    check_choice("scheme", scheme, (*SCHEMES, u_shaped.SCHEME))
    if problem not in (None, CommonCut.name):
        raise InputError.at(
            "scheme", f"asks for {CommonCut.name}, and problem is {problem!r}; give one of both"
        )
    if objective not in (None, scheme):
        raise InputError.at(
            "scheme", f"is the objective itself, and objective is {objective!r}; give one of both"
        )
    return CommonCut.name, scheme


def _expect_pipeline(problem: str | None) -> None:
    """Reject another problem than that of a U shape."""
    if problem not in (None, PipelinePartition.name):
        raise InputError.at(
            "scheme",
            f"is {u_shaped.SCHEME!r}, which asks for {PipelinePartition.name}, and problem is "
            f"{problem!r}; give one of both",
        )


def _in_order(scenario: Scenario, server_order: str, objective: str | None) -> Scenario:
    """Return a scenario in which SplitFedV2 serves in an order."""
    check_choice("server_order", server_order, SERVER_ORDERS)
    if objective != "splitfed_v2":
        raise InputError.at("server_order", "is for the scheme splitfed_v2; leave it out")
    training = scenario.training._with(server_order=server_order)
    return scenario._with(training=training)


def default_problem(scenario: Scenario) -> str:
    """Return the problem that a section of a scenario asks for, the first of all without one.

    With replication it is ``replicated_pipeline``, with accelerators ``graph_partition``, with
    generators ``generator_pairing``, with compute nodes ``pipeline_partition``, with distributions
    ``cut_under_uncertainty``, with clusters alone ``cut_and_clusters`` if their cut is left open
    and ``cluster_and_spectrum`` if it is named, otherwise ``cut_and_resources``: of several the
    last in the registry, because a problem builds on the sections of those before it.
    """
    planned = explained_problems()
    for problem in reversed(planned):
        if explainer_of(problem).is_asked_by(scenario):
            return problem
    return planned[0]


def _plan_of(
    result: Result,
    explainer: AnyExplainer,
    problem: Problem[Any] | None,
    notes: Sequence[str],
) -> Plan:
    """Build the plan of a result, with all that it was made from."""
    summary = result.to_dict()
    for left_out in ("format", "version", "problem", "objective_name", "decision"):
        del summary[left_out]
    summary["versions"] = {"splitopt": installed_version("splitopt"), **summary["versions"]}
    decision = result.decision if result.is_feasible else None
    prediction: Prediction | None = None
    if decision is not None and problem is not None:
        computed: Prediction = promise(explainer, problem, decision)
        confidence = summary["details"].get("confidence")
        prediction = computed.model_copy(update={"confidence": confidence})
    bound = None if prediction is None else prediction.bound_by_leakage()
    scenario, profile, sketch = explainer.scenario, explainer.profile, explainer.sketch()
    return Plan(
        problem=result.problem,
        objective=result.objective_name,
        scenario=scenario.to_planned(),
        profile=profile.to_dict(),
        decision=None if decision is None else decision.to_dict(),
        prediction=None if prediction is None else prediction.to_dict(),
        result=PlanResult(summary),
        notes=(
            *notes,
            *(() if prediction is None else prediction.remarks()),
            *work_notes(profile.uncounted),
            *([note_of(profile.sample_gradients)] if profile.sample_gradients else ()),
            *explainer.notes(),
            *machine_notes(explainer.machines, explainer.counts_messages, scenario, profile),
            *guess_notes(sketch, profile, bound),
            *unused_note(sketch, explainer.used_with(result.solver)),
        ),
    )


class OpenedPlan(NamedTuple):
    """The live objects that a plan was made of.

    Without a decision there may be no problem either: nothing could be built that might have one.
    ``plan`` is the plan with its prediction computed anew, ``prediction`` the same as a value.
    """

    scenario: Scenario
    profile: ModelProfile
    problem: Problem[Any] | None
    decision: Decision | None
    plan: Plan
    prediction: Prediction | None = None


def by_device(opened: OpenedPlan, source: str = "plan") -> OpenedPlan:
    """Return an opened plan about every single device, which most uses of a plan need.

    Raises
    ------
    InputError
        The plan is by group, of more devices than can be looked at one by one.
    """
    try:
        opened.scenario.expect_single("this takes a plan")
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    scenario = opened.scenario.listed()
    opened = opened._replace(scenario=scenario)
    if not isinstance(opened.decision, GroupedDecision):
        return opened
    kind = explainer_of(opened.plan.problem, source)
    explainer = kind(scenario, opened.profile, opened.plan.objective)
    problem: Problem[Any] = explainer.pose()
    decision = opened.decision.by_device()
    found: Prediction = promise(explainer, problem, decision)
    plan = replace(opened.plan, decision=decision.to_dict(), prediction=found.to_dict())
    return opened._replace(problem=problem, decision=decision, plan=plan, prediction=found)


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
    explainer = explainer_of(saved.problem, source)(scenario, profile, saved.objective)
    single = saved.decision is not None or scenario.robust is not None or has_choices(scenario)
    large = not single and scenario.device_count() > BY_GROUP_ABOVE
    if (large or is_grouped(saved.decision)) and saved.problem == GroupedExplainer.problem:
        explainer = _by_group(explainer)
    try:
        problem = explainer.pose()
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
    prediction: Prediction = checked_prediction(saved, explainer, problem, decision, source)
    shown = replace(saved, prediction=prediction.to_dict())
    return OpenedPlan(scenario, profile, problem, decision, shown, prediction)
