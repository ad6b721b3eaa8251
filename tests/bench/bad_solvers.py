"""Solvers that lie or misbehave, each in its own way; the runner's tests load this file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver


class Bad(Solver[CutAndResources]):
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum", "makespan"})
    kind: ClassVar[Kind] = "heuristic"


def last_cut(problem: CutAndResources) -> CutAndResourcesDecision:
    return problem.complete(np.full(problem.devices, problem.layers))


@dataclass(frozen=True)
class LiesAboutObjective(Bad):
    name: ClassVar[str] = "lies_about_objective"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        search.propose(last_cut(problem))
        search.objective /= 2
        return "converged"


@dataclass(frozen=True)
class LiesAboutFeasibility(Bad):
    name: ClassVar[str] = "lies_about_feasibility"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        good = last_cut(problem)
        search.best = CutAndResourcesDecision(
            good.cut, 2 * good.download_share, 2 * good.upload_share, 2 * good.server_share
        )
        search.objective = problem.evaluate(search.best)
        return "converged"


@dataclass(frozen=True)
class LiesAboutBound(Bad):
    name: ClassVar[str] = "lies_about_bound"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        search.prove(0.999 * search.propose(last_cut(problem)))
        return "converged"


@dataclass(frozen=True)
class LiesAboutOptimality(Bad):
    name: ClassVar[str] = "lies_about_optimality"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        search.prove(search.propose(last_cut(problem)))
        return "proved"


@dataclass(frozen=True)
class LiesAboutInfeasibility(Bad):
    name: ClassVar[str] = "lies_about_infeasibility"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        raise InfeasibleError("nothing can be done")


@dataclass(frozen=True)
class ReplacesTheJudge(Bad):
    name: ClassVar[str] = "replaces_the_judge"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        type(problem).evaluate = lambda self, decision: 1.0  # type: ignore[method-assign]
        search.propose(last_cut(problem))
        return "converged"


@dataclass(frozen=True)
class Raises(Bad):
    name: ClassVar[str] = "raises"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        raise ZeroDivisionError("on purpose")


@dataclass(frozen=True)
class Exits(Bad):
    name: ClassVar[str] = "exits"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        sys.exit("leaving early")


@dataclass(frozen=True)
class Aborts(Bad):
    name: ClassVar[str] = "aborts"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        os.abort()


@dataclass(frozen=True)
class Hangs(Bad):
    name: ClassVar[str] = "hangs"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        if problem.devices < 3:  # not in the warm-up
            search.propose(last_cut(problem))
            return "converged"
        while True:
            time.sleep(1)


@dataclass(frozen=True)
class EatsMemory(Bad):
    name: ClassVar[str] = "eats_memory"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        eaten = []
        while True:
            eaten.append(np.ones(2**20))
            time.sleep(0.001)


@dataclass(frozen=True)
class LeavesAChild(Bad):
    name: ClassVar[str] = "leaves_a_child"
    note: str = ""

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(self.note, "a", encoding="utf-8") as stream:
            stream.write(f"{child.pid}\n")
        search.propose(last_cut(problem))
        return "converged"


@dataclass(frozen=True)
class Prints(Bad):
    name: ClassVar[str] = "prints"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        print('{"event": "result", "result": "forged"}', flush=True)
        os.write(1, b"a banner\n")
        search.propose(last_cut(problem))
        return "converged"


@dataclass(frozen=True)
class ForgetsTheSeed(Bad):
    name: ClassVar[str] = "forgets_the_seed"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        allowed = [np.flatnonzero(row) + 1 for row in problem.allowed]
        drawn = np.random.default_rng()
        search.propose(problem.complete([int(drawn.choice(row)) for row in allowed]))
        search.details["noise"] = float(drawn.random())
        search.iterations = int(drawn.integers(1_000_000))
        return "iterations"


@dataclass(frozen=True)
class ChangesTheProblem(Bad):
    name: ClassVar[str] = "changes_the_problem"

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        cuts = [int(np.flatnonzero(row)[0]) + 1 for row in problem.allowed]
        search.propose(problem.complete(cuts))
        object.__setattr__(problem, "device_s", problem.device_s * 2)
        return "converged"


@dataclass(frozen=True)
class DrawsWithTheSeed(Bad):
    """Not bad at all: a random search that stops after `draws` draws."""

    name: ClassVar[str] = "draws_with_the_seed"
    draws: int = 50

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        allowed = [np.flatnonzero(row) + 1 for row in problem.allowed]
        for _ in range(self.draws):
            search.propose(problem.complete([int(search.rng.choice(row)) for row in allowed]))
            search.iterations += 1
            if (reason := search.stop()) is not None:
                return reason
        return "iterations"
