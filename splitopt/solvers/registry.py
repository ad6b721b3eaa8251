"""The solvers by problem and name, and whether each is installed, licensed and capable."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import CapabilityError, InputError, shown
from splitopt.plugins import entry_points
from splitopt.problems.base import Problem
from splitopt.solvers.base import Solver
from splitopt.solvers.typed import checked_options

_CUT = "splitopt.solvers.cut_and_resources"
_CLUSTER = "splitopt.solvers.cluster_and_spectrum"
_JOINT = "splitopt.solvers.cut_and_clusters"
_PIPELINE = "splitopt.solvers.pipeline_partition"
_UNCERTAIN = "splitopt.solvers.cut_under_uncertainty"
_COMMON = "splitopt.solvers.common_cut"
_PAIRING = "splitopt.solvers.generator_pairing"
_TIME = "splitopt.solvers.time_to_accuracy"
_GRAPH = "splitopt.solvers.graph_partition"
_STAGES = "splitopt.solvers.replicated_pipeline"

SOLVERS: dict[str, dict[str, str]] = {
    "cut_and_resources": {
        "exact": f"{_CUT}.exact:Exact",
        "enumerate": f"{_CUT}.enumeration:Enumerate",
        "price_consensus": f"{_CUT}.price_consensus:PriceConsensus",
        "block_descent": f"{_CUT}.block_descent:BlockDescent",
        "equal_share": f"{_CUT}.rules:EqualShare",
        "proportional_share": f"{_CUT}.rules:ProportionalShare",
        "nearest_server": f"{_CUT}.association:NearestServer",
        "greedy_association": f"{_CUT}.association:GreedyAssociation",
        "faaf": f"{_CUT}.baselines:Faaf",
        "fsaf": f"{_CUT}.baselines:Fsaf",
        "fspf": f"{_CUT}.baselines:Fspf",
        "sf3af": f"{_CUT}.baselines:Sf3af",
        "sf3pf": f"{_CUT}.baselines:Sf3pf",
        "random_search": f"{_CUT}.random_search:RandomSearch",
        "differential_evolution": f"{_CUT}.differential_evolution:DifferentialEvolution",
        "dual_annealing": f"{_CUT}.dual_annealing:DualAnnealing",
        "genetic": f"{_CUT}.genetic:Genetic",
        "dp_mora": f"{_CUT}.dp_mora:DpMora",
        "scip": f"{_CUT}.backends:Scip",
        "gurobi": f"{_CUT}.backends:Gurobi",
        "cvxpy:SCIP": f"{_CUT}.backends:CvxpyScip",
        "cvxpy:GUROBI": f"{_CUT}.backends:CvxpyGurobi",
        "cp_sat": f"{_CUT}.cp_sat:CpSat",
        "pyomo:scip_direct": f"{_CUT}.backends:PyomoScip",
        "pyomo:gurobi_direct_minlp": f"{_CUT}.backends:PyomoGurobi",
    },
    "cluster_and_spectrum": {
        "set_partition": f"{_CLUSTER}.set_partition:SetPartition",
        "anneal": f"{_CLUSTER}.annealing:Anneal",
        "enumerate": f"{_CLUSTER}.enumeration:Enumerate",
        "gibbs": f"{_CLUSTER}.gibbs:Gibbs",
        "similar_compute": f"{_CLUSTER}.rules:SimilarCompute",
        "random_clusters": f"{_CLUSTER}.rules:RandomClusters",
        "highs": f"{_CLUSTER}.backends:Highs",
        "scip": f"{_CLUSTER}.backends:Scip",
        "gurobi": f"{_CLUSTER}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_CLUSTER}.backends:PyomoGurobi",
    },
    "cut_and_clusters": {
        "set_partition": f"{_JOINT}.set_partition:SetPartition",
        "enumerate": f"{_JOINT}.enumeration:Enumerate",
        "highs": f"{_JOINT}.backends:Highs",
        "scip": f"{_JOINT}.backends:Scip",
        "gurobi": f"{_JOINT}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_JOINT}.backends:PyomoGurobi",
    },
    "pipeline_partition": {
        "subset_dp": f"{_PIPELINE}.subset_dp:SubsetDp",
        "enumerate": f"{_PIPELINE}.enumeration:Enumerate",
        "highs": f"{_PIPELINE}.backends:Highs",
        "scip": f"{_PIPELINE}.backends:Scip",
        "gurobi": f"{_PIPELINE}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_PIPELINE}.backends:PyomoGurobi",
        "order_search": f"{_PIPELINE}.order_search:OrderSearch",
        "manual": f"{_PIPELINE}.manual:Manual",
    },
    "cut_under_uncertainty": {
        "saa": f"{_UNCERTAIN}.saa:Saa",
        "enumerate": f"{_UNCERTAIN}.enumeration:Enumerate",
        "highs": f"{_UNCERTAIN}.backends:Highs",
        "scip": f"{_UNCERTAIN}.backends:Scip",
        "gurobi": f"{_UNCERTAIN}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_UNCERTAIN}.backends:PyomoGurobi",
    },
    "common_cut": {
        "enumerate": f"{_COMMON}.enumeration:Enumerate",
    },
    "generator_pairing": {
        "set_cover": f"{_PAIRING}.set_cover:SetCover",
        "greedy": f"{_PAIRING}.greedy:Greedy",
        "algorithm2": f"{_PAIRING}.algorithm2:Algorithm2",
        "enumerate": f"{_PAIRING}.enumeration:Enumerate",
        "highs": f"{_PAIRING}.backends:Highs",
        "scip": f"{_PAIRING}.backends:Scip",
        "gurobi": f"{_PAIRING}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_PAIRING}.backends:PyomoGurobi",
    },
    "time_to_accuracy": {
        "exact": f"{_TIME}.exact:Exact",
        "enumerate": f"{_TIME}.enumeration:Enumerate",
        "uniform_batch": f"{_TIME}.common_plans:UniformBatch",
        "no_model": f"{_TIME}.no_model:NoModel",
        "hasfl": f"{_TIME}.hasfl:Hasfl",
        "adaptsfl": f"{_TIME}.adaptsfl:AdaptSfl",
        "pyomo:scip_direct": f"{_TIME}.backends:PyomoScip",
    },
    "graph_partition": {
        "ideals": f"{_GRAPH}.ideals:ByIdeals",
        "chains": f"{_GRAPH}.chains:Chains",
        "enumerate": f"{_GRAPH}.enumeration:Enumerate",
        "highs": f"{_GRAPH}.backends:Highs",
        "scip": f"{_GRAPH}.backends:Scip",
        "gurobi": f"{_GRAPH}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_GRAPH}.backends:PyomoGurobi",
    },
    "replicated_pipeline": {
        "counts_dp": f"{_STAGES}.counts_dp:CountsDp",
        "alike_devices": f"{_STAGES}.alike_devices:AlikeDevices",
        "enumerate": f"{_STAGES}.enumeration:Enumerate",
        "highs": f"{_STAGES}.backends:Highs",
        "scip": f"{_STAGES}.backends:Scip",
        "gurobi": f"{_STAGES}.backends:Gurobi",
        "pyomo:gurobi_direct_minlp": f"{_STAGES}.backends:PyomoGurobi",
    },
}
"""Problem -> solver -> ``module:class``, the preferred one first; a new solver is one line here."""

ENTRY_POINTS = "splitopt.solvers"
"""Group of entry points through which another package brings solvers."""


def installed_solvers(problem: str) -> dict[str, str]:
    """Return solver -> ``module:class`` of other installed packages for a problem.

    They are entry points of the group `ENTRY_POINTS`, named ``PROBLEM.SOLVER``; a name that
    splitopt itself uses is left out.
    """
    own = SOLVERS.get(problem, {})
    named = ((*point.name.partition("."), point.value) for point in entry_points(ENTRY_POINTS))
    return {
        solver: value
        for found, _, solver, value in named
        if found == problem and solver and solver not in own
    }


def solver_names(problem: str) -> list[str]:
    """Names of all solvers for a problem, splitopt's own first."""
    return [*SOLVERS.get(problem, {}), *installed_solvers(problem)]


