"""Plans of `TimeToAccuracy` whose cut, batch size and interval are given, to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.planning.planner import plan
from splitopt.plans import Plan
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.problems.time_to_accuracy.tables import largest_batches, parameter_share
from splitopt.profiles import ModelProfile
from splitopt.profiles.fitting.rounds_curve import Range, RoundsCurve
from splitopt.results import StopReason
from splitopt.scenario import Scenario
from splitopt.scenario.time_to_accuracy import TimeToAccuracySection
from splitopt.solvers.base import Kind, Search, Solver


@dataclass(frozen=True)
class Setting:
    """What a run is measured at: cut, samples of a batch (of each device), steps of an interval."""

    cut: int
    batch_size: int | tuple[int, ...]
    aggregation_interval: int = 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Its different batch sizes."""
        given = self.batch_size
        return (given,) if isinstance(given, int) else tuple(sorted(set(given)))

    @property
    def inverse(self) -> float:
        """Compute m, the mean of 1 / batch size over devices."""
        return float((1.0 / np.atleast_1d(np.array(self.batch_size, dtype=np.float64))).mean())

    def __str__(self) -> str:
        """Return it in words."""
        sizes = " and ".join(map(str, self.sizes))
        return f"batch {sizes}, cut {self.cut}, interval {self.aggregation_interval}"


@dataclass(frozen=True)
class _Given(Solver[TimeToAccuracy]):
    """Proposes one plan."""

    name: ClassVar[str] = "given"
    problem: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[frozenset[str]] = frozenset(TimeToAccuracy.objectives)
    kind: ClassVar[Kind] = "rule"

    setting: Setting

    def run(self, problem: TimeToAccuracy, search: Search) -> StopReason:
        """Propose it."""
        own = self.setting
        search.propose(problem.complete(own.cut, own.batch_size, own.aggregation_interval))
        return "converged"

    def options(self) -> dict[str, Any]:
        """Return nothing: the decision says it all."""
        return {}


def plan_at(scenario: Scenario, setting: Setting) -> Plan:
    """Return the plan of a setting, in which the curve of rounds is left open.

    Raises
    ------
    InfeasibleError
        A device cannot take it.
    """
    fleet = len(scenario.fleet())
    unknown = RoundsCurve(
        name="not measured yet",
        metric="rounds",
        target=1.0,
        rounds=1.0,
        batch_factor=0.0,
        interval_exponent=0.0,
        calibrated=dict.fromkeys(
            ("batch_size", "aggregation_interval", "parameter_share"), Range(0.0, 1e9)
        ),
        devices=fleet,
        step_rule={},
    )
    section = TimeToAccuracySection(
        curve=unknown,
        batch_size=setting.sizes,
        aggregation_interval=(setting.aggregation_interval,),
        extrapolate=True,  # the step rule is that of whoever measures
    )
    asked = scenario.model_copy(update={"time_to_accuracy": section})
    found = plan(asked, problem="time_to_accuracy", solver=_Given(setting))
    if found.decision is None:
        raise InfeasibleError(
            f"no run at {setting}: {found.result.get('message') or 'a device cannot take it'}; "
            "calibrate with other cuts or batch sizes"
        )
    return found


def corner_cuts(scenario: Scenario, profile: ModelProfile, sizes: tuple[int, int]) -> list[int]:
    """Return the cuts, 1..L, that all devices can take with the largest batch size.

    Raises
    ------
    InputError
        A device has fewer samples than the largest batch.
    InfeasibleError
        There is none.
    """
    few = min(scenario.fleet(), key=lambda device: device.samples)
    if few.samples < sizes[1]:
        raise InputError.at(
            "batch_size", f"is up to {sizes[1]}, and {few.name} has {few.samples} samples"
        )
    fits = (largest_batches(scenario, profile) >= sizes[1]).all(axis=0)
    if not fits.any():
        raise InfeasibleError(
            f"no cut is one that all devices can take with a batch of {sizes[1]}; calibrate with "
            "smaller ones"
        )
    return (np.flatnonzero(fits) + 1).tolist()


def share_at(profile: ModelProfile, cut: int) -> float:
    """Return the fraction of the parameters in the layers up to a cut."""
    return float(parameter_share(profile)[cut - 1])
