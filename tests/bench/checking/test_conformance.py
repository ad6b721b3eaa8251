"""The conformance suite passes on splitopt's own solvers and fails on bad ones."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import pytest

from splitopt.bench.checking.conformance import CHECKS, check_solver
from splitopt.bench.entrants.entrant import Entrant
from splitopt.solvers.registry import SOLVERS, solver_class

LONG = {
    ("cluster_and_spectrum", "anneal"),
    ("cluster_and_spectrum", "gibbs"),
    ("cluster_and_spectrum", "gurobi"),
    ("cluster_and_spectrum", "highs"),
    ("cluster_and_spectrum", "pyomo:gurobi_direct_minlp"),
    ("cluster_and_spectrum", "scip"),
    ("cut_and_clusters", "gurobi"),
    ("cut_and_clusters", "highs"),
    ("cut_and_clusters", "pyomo:gurobi_direct_minlp"),
    ("cut_and_clusters", "scip"),
    ("cut_and_resources", "cvxpy:GUROBI"),
    ("cut_and_resources", "cvxpy:SCIP"),
    ("cut_and_resources", "differential_evolution"),
    ("cut_and_resources", "dp_mora"),
    ("cut_and_resources", "dual_annealing"),
    ("cut_and_resources", "enumerate"),
    ("cut_and_resources", "exact"),
    ("cut_and_resources", "genetic"),
    ("cut_and_resources", "gurobi"),
    ("cut_and_resources", "pyomo:gurobi_direct_minlp"),
    ("cut_and_resources", "pyomo:scip_direct"),
    ("cut_and_resources", "random_search"),
    ("cut_and_resources", "scip"),
    ("cut_and_resources", "sf3af"),
    ("cut_and_resources", "sf3pf"),
    ("cut_under_uncertainty", "gurobi"),
    ("cut_under_uncertainty", "highs"),
    ("cut_under_uncertainty", "pyomo:gurobi_direct_minlp"),
    ("cut_under_uncertainty", "saa"),
    ("cut_under_uncertainty", "scip"),
    ("graph_partition", "enumerate"),
    ("graph_partition", "gurobi"),
    ("graph_partition", "highs"),
    ("graph_partition", "ideals"),
    ("graph_partition", "pyomo:gurobi_direct_minlp"),
    ("graph_partition", "scip"),
    ("pipeline_partition", "gurobi"),
    ("pipeline_partition", "highs"),
    ("pipeline_partition", "pyomo:gurobi_direct_minlp"),
    ("pipeline_partition", "scip"),
    ("replicated_pipeline", "enumerate"),
    ("replicated_pipeline", "gurobi"),
    ("replicated_pipeline", "highs"),
    ("replicated_pipeline", "pyomo:gurobi_direct_minlp"),
    ("replicated_pipeline", "scip"),
    ("time_to_accuracy", "enumerate"),
    ("time_to_accuracy", "pyomo:scip_direct"),
}
"""Those that take seconds in all, on tens of instances; other tests know their optima too."""


@pytest.mark.every_case
@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("problem", "name"),
    [
        pytest.param(problem, name, marks=[pytest.mark.slow] * ((problem, name) in LONG))
        for problem, known in SOLVERS.items()
        for name in known
    ],
)
def test_own_solvers_conform(problem: str, name: str) -> None:
    """Every registered solver that can run here passes every check."""
    found = solver_class(problem, name)
    known = {field.name for field in dataclasses.fields(found)}  # type: ignore[arg-type]
    options = {"max_evaluations": 500} if "max_evaluations" in known else {}
    for module in (*found.requires, *found.apart):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    if reason := found().licence():
        pytest.skip(reason)
    checks = check_solver(Entrant(problem, name, options))
    assert [check for check in checks if check.status == "failed"] == []
    done = {check.name for check in checks if check.status == "passed"}
    assert done >= CHECKS.keys() - {
        "exact solver reaches the optimum",
        "same object and seed give the same answer",
    }


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("lies_about_objective", "objective, feasibility and gap are as claimed", "objective"),
        ("lies_about_feasibility", "objective, feasibility and gap are as claimed", "feasible"),
        ("lies_about_bound", "bound is not above the optimum", "above the optimum"),
        ("lies_about_infeasibility", "finds a feasible decision", "infeasible"),
        ("raises", "keeps the result contract", "ZeroDivisionError"),
        ("forgets_the_seed", "same object and seed give the same answer", "then"),
        ("changes_the_problem", "leaves the problem as it was", "not what they were"),
    ],
)
def test_a_bad_solver_fails_the_check_that_is_meant_for_it(
    bad_solvers: Path, name: str, check: str, words: str
) -> None:
    """Each kind of fault is found under its own name."""
    found = check_solver(Entrant("cut_and_resources", name, file=str(bad_solvers)))
    messages = [item.message for item in found if item.name == check and item.status == "failed"]
    assert messages
    assert words in messages[0]


@pytest.mark.slow
def test_a_seeded_search_conforms(bad_solvers: Path) -> None:
    """A solver of a user's file that keeps the contract passes all that is asked of it."""
    entrant = Entrant("cut_and_resources", "draws_with_the_seed", file=str(bad_solvers))
    found = check_solver(entrant)
    assert {item.status for item in found} == {"passed", "skipped"}
    skipped = {item.name for item in found if item.status == "skipped"}
    assert skipped == {"exact solver reaches the optimum", "takes the instance"}


LATE = """
from dataclasses import dataclass
from typing import ClassVar
from splitopt.solvers.base import Kind, Solver

@dataclass(frozen=True)
class Late(Solver):
    name: ClassVar[str] = "late"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset] = frozenset({"sum"})
    kind: ClassVar[Kind] = "heuristic"

    def run(self, problem, search):
        return "time"
"""


def test_no_answer_in_time_is_skipped_by_name(tmp_path: Path) -> None:
    """A host may be so busy; what is wrong whatever the time is found by the other checks."""
    file = tmp_path / "late.py"
    file.write_text(LATE)
    found = check_solver(Entrant("cut_and_resources", "late", file=str(file)), time_limit_s=0.5)
    names = ("finds a feasible decision", "says that an instance has no answer")
    kept = [(item.status, item.message) for item in found if item.name == names[0]]
    assert set(kept) == {("skipped", "ran into the time limit of 0.5 s")}
    assert len(kept) > 10
    assert [item.status for item in found if item.name == names[1]]
    assert "failed" not in {item.status for item in found}