def solver_class(problem: str, name: str) -> type[Solver[Any]]:
    """Return the class of a solver by its problem and name."""
    own = SOLVERS.get(problem, {})
    if not isinstance(name, str):
        raise InputError.at(
            "solver", f"is {shown(name)}, it must be a name or an object of a solver's class"
        )
    place = own.get(name) or installed_solvers(problem).get(name)
    if place is None:
        known = solver_names(problem)
        raise InputError(
            f"solver {shown(name)} is unknown for {problem}; known are "
            f"{', '.join(known) or 'none'}{did_you_mean(name, ('auto', *known))}"
        )
    module, _, attribute = place.partition(":")
    if name in own:
        found: type[Solver[Any]] = getattr(importlib.import_module(module), attribute)
        return found
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise InputError(
            f"solver {name!r}: its package fails to load {place} ({type(error).__name__}: {error})"
        ) from None
    if not (isinstance(found, type) and issubclass(found, Solver)):
        raise InputError(f"solver {name!r}: {place} is not a solver class")
    return found


def with_options(solver: type[Solver[Any]], options: Mapping[str, Any]) -> Solver[Any]:
    """Return a solver with these hyper-parameters.

    Raises
    ------
    InputError
        The solver has no such option, its value is of another type, or is refused.
    """
    for key in options:
        if key in solver.removed:
            raise InputError(
                f"solver {solver.name!r} has no option {key!r} any more: {solver.removed[key]}"
            )
    return solver(**checked_options(solver, options))


