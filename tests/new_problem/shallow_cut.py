"""A problem that is not in the package: which one cut leaves the devices least to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.problems.base import Problem
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


@dataclass(frozen=True)
class ShallowCutDecision:
    """The cut of all devices, from 0."""

    cut: int

    def to_dict(self) -> dict[str, Any]:
        return {"problem": "shallow_cut", "cut": self.cut}


@dataclass(frozen=True, eq=False)
class ShallowCut(Problem[ShallowCutDecision]):
    """The seconds of all devices together at every cut, which are to be least."""

    name: ClassVar[str] = "shallow_cut"
    objectives: ClassVar[tuple[str, ...]] = ("work",)
    decision_class: ClassVar[type[Any]] = ShallowCutDecision

    seconds: np.ndarray
    objective: str = "work"

    def evaluate(self, decision):
        return float(self.seconds[decision.cut])

    def violations(self, decision):
        return {} if 0 <= decision.cut < self.seconds.size else {"cut": 1.0}

    def infeasibility(self):
        return None if self.seconds.size else "there is no cut"

    def bound(self):
        return 0.0

    def decode(self, document: Mapping[str, Any], source: str = "decision"):
        return ShallowCutDecision(document["cut"])

    def data(self):
        return {"seconds": self.seconds}

    @classmethod
    def from_data(cls, data, objective, source):
        return cls(np.asarray(data["seconds"]), objective)

    @classmethod
    def from_scenario(cls, scenario, profile=None, objective=""):
        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        work = profile.device_forward_flop + profile.device_backward_flop
        slowness = sum(device.samples / device.compute for device in scenario.fleet())
        return cls(work * slowness, objective or "work")


@dataclass(frozen=True)
class Enumerate(Solver[ShallowCut]):
    """Try every cut."""

    name: ClassVar[str] = "enumerate"
    problem: ClassVar[str] = "shallow_cut"
    objectives: ClassVar[frozenset[str]] = frozenset(ShallowCut.objectives)
    kind: ClassVar[Kind] = "exact"

    def run(self, problem: ShallowCut, search: Search) -> StopReason:
        for cut in range(problem.seconds.size):
            search.propose(ShallowCutDecision(cut))
        search.prove(float(problem.seconds.min()))
        return "proved"
