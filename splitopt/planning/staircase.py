"""What a limit on leakage costs: the optimum of a round for every limit, as a staircase.

A limit allows the cuts that leak no more than it (DP-MORA, C1), so that the optimum changes only
where the limit passes the leakage of a cut. From an optimum whose cuts leak M at most, the next
question is the largest leakage of a cut below M: between the two the optimum stays as it is, since
it is still allowed and a stricter limit allows nothing new. So every step is found by the solver,
each with its proof, by as many answers as the staircase has steps, and no limit is sampled (the
epsilon-constraint method of Haimes, Lasdon and Wismer 1971, whose next constraint is known here).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.planning.planner import default_problem, plan
from splitopt.plans import Plan
from splitopt.problems.base import BoolArray
from splitopt.problems.inputs import as_scenario
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.provenance import GUESS
from splitopt.scenario import Scenario
from splitopt.showing import Drawn
from splitopt.solvers.base import Solver

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

PROBLEM = "cut_and_resources"
_ABOUT = "the leakage of "
_SAME = 1e-9
"""Relative difference up to which two objectives are one."""


@dataclass(frozen=True)
class Stair:
    """One optimum, and the limits for which it is one.

    Parameters
    ----------
    limit
        The strictest limit that allows it: what its cuts leak at most.
    below
        It is the optimum for limits from `limit` up to, and not including, this one; None without
        an end.
    plan
        The certified plan.
    bound
        No plan within any of these limits has an objective below it.
    """

    limit: float
    below: float | None
    plan: Plan
    bound: float

    @property
    def objective(self) -> float:
        """The objective of the plan, in the unit of the staircase."""
        return float(self.plan.result["objective"])

    @property
    def round_s(self) -> float:
        """The seconds of a round."""
        assert self.plan.prediction is not None
        return float(self.plan.prediction["round_s"])

    @property
    def is_proved(self) -> bool:
        """Whether the solver proved the optimum, rather than ending with a gap."""
        return bool(self.plan.result["outcome"] == "optimal")

    @property
    def cuts(self) -> dict[str, int]:
        """How many devices cut behind which layer, in the order of layers."""
        assert self.plan.decision is not None
        layers, counts = self.plan.profile["layers"], Counter(self.plan.decision["cut"])
        return {layers[cut - 1]: counts[cut] for cut in sorted(counts)}

    def to_dict(self) -> dict[str, Any]:
        """Return the stair as JSON-ready data, with its plan."""
        return {
            "limit": self.limit,
            "below": self.below,
            "objective": self.objective,
            "bound": self.bound,
            "proved": self.is_proved,
            "round_s": self.round_s,
            "cuts": self.cuts,
            "plan": self.plan.to_dict(),
        }


@dataclass(frozen=True)
class Staircase(Drawn):
    """All optima over the limit on leakage, that of the loosest limits first.

    Parameters
    ----------
    name, model
        Of the scenario and of the profile.
    objective, unit
        Of the plans.
    state
        How the profile knows its leakage: measured, published, computed or a guess.
    stairs
        With ever stricter limits and ever larger objectives.
    message
        Why no plan meets a limit below that of the last stair.
    notes
        Sentences that a reader should know.
    """

    name: str
    model: str
    objective: str
    unit: str
    state: str | None
    stairs: tuple[Stair, ...]
    message: str | None
    notes: tuple[str, ...] = field(default=())

    @property
    def is_proved(self) -> bool:
        """Whether every stair is."""
        return all(stair.is_proved for stair in self.stairs)

    def at(self, limit: float) -> Stair | None:
        """Return the stair of a limit, None where no plan meets it."""
        return next((stair for stair in self.stairs if stair.limit <= limit), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the staircase as JSON-ready data."""
        return {
            "name": self.name,
            "model": self.model,
            "objective": self.objective,
            "unit": self.unit,
            "leakage_state": self.state,
            "stairs": [stair.to_dict() for stair in self.stairs],
            "message": self.message,
            "notes": list(self.notes),
        }


