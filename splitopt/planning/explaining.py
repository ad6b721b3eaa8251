"""`Explainer`: what the planner asks about a plan, whichever problem it answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from splitopt.documents.schemas import Document
from splitopt.errors import InputError
from splitopt.planning.predictions import Prediction
from splitopt.problems.base import Problem
from splitopt.problems.registry import module_of, problem_class, problems_in
from splitopt.profiles import ModelProfile
from splitopt.results import Decision
from splitopt.scenario import Scenario

ProblemT = TypeVar("ProblemT", bound=Problem[Any])
DecisionT = TypeVar("DecisionT", bound=Decision)
PredictionT = TypeVar("PredictionT", bound=Prediction)

_PACKAGE = "splitopt.planning"


@dataclass(frozen=True)
class Explainer(ABC, Generic[ProblemT, DecisionT, PredictionT]):
    """A scenario that is planned, and what plans of it promise and rest on.

    Parameters
    ----------
    scenario, profile
        The fleet and its model.
    objective
        What is minimized.
    """

    problem: ClassVar[str]
    """The name of the problem."""
    section: ClassVar[str | None] = None
    """The section of a scenario that asks for this problem where the caller names none."""
    machines: ClassVar[tuple[str, ...]] = ("devices", "servers")
    """The sections of a scenario whose machines compute in this problem."""
    needs_fleet: ClassVar[bool] = True
    """Whether it is about devices, which one with accelerators or replication has not."""
    counts_messages: ClassVar[bool] = True
    """Whether its seconds include those that a machine model states per message."""
    searches: ClassVar[type[Document] | None] = None
    """The parts of a prediction that only `search` finds."""
    solver_fields: ClassVar[Mapping[str, Set[str]]] = {}
    """Solver -> fields of a scenario that only plans of this solver follow from."""

    scenario: Scenario
    profile: ModelProfile
    objective: str

    @classmethod
    def is_asked_by(cls, scenario: Scenario) -> bool:
        """Return whether a scenario asks for this problem where the caller names none."""
        return cls.section is not None and bool(getattr(scenario, cls.section))

    def sketch(self) -> Scenario:
        """Return the scenario, of a large fleet with a few of its devices: what words are about."""
        return self.scenario

    def prepare(self) -> tuple[Self, list[str]]:
        """Make the choices that a scenario leaves to the plan, with notes about them.

        Raises
        ------
        InfeasibleError
            No choice has a plan.
        """
        return self, []

    def pose(self) -> ProblemT:
        """Build the problem.

        Raises
        ------
        InfeasibleError
            Nothing can be built that might have an answer.
        """
        kind = problem_class(self.problem)
        return cast(ProblemT, kind.from_scenario(self.scenario, self.profile, self.objective))

    @abstractmethod
    def predict(self, problem: ProblemT, decision: DecisionT) -> PredictionT:
        """Compute what a decision leads to, without what only further searches find."""

    def search(self, problem: ProblemT, decision: DecisionT) -> Document | None:
        """Find the parts of a prediction that take further searches, an instance of `searches`."""

    def explain_infeasible(self, problem: ProblemT) -> str | None:
        """State what would have to change; None leaves it to the problem's own words."""

    @abstractmethod
    def notes(self) -> list[str]:
        """Return what a reader of a plan should know about its inputs, in sentences."""

    @abstractmethod
    def used(self) -> set[str]:
        """Name the fields of the scenario that a plan follows from, whatever its solver."""

    def used_with(self, solver: str) -> set[str]:
        """Name the fields of the scenario that a plan of a solver follows from."""
        return self.used() | self.solver_fields.get(solver, set())


AnyExplainer = Explainer[Any, Any, Any]


def explained_problems() -> tuple[str, ...]:
    """Return the problems that start from scenarios, in the order of the registry."""
    return problems_in(_PACKAGE)


def explainer_of(problem: str, source: str = "") -> type[AnyExplainer]:
    """Return the ``EXPLAINER`` of the module that has a problem's name in this package.

    Raises
    ------
    InputError
        There is no such problem, or it does not start from scenarios.
    """
    module = module_of(_PACKAGE, problem, source)
    if module is None:
        known = ", ".join(explained_problems())
        raise InputError.at(
            source, f"{problem} cannot be planned; the problems that can are {known}"
        )
    found: type[AnyExplainer] = module.EXPLAINER
    return found
