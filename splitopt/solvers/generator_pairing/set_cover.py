"""`set_cover`: the exact solver of `GeneratorPairing`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from splitopt.problems.base import IntArray
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.generator_pairing.capped import solve_capped
from splitopt.solvers.generator_pairing.fleet import ROUNDS, Fleet
from splitopt.solvers.generator_pairing.joint import solve_joint
from splitopt.solvers.generator_pairing.listing_loops import list_covers
from splitopt.solvers.generator_pairing.shortfall import pairing_within_caps
from splitopt.solvers.generator_pairing.single import cheapest_choice


@dataclass(frozen=True)
class SetCover(Solver[GeneratorPairing]):
    """Exact: a minimum-cost set cover for every device, and what couples them.

    Without caps, devices are solved one by one: by dynamic programming over the masks of their
    missing classes, or by HiGHS where a class needs several senders or quality counts, among the
    senders that prices of classes do not rule out. With caps, prices for sends make them choose
    on their own again, and HiGHS puts their choices together.
    """

    name: ClassVar[str] = "set_cover"
    problem: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[frozenset[str]] = frozenset(GeneratorPairing.objectives)
    kind: ClassVar[Kind] = "exact"
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    def load(self, problem: GeneratorPairing) -> None:  # noqa: ARG002 - small loops for all
        """Compile the loops."""
        load_loops()

    def run(self, problem: GeneratorPairing, search: Search) -> StopReason:
        """Search, propose decisions and prove their bounds."""
        fleet = Fleet(problem)
        if problem.limits is None:
            return _one_by_one(fleet, search)
        nobody: list[list[int]] = [[] for _ in range(problem.devices)]
        search.propose(problem.complete(nobody))
        search.prove(problem.bound())
        if reason := search.stop():
            return reason
        if search.best is None:
            pairing_within_caps(fleet, search)
        if fleet.is_masked:
            return search.stop() or solve_capped(problem, search)
        return search.stop() or solve_joint(fleet, search)


def _one_by_one(fleet: Fleet, search: Search) -> StopReason:
    """Solve device after device; where time ends, the others get senders greedily."""
    problem = fleet.problem
    found: list[IntArray] = [np.empty(0, dtype=np.int64) for _ in range(problem.devices)]
    bounds, reason = [0.0], None
    for i in fleet.receivers.tolist():
        if search.remaining_s <= 0 or search.asked_to_stop:
            reason = search.stop()
            break
        choice = cheapest_choice(fleet, i, search)
        found[i] = choice.senders
        bounds.append(choice.bound)
        search.iterations += 1
    if reason is not None:
        search.propose(problem.complete([row.tolist() for row in found]))
        search.prove(problem.bound())
    else:
        search.propose(GeneratorPairingDecision(tuple(found)))
    search.prove(math.fsum(bounds))
    return reason or search.stop() or "converged"


@cache
def load_loops() -> None:
    """Call every loop once in this process, so that none is compiled while a clock runs."""
    cost, table = np.ones((3, 3)), np.eye(3, dtype=np.bool_)
    problem = GeneratorPairing(cost, classes=table, labels=[0, 1, 2])
    fleet = Fleet(problem)
    fleet.cheapest(0)
    fleet.offers(0).price()
    room = np.empty((9, 2), dtype=np.int64)
    list_covers(fleet.costs(0), fleet.masks, fleet.missing[0], ROUNDS, 9.0, room)