def make_solver(problem: Problem[Any], solver: str | Solver[Any], **options: Any) -> Solver[Any]:
    """Return the solver to use: an instance as it is, a name, or ``"auto"``.

    Raises
    ------
    InputError
        The name or an option is unknown, or an option's value is refused.
    CapabilityError
        The solver cannot take this problem; the message names those that can.
    """
    if isinstance(solver, Solver):
        if options:
            raise InputError("options go with a solver's name, not with a solver object")
        chosen = solver
    elif solver == "auto":
        chosen = _automatic(problem)
        if options:
            chosen = with_options(type(chosen), options)
    else:
        chosen = with_options(solver_class(problem.name, solver), options)
    if reason := why_not(chosen, problem):
        fitting = ", ".join(capable(problem))
        raise CapabilityError(f"solver {chosen.name!r} {reason}; these would work: {fitting}")
    return chosen


def refuse_warmth(problem: Problem[Any], solver: Solver[Any], *, start: bool, prices: bool) -> None:
    """Reject a start or prices that a solver would not use.

    Raises
    ------
    CapabilityError
        It uses none of these; the message names the solvers that do.
    """
    takes: Callable[[type[Solver[Any]]], bool]
    for given, takes, words in (
        (start, lambda kind: kind.can_start(), "a decision ('start')"),
        (prices, lambda kind: kind.takes_prices, "prices ('prices')"),
    ):
        if given and not takes(type(solver)):
            fitting = [
                name for name in _capable(problem) if takes(solver_class(problem.name, name))
            ]
            others = f"these would: {', '.join(fitting)}" if fitting else "no solver of it does"
            raise CapabilityError(f"solver {solver.name!r} does not start from {words}; {others}")


def why_not(solver: Solver[Any], problem: Problem[Any]) -> str | None:
    """Return why a solver cannot take a problem (not installed, licensed or capable), or None."""
    if solver.problem != problem.name:
        return f"is for {solver.problem}, not for {problem.name}"
    for module in (*solver.requires, *solver.apart):
        if importlib.util.find_spec(module) is None:
            return f"needs the package {module!r}, which is not installed"
    if problem.plain.objective not in solver.objectives:
        return f"does not take the objective {problem.objective!r}"
    if problem.by_group and not solver.by_group:
        return "plans device by device, and this question is asked by group"
    if problem.robust and not solver.robust:
        return "plans for the nominal seconds, and this question is about slow devices or a quorum"
    return solver.licence() or solver.refusal(problem.plain)


def capable(problem: Problem[Any]) -> list[str]:
    """Names of the registered solvers that can take this problem, the preferred one first."""
    return list(_capable(problem))


def _capable(problem: Problem[Any]) -> Iterator[str]:
    """Yield them one by one, since asking a back end for its licence takes a while."""
    for name in SOLVERS.get(problem.name, {}):
        if why_not(solver_class(problem.name, name)(), problem) is None:
            yield name


def _automatic(problem: Problem[Any]) -> Solver[Any]:
    for name in _capable(problem):
        return solver_class(problem.name, name)()
    raise CapabilityError(f"no solver is there for {problem.name} ({problem.objective})")
