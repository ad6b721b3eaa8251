"""What protection costs: plans against more and more slow devices (the price of robustness).

Each plan is the best one in the worst case of at most G slow devices, with its proof. What it takes
if nobody is slow grows with G, and what an unprotected plan would take at worst stands beside it
(Bertsimas and Sim 2004, section 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.planning.planner import default_problem, open_plan, plan
from splitopt.plans import Plan
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.problem import RobustCutAndResources
from splitopt.problems.inputs import as_scenario
from splitopt.scenario import Robust, Scenario, Slow
from splitopt.solvers.base import Solver
from splitopt.storage.writing import write_json

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

FORMAT, VERSION = "splitopt-robust-curve", 1
PROBLEM = "cut_and_resources"


@dataclass(frozen=True)
class RobustPoint:
    """The best plan against so many slow devices.

    Parameters
    ----------
    slow
        How many may be slow at once.
    plan
        The certified plan.
    unprotected_s
        The worst case, with so many slow, of the plan against the fewest.
    """

    slow: float
    plan: Plan
    unprotected_s: float

    @property
    def worst_s(self) -> float:
        """The objective in the worst case."""
        return float(self.plan.result["objective"])

    @property
    def nominal_s(self) -> float:
        """The objective if nobody is slow."""
        assert self.plan.prediction is not None
        return float(self.plan.prediction["worst_case"]["nominal_s"])

    @property
    def gap(self) -> float | None:
        """The relative gap of the worst case to the bound, None without a bound."""
        found = self.plan.result["gap"]
        return None if found is None else float(found)

    @property
    def is_proved(self) -> bool:
        """Whether the solver proved the optimum, rather than ending with a gap."""
        return bool(self.plan.result["outcome"] == "optimal")


@dataclass(frozen=True)
class RobustCurve:
    """Plans against more and more slow devices.

    Parameters
    ----------
    name, model, objective
        Of the scenario, of the profile, and of the plans.
    devices, quorum
        How many there are, and how many a round waits for.
    compute, links
        The factors of a slow device.
    points
        By rising numbers of slow devices; it ends before one without a plan.
    message
        Why there is no plan, None where all were found.
    """

    name: str
    model: str
    objective: str
    devices: int
    quorum: int
    compute: float
    links: float
    points: tuple[RobustPoint, ...]
    message: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as JSON-ready data, with its plans."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "model": self.model,
            "objective": self.objective,
            "devices": self.devices,
            "quorum": self.quorum,
            "slow": {"compute": self.compute, "links": self.links},
            "points": [
                {
                    "slow_devices": point.slow,
                    "worst_s": point.worst_s,
                    "nominal_s": point.nominal_s,
                    "unprotected_s": point.unprotected_s,
                    "bound_s": point.plan.result["bound"],
                    "proved": point.is_proved,
                    "plan": point.plan.to_dict(),
                }
                for point in self.points
            ],
            "message": self.message,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_json(path, self.to_dict(), indent=1)


def robust_curve(
    scenario: ScenarioLike,
    slow: Sequence[float],
    *,
    objective: str = "makespan",
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
    rel_gap: float = 1e-9,
    seed: int = 0,
    progress: Callable[[int, float], object] | None = None,
    **options: Any,
) -> RobustCurve:
    """Find the best plan in the worst case for each of some numbers of slow devices.

    Parameters
    ----------
    scenario
        As for `splitopt.plan`, with a section ``robust`` that says by which factors a device is
        slow; its number of slow devices is left aside.
    slow
        Numbers of slow devices, from 0 to the number of devices, each once.
    objective, solver, time_limit_s, rel_gap, seed, **options
        As for `splitopt.plan`, of every plan; the time limit is that of one.
    progress
        Called with the number of plans found and the last number of slow devices.

    Raises
    ------
    InputError
        There is no such section, the scenario asks another question, or a number does not fit.
    """
    given = as_scenario(scenario)
    factors, numbers = _checked(given, slow)
    quorum = given.robust.quorum if given.robust is not None else None
    points: list[RobustPoint] = []
    message, first = None, None
    for number in numbers:
        asked = Robust(slow=factors._with(devices=number), quorum=quorum)
        found = plan(
            given._with(robust=asked), problem=PROBLEM, objective=objective, solver=solver,
            time_limit_s=time_limit_s, rel_gap=rel_gap, seed=seed, **options,
        )  # fmt: skip
        if found.decision is None:
            message = found.result["message"]
            break
        opened = open_plan(found)
        assert isinstance(opened.problem, RobustCutAndResources)
        assert isinstance(opened.decision, CutAndResourcesDecision)
        first = opened.decision if first is None else first
        points.append(RobustPoint(number, found, opened.problem.evaluate(first)))
        if progress is not None:
            progress(len(points), number)
    return RobustCurve(
        name=given.name,
        model=given.load_model().name,
        objective=objective,
        devices=given.device_count(),
        quorum=given.device_count() if quorum is None else quorum,
        compute=factors.compute,
        links=factors.links,
        points=tuple(points),
        message=message,
    )


def _checked(scenario: Scenario, slow: Sequence[float]) -> tuple[Slow, list[float]]:
    """Return the factors of a slow device, and the numbers in rising order."""
    asked = default_problem(scenario)
    if asked != PROBLEM:
        raise InputError(
            f"the scenario asks for {asked}, and slow devices are a question of {PROBLEM} alone: "
            "leave out its own section"
        )
    stated = None if scenario.robust is None else scenario.robust.slow
    if stated is None:
        raise InputError(
            "robust.slow: is missing; it says by which factors a slow device is slower, such as "
            "'robust: {slow: {devices: 1, compute: 2}}'"
        )
    if not slow:
        raise InputError.at("slow", "is empty; give numbers of slow devices, such as 0,1,2")
    fleet = scenario.device_count()
    for number in slow:
        if not is_number(number) or not 0 <= number <= fleet:
            raise InputError.at(
                "slow", f"has {number!r}; each must be a number from 0 to the {fleet:,} devices"
            )
    if len(set(slow)) < len(slow):
        raise InputError.at("slow", "has the same number twice")
    return stated, sorted(float(number) for number in slow)
