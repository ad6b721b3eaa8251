"""`algorithm2`: IoTSL's Algorithm 2 as printed, and with what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from splitopt.documents.checks import check_choice
from splitopt.problems.base import BoolArray, IntArray
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver

PICKS = ("last", "first", "cheapest")
COUNTS = ("printed", "stated")
_MOST_NAMED = 3


@dataclass(frozen=True)
class Algorithm2(Solver[GeneratorPairing]):
    """One generator for every device that lacks classes: one that covers all of them at once.

    As printed, the loop over generators (lines 11 to 15) has no break, so that the last one that
    fits is sent; where none fits, G_j in line 17 is undefined and the device gets nothing. The run
    then has no decision, and its message names the devices and what they lack: that other solvers
    may have one is no contradiction.

    Parameters
    ----------
    pick
        ``"last"`` that fits, as printed; ``"first"``, as a break would have it; ``"cheapest"``.
    counts
        Which classes a device has: ``"printed"``, those of which it has any sample; ``"stated"``,
        those of which it has the least number of samples, as the paper's text asks.
    """

    name: ClassVar[str] = "algorithm2"
    problem: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[frozenset[str]] = frozenset(GeneratorPairing.objectives)
    kind: ClassVar[Kind] = "rule"
    partial: ClassVar[bool] = True

    pick: str = "last"
    counts: str = "printed"

    def __post_init__(self) -> None:
        check_choice("pick", self.pick, PICKS)
        check_choice("counts", self.counts, COUNTS)

    def run(self, problem: GeneratorPairing, search: Search) -> StopReason:
        """Propose the pairing, if every device has a partner, and prove the cheap bound."""
        has = problem.classes if self.counts == "printed" else problem.present
        partners = [self._partner(problem, i, has) for i in range(problem.devices)]
        without = [i for i, found in enumerate(partners) if found is None]
        search.details["devices_without_answer"] = len(without)
        search.prove(problem.bound())
        if without:
            search.message = _words(problem, without, has)
            return "converged"
        rows = [np.empty(0, dtype=np.int64) if row is None else row for row in partners]
        search.propose(GeneratorPairingDecision(tuple(rows)))
        return search.stop() or "converged"

    def _partner(self, problem: GeneratorPairing, i: int, has: BoolArray) -> IntArray | None:
        """Return the sender for a device, none where it lacks nothing, None where nobody fits."""
        lacking = ~has[i]
        if not lacking.any():
            return np.empty(0, dtype=np.int64)
        fits: IntArray = np.flatnonzero(problem.covers[:, lacking].all(axis=1))
        fits = fits[fits != i]
        if not fits.size:
            return None
        if self.pick == "cheapest":
            place = int(np.argmin(problem.cost[i, fits]))
        else:
            place = len(fits) - 1 if self.pick == "last" else 0
        return np.array([fits[place]], dtype=np.int64)


def _words(problem: GeneratorPairing, without: list[int], has: BoolArray) -> str:
    """Name the devices that have no partner, and the classes of the first of them."""
    first = without[0]
    labels = ", ".join(repr(problem.labels[c]) for c in np.flatnonzero(~has[first])[:10])
    more = [problem.called[i] for i in without[1:_MOST_NAMED]]
    rest = len(without) - 1 - len(more)
    others = f"; nor for {', '.join(more)}" if more else ""
    others += f" and {rest} more" if rest else ""
    return (
        f"Algorithm 2 has no answer for {problem.called[first]}: no single generator covers the "
        f"classes {labels} that it lacks{others}; set_cover sends several"
    )