def leakage_staircase(
    scenario: ScenarioLike,
    *,
    objective: str = "makespan",
    solver: str | Solver[Any] = "auto",
    time_limit_s: float | None = None,
    rel_gap: float = _SAME,
    seed: int = 0,
    progress: Callable[[int, float], object] | None = None,
    **options: Any,
) -> Staircase:
    """Find the optimum of `CutAndResources` for every limit on leakage.

    Parameters
    ----------
    scenario
        As for `splitopt.plan`. Its ``privacy.leakage_limit`` is left aside; a device with a limit
        of its own keeps it.
    objective, solver, time_limit_s, rel_gap, seed, **options
        As for `splitopt.plan`, of every stair; the time limit is that of one.
    progress
        Called with the number of stairs found and the last one's limit.

    Returns
    -------
    Staircase
        Without stairs where not even a fleet without a limit has a plan.

    Raises
    ------
    InputError
        The profile has no leakage, every device has a limit of its own, or the scenario asks
        another question.
    """
    given = as_scenario(scenario)
    profile = given.load_model()
    follows = _checked(given, profile)
    assert profile.leakage is not None
    stairs: list[Stair] = []
    limit: float | None = None
    while True:
        found = plan(
            with_limit(given, limit), problem=PROBLEM, objective=objective, solver=solver,
            time_limit_s=time_limit_s, rel_gap=rel_gap, seed=seed, by_group=False,
            **options,
        )  # fmt: skip
        if found.decision is None:
            break
        cuts = np.asarray(found.decision["cut"])[follows] - 1
        own = float(profile.leakage[cuts].max())
        _add(stairs, found, own)
        if progress is not None:
            progress(len(stairs), own)
        stricter = profile.leakage[profile.leakage < own]
        if not stricter.size:
            break
        limit = float(stricter.max())
    prediction = stairs[0].plan.prediction if stairs else None
    return Staircase(
        name=given.name,
        model=profile.name,
        objective=objective,
        unit="s" if prediction is None else prediction["objective_unit"],
        state=profile.state_of("leakage"),
        stairs=tuple(stairs),
        message=found.result["message"] if found.decision is None else None,
        notes=_notes(profile, stairs),
    )


def with_limit(scenario: Scenario, limit: float | None) -> Scenario:
    """Return a scenario with another limit on leakage; devices' own limits stay."""
    privacy = scenario.privacy.model_copy(update={"leakage_limit": limit})
    return scenario.model_copy(update={"privacy": privacy})


def _add(stairs: list[Stair], found: Plan, leaked: float) -> None:
    """Add an optimum; one as good as that before, which leaks less, takes its place.

    So does a better one, which a solver that proves nothing may find behind a worse one.
    """
    value, below = float(found.result["objective"]), None
    bound = found.result["bound"]
    bound = 0.0 if bound is None else float(bound)
    while stairs and value <= stairs[-1].objective * (1 + _SAME):
        replaced = stairs.pop()
        bound = min(bound, replaced.bound)
    if stairs:
        below = stairs[-1].limit
    stairs.append(Stair(leaked, below, found, bound))


def _checked(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Return which devices follow the limit, shape (N,); raise `InputError` where none can."""
    asked = default_problem(scenario)
    if asked != PROBLEM:
        raise InputError(
            f"the scenario asks for {asked}, and a limit on leakage is traded against time in "
            f"{PROBLEM} alone: leave out its own section"
        )
    if profile.leakage is None:
        raise InputError(
            f"the profile {profile.name!r} has no leakage for its cuts; 'splitopt leakage MODEL "
            "--into PROFILE.json' measures it"
        )
    follows = np.array([device.leakage_limit is None for device in scenario.fleet()])
    if not follows.any():
        raise InputError(
            "devices: each has a leakage_limit of its own, so that none follows a common one; "
            "leave out some"
        )
    return follows


def _notes(profile: ModelProfile, stairs: list[Stair]) -> tuple[str, ...]:
    """Return the notes of the plans, with one of how the leakage is known, for all limits."""
    found = [note for note in (stairs[-1].plan.notes if stairs else ()) if _ABOUT not in note]
    state = profile.state_of("leakage")
    if state == GUESS:
        found.append(
            f"the leakage of {profile.name} is a guess: read the limits as an order of its cuts, "
            "not as amounts"
        )
    else:
        method = "" if profile.leakage_record is None else f": {profile.leakage_record.method}"
        known = f"is {state}" if state else "is given, and its profile does not say how it is known"
        found.append(f"the leakage of {profile.name} {known}{method}")
    return tuple(found)
