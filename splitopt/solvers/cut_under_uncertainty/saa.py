"""`saa`: sample average approximation of the cut (CPSL Alg. 2), with a bound on its own error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from splitopt.engine import Engine
from splitopt.errors import CapabilityError
from splitopt.problems.base import FloatArray
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
)
from splitopt.problems.cut_under_uncertainty.problem import clusters_by_latency
from splitopt.problems.cut_under_uncertainty.risk import CVAR, shortfall, value_at_risk
from splitopt.problems.digest import instance_digest
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_under_uncertainty.checkpoint import Checkpoint
from splitopt.solvers.cut_under_uncertainty.choosing import Choice, choose, replicated_gaps
from splitopt.solvers.cut_under_uncertainty.inner import Inner, automatic_inner
from splitopt.solvers.cut_under_uncertainty.intervals import (
    GapBound,
    gap_bound,
    mean_interval,
    paired,
)
from splitopt.solvers.cut_under_uncertainty.ledger import Ledger, Place, Stopped
from splitopt.solvers.cut_under_uncertainty.values import value_of_uncertainty
from splitopt.solvers.options import check_number, check_positive, check_whole


@dataclass(frozen=True)
class Saa(Solver[CutUnderUncertainty]):
    """Compare all cuts on the same samples; take more until the choice is settled, or call a tie.

    Parameters
    ----------
    inner, inner_options
        The solver of `ClusterAndSpectrum` that answers every sample, and its options; ``"auto"``
        enumerates where that is cheap and anneals otherwise, ``"quick"`` groups devices of similar
        latency.
    first_samples
        How many samples are compared at first; they double until the problem's are used up.
    adaptive
        Stop early. Without it all samples are compared at once, as in Alg. 2.
    tolerance
        The choice is settled when it is at most this much above the best, relatively, with
        confidence ``level``.
    level
        Of the intervals and of the gap bound.
    replications
        R, how many independent groups of samples the gap bound comes from; 0 leaves it out.
    values
        Also find the value of the stochastic solution and of perfect information, which takes
        answers under cuts that could be left out otherwise.
    engine, workers, address
        Where samples are answered, see `splitopt.engine.Engine`; the answer is always the same.
    checkpoint
        A folder in which answers are kept; the same run goes on from there.
    """

    name: ClassVar[str] = "saa"
    problem: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[frozenset[str]] = frozenset(CutUnderUncertainty.objectives)
    kind: ClassVar[Kind] = "heuristic"

    inner: str = "auto"
    inner_options: Mapping[str, Any] = field(default_factory=dict)
    first_samples: int = 20
    adaptive: bool = True
    tolerance: float = 0.01
    level: float = 0.95
    replications: int = 10
    values: bool = False
    engine: str = "loky"
    workers: int = 1
    address: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        check_whole("first_samples", self.first_samples, 1)
        check_whole("replications", self.replications, 0)
        check_number("tolerance", self.tolerance, 0.0, 1e6)
        check_positive("level", self.level, 1.0 - 1e-9)
        Engine(self.engine, self.workers, self.address)  # refuses what is not installed

    def refusal(self, problem: CutUnderUncertainty) -> str | None:
        """Refuse where the inner solver does."""
        try:
            automatic_inner(problem, self.inner, self.inner_options, 0)
        except CapabilityError as error:
            return f"cannot have the rounds answered: {error}"
        return None

    def run(self, problem: CutUnderUncertainty, search: Search) -> StopReason:
        """Grow the samples until the choice is settled, then answer them all under it."""
        inner = automatic_inner(problem, self.inner, self.inner_options, search.seed)
        floors = problem.bounds()
        search.propose(problem.complete(int(problem.statistic(floors).argmin())))
        search.prove(float(problem.statistic(floors).min()))
        if search.remaining_s <= 0:
            return search.stop() or "time"
        kept = None
        if self.checkpoint is not None:
            kept = Checkpoint(self.checkpoint, _work(problem, inner))
        engine = Engine(self.engine, self.workers, self.address)
        with engine.session() as session:
            ledger = Ledger(problem, search, inner, session, kept)
            try:
                return self._study(ledger)
            except Stopped as stopped:
                _take_what_is_done(ledger)
                return stopped.reason
            except KeyboardInterrupt:
                _take_what_is_done(ledger)
                search.message = "interrupted; the answers so far are kept"
                return "interrupted"
            finally:
                search.details["answered"] = len(ledger)
                search.details["resumed"] = ledger.resumed

    def _study(self, ledger: Ledger) -> StopReason:
        problem, search = ledger.problem, ledger.search
        most = problem.samples if problem.source.endless else max(1, problem.samples // 2)
        count = min(self.first_samples, most) if self.adaptive else most
        while True:
            choice = choose(ledger, [(0, j) for j in range(count)])
            gap = self._assess(ledger, choice, count)
            settled = self._settled(choice, gap, problem)
            if settled or count == most or not self.adaptive:
                break
            count = min(2 * count, most)
        if not problem.source.endless and count == most:
            # The listed samples are all there are: the best on all of them is the answer.
            whole = choose(ledger, [(0, j) for j in range(problem.samples)])
            settled = settled and whole.cut == choice.cut
            choice = whole
        ledger.answer(choice.cut, [(0, j) for j in range(problem.samples)])
        _propose(ledger, choice.cut)
        _prove(ledger)
        self._report(ledger, choice, gap, settled)
        if self.values:
            search.details["values"] = value_of_uncertainty(ledger, choice.cut)
            _prove(ledger)
        return search.stop() or ("converged" if settled else "iterations")

    def _assess(self, ledger: Ledger, choice: Choice, count: int) -> GapBound | None:
        groups = self._groups(ledger.problem, count)
        if groups is None:
            return None
        problem, upper = ledger.problem, []
        for group in groups:
            values = ledger.answer(choice.cut, group)
            if problem.objective == CVAR:
                threshold = value_at_risk(choice.best, problem.cvar_level)
                values = shortfall(values, threshold, problem.cvar_level)
            upper.append(float(values.mean()))
        return gap_bound(replicated_gaps(ledger, choice.cut, groups, np.array(upper)), self.level)

    def _groups(self, problem: CutUnderUncertainty, count: int) -> list[list[Place]] | None:
        """Give R groups of samples, together about `count`, that the choice has not seen."""
        size = math.ceil(count / self.replications) if self.replications > 1 else 0
        if size == 0:
            return None
        if problem.source.endless:
            return [[(r + 1, j) for j in range(size)] for r in range(self.replications)]
        fresh = range(problem.samples // 2, problem.samples)
        size = min(size, len(fresh) // self.replications)
        if size == 0:
            return None
        return [[(0, fresh[r * size + i]) for i in range(size)] for r in range(self.replications)]

    def _settled(self, choice: Choice, gap: GapBound | None, problem: CutUnderUncertainty) -> bool:
        scale = abs(float(problem.statistic(choice.best)))
        return gap is not None and gap.bound <= self.tolerance * scale

    def _report(self, ledger: Ledger, choice: Choice, gap: GapBound | None, settled: bool) -> None:
        problem, search = ledger.problem, ledger.search
        scale = abs(float(problem.statistic(choice.best)))
        names, count = problem.cuts, len(choice.best)
        floors = ledger.bounds([(0, j) for j in range(count)])  # of those that were left out
        near = [
            name
            for cut, name in enumerate(names)
            if cut != choice.cut
            and paired(choice.values.get(cut, floors[cut]), choice.best, self.level).low
            <= self.tolerance * scale
        ]
        relative = None if gap is None else gap.bound / max(scale, 1e-300)
        status = "settled" if settled else "tie" if gap is not None else "not assessed"
        percent = f"{100 * self.level:g} % confidence"
        chosen = names[choice.cut]
        if gap is None:
            search.message = (
                f"{chosen} is best on {count} samples; there are too few of them to say how far "
                "it may be from the best cut"
            )
        elif settled:
            assert relative is not None
            most = f"at most {100 * relative:.2g} %" if relative > 0 else "not seen to be"
            search.message = f"{chosen} is {most} above the best cut ({percent}, {count} samples)"
        else:
            assert relative is not None
            others = " and ".join(near) if near else "the others"
            search.message = (
                f"tie: {chosen} and {others} cannot be told apart within "
                f"{100 * self.tolerance:g} % by {count} samples (it may be "
                f"{100 * relative:.2g} % above the best, {percent})"
            )
        search.details["confidence"] = {
            "status": status,
            "level": self.level,
            "cut": chosen,
            "samples": count,
            "tied_with": near if status == "tie" else [],
            "gap": None
            if gap is None
            else {
                "mean_s": gap.mean,
                "bound_s": gap.bound,
                "relative": relative,
                "tolerance": self.tolerance,
                "replications": gap.replications,
            },
            "cuts": [
                {"cut": names[cut], **_interval(problem, values, self.level)}
                for cut, values in choice.values.items()
            ],
            "differences": [
                {"cut": names[cut], **paired(values, choice.best, self.level).to_dict()}
                for cut, values in choice.values.items()
                if cut != choice.cut
            ],
            "left_out": [name for v, name in enumerate(names) if v not in choice.values],
        }


def _interval(problem: CutUnderUncertainty, values: FloatArray, level: float) -> dict[str, Any]:
    if problem.objective == CVAR:
        threshold = value_at_risk(values, problem.cvar_level)
        values = shortfall(values, threshold, problem.cvar_level)
    return mean_interval(values, level).to_dict()


def _work(problem: CutUnderUncertainty, inner: Inner) -> dict[str, Any]:
    return {
        "problem": problem.name,
        "digest": instance_digest(problem),
        "inner": inner.solver,
        "inner_options": dict(inner.options),
        "seed": inner.seed,
    }


def _propose(ledger: Ledger, cut: int) -> None:
    """Propose a cut with the answers there are, and quick ones where there are none."""
    problem, answers = ledger.problem, []
    for sample in range(problem.samples):
        found = ledger.find(cut, 0, sample)
        if found is not None:
            answers.append(found.decision)
        else:
            block = problem.block(sample, cut)
            answers.append(block.complete(clusters_by_latency(block)))
    ledger.search.propose(CutUnderUncertaintyDecision(cut, tuple(answers)))


def _prove(ledger: Ledger) -> None:
    """Prove the smallest statistic over cuts of the best bounds of all samples."""
    problem = ledger.problem
    floors = ledger.bounds([(0, j) for j in range(problem.samples)]).copy()
    for cut in range(len(problem.cuts)):
        for sample in range(problem.samples):
            if (found := ledger.find(cut, 0, sample)) is not None:
                floors[cut, sample] = max(float(floors[cut, sample]), found.bound)
    ledger.search.prove(float(problem.statistic(floors).min()))


def _take_what_is_done(ledger: Ledger) -> None:
    for cut in _touched(ledger, range(len(ledger.problem.cuts))):
        _propose(ledger, cut)
    _prove(ledger)


def _touched(ledger: Ledger, cuts: Sequence[int]) -> list[int]:
    samples = range(ledger.problem.samples)
    return [v for v in cuts if any(ledger.find(v, 0, j) is not None for j in samples)]
