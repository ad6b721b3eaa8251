"""`saa`: choosing a cut for uncertain rounds (CPSL Alg. 2), with statements that hold."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from splitopt.documents.checks import check_choice, check_number, check_positive, check_whole
from splitopt.engine import Engine
from splitopt.errors import CapabilityError, InputError, shown
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty import (
    CutUnderUncertainty,
    CutUnderUncertaintyDecision,
    Generator,
)
from splitopt.problems.cut_under_uncertainty.problem import clusters_by_latency
from splitopt.problems.cut_under_uncertainty.risk import EXPECTED
from splitopt.problems.digest import instance_digest
from splitopt.results import StopReason
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_under_uncertainty.answering.checkpoint import Checkpoint
from splitopt.solvers.cut_under_uncertainty.answering.drawing import DrawnRounds, FiniteRounds
from splitopt.solvers.cut_under_uncertainty.answering.inner import Inner, automatic_inner
from splitopt.solvers.cut_under_uncertainty.answering.ledger import Ledger, Stopped
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Request
from splitopt.solvers.cut_under_uncertainty.saa.finite import FiniteChoice
from splitopt.solvers.cut_under_uncertainty.saa.mean import BLOCK, MeanChoice
from splitopt.solvers.cut_under_uncertainty.saa.tail import TailChoice
from splitopt.solvers.cut_under_uncertainty.saa.values import Population, value_of_uncertainty
from splitopt.solvers.cut_under_uncertainty.saa.verdict import Settings
from splitopt.solvers.options import MOST_AT_ONCE

FEW = 10_000
"""Up to so many combinations of the devices' values are compared one by one, exactly."""

Choice = MeanChoice | TailChoice | FiniteChoice


@dataclass(frozen=True)
class Saa(Solver[CutUnderUncertainty]):
    """Compare cuts on bounds of many rounds and exact answers to few, until the choice is settled.

    Parameters
    ----------
    inner, inner_options
        The solver of `ClusterAndSpectrum` that answers rounds, and its options; ``"auto"``
        enumerates where that is cheap and anneals otherwise, ``"quick"`` groups devices of similar
        latency.
    over
        What the choice is for: the ``"distribution"`` (or the trace, or the list), or the
        problem's ``"samples"`` alone, as in Alg. 2.
    tolerance
        The choice is settled when it is at most this much above the best cut, relatively, with
        confidence ``level``; None is 0.01, for the CVaR 0.02.
    level
        Of all statements.
    pilot
        Rounds that are answered before anything is concluded from answers.
    max_rounds
        Answered rounds after which the question stays open.
    values
        Also find the value of the stochastic solution and of perfect information, which takes
        answers under other cuts.
    engine, workers, address
        Where rounds are answered, see `splitopt.engine.Engine`; the answer is always the same.
    checkpoint
        A folder in which answers are kept; the same run goes on from there.
    """

    name: ClassVar[str] = "saa"
    problem: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[frozenset[str]] = frozenset(CutUnderUncertainty.objectives)
    kind: ClassVar[Kind] = "heuristic"
    start_use: ClassVar[str] = "answers to the samples, for the cut that is chosen"
    removed: ClassVar[Mapping[str, str]] = {
        "first_samples": "rounds are drawn as needed; 'pilot' says how many are answered at first",
        "adaptive": "over='samples' compares all cuts on the problem's samples",
        "replications": "confidence no longer comes from groups of samples; leave it out",
    }

    inner: str = "auto"
    inner_options: Mapping[str, Any] = field(default_factory=dict)
    over: Literal["distribution", "samples"] = "distribution"
    tolerance: float | None = None
    level: float = 0.95
    pilot: int = 32
    max_rounds: int = 2000
    values: bool = False
    engine: str = "loky"
    workers: int = 1
    address: str | None = None
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inner_options, Mapping):
            raise InputError.at(
                "inner_options", f"is {shown(self.inner_options)}, it must map options to values"
            )
        if not isinstance(self.values, bool):
            raise InputError.at("values", f"is {shown(self.values)}, it must be true or false")
        if self.checkpoint is not None and not isinstance(self.checkpoint, str):
            raise InputError.at(
                "checkpoint", f"is {shown(self.checkpoint)}, it must be a folder's name"
            )
        check_choice("over", self.over, ("distribution", "samples"))
        if self.tolerance is not None:
            check_number("tolerance", self.tolerance, 0.0, 1e6)
        check_positive("level", self.level, 1.0 - 1e-9)
        check_whole("pilot", self.pilot, 2)
        check_whole("max_rounds", self.max_rounds, self.pilot)
        check_whole("workers", self.workers, 1, MOST_AT_ONCE)
        Engine(self.engine, self.workers, self.address)  # refuses what is not installed

    def refusal(self, problem: CutUnderUncertainty) -> str | None:
        """Reject what the inner solver rejects."""
        try:
            automatic_inner(problem, self.inner, self.inner_options, 0)
        except CapabilityError as error:
            return f"cannot have the rounds answered: {error}"
        return None

    def settings(self, problem: CutUnderUncertainty, seed: int = 0) -> Settings:
        """Return how sure and how near the choice must be."""
        default = 0.01 if problem.objective == EXPECTED else 0.02
        tolerance = default if self.tolerance is None else float(self.tolerance)
        return Settings(tolerance, float(self.level), self.pilot, self.max_rounds, seed)

    def load(self, problem: CutUnderUncertainty) -> None:
        """Load what the solver of the rounds needs."""
        automatic_inner(problem, self.inner, self.inner_options, 0).load(problem)

    def begin(self, search: Search) -> None:
        """Leave the start to the end: the cut is chosen for what it is, not for its samples."""

    def run(self, problem: CutUnderUncertainty, search: Search) -> StopReason:
        """Choose the cut, then answer all samples under it.

        One decision is proposed, at the end: the chosen cut is what all statements are about, also
        where another one happens to be shorter on the problem's samples.
        """
        inner = automatic_inner(problem, self.inner, self.inner_options, search.seed)
        search.prove(problem.bound())
        if search.remaining_s <= 0:
            offer_start(search)
            search.propose(problem.complete(int(problem.statistic(problem.bounds()).argmin())))
            return search.stop() or "time"
        engine = Engine(self.engine, self.workers, self.address)
        with self._kept(problem, inner) as kept, engine.session() as session:
            ledger = Ledger(problem, search, inner, session, kept)
            study = _Study(self, problem, search, ledger)
            reason: StopReason
            note = ""
            try:
                study.work()
                reason = "converged" if study.decided else "iterations"
            except Stopped as stopped:
                reason = stopped.reason
            except KeyboardInterrupt:
                reason, note = "interrupted", "interrupted; the answers so far are kept; "
            study.conclude(note)
            return search.stop() or reason if not note else reason

    def _kept(
        self, problem: CutUnderUncertainty, inner: Inner
    ) -> AbstractContextManager[Checkpoint | None]:
        """Open the folder in which answers are kept, if there is to be one."""
        if self.checkpoint is None:
            return nullcontext()
        return Checkpoint(self.checkpoint, _work(problem, inner))


class _Study:
    """One run: the choice, and what is reported of it."""

    def __init__(self, solver: Saa, problem: CutUnderUncertainty, search: Search, ledger: Ledger):
        self.solver, self.problem, self.search, self.ledger = solver, problem, search, ledger
        self.choice: Choice | None = None
        self.over = ""

    @property
    def decided(self) -> bool:
        """Whether the choice is settled."""
        return self.choice is not None and (self.choice.settled or len(self.problem.cuts) == 1)

    def work(self) -> None:
        """Choose, answer the samples of the chosen cut, and find the values that were asked for."""
        problem, ledger = self.problem, self.ledger
        self.choice = choice = self._choice()
        choice.run()
        values = ledger.answer(choice.cut, range(problem.samples))
        if isinstance(choice, FiniteChoice):
            if choice.cheap.drawn is None or self.solver.values:
                choice.answer({choice.cut: np.arange(choice.cheap.lower.shape[1])})
        else:
            choice.keep(values)
        if self.solver.values:
            averaged = [ledger.averaged(v) for v in range(len(problem.cuts))]
            found = value_of_uncertainty(
                self._population(choice), problem.cuts, choice.cut, int(np.argmin(averaged))
            )
            self.search.details["values"] = found

    def _choice(self) -> Choice:
        problem, source = self.problem, self.problem.source
        settings = self.solver.settings(problem, self.search.seed)
        finite = source.finite(FEW) if isinstance(source, Generator) else None
        samples = self.solver.over == "samples" or not isinstance(source, Generator)
        if samples or finite is not None:
            rounds = FiniteRounds(problem, self.ledger, None if samples else finite)
            count = rounds.all.lower.shape[1]
            self.over = f"the {count:,} rounds of the trace"
            if samples:
                self.over = f"the {count:,} samples of the problem"
            elif isinstance(source, Generator) and source.trace is None:
                self.over = f"the {count:,} combinations of the devices' values"
            return FiniteChoice(rounds, rounds.all, problem.objective, problem.cvar_level, settings)
        drawn = DrawnRounds(problem, self.ledger)
        if problem.objective == EXPECTED or problem.cvar_level == 0:
            return MeanChoice(drawn, settings)
        return TailChoice(drawn, problem.cvar_level, settings)

    def _population(self, choice: Choice) -> Population:
        problem = self.problem
        common = (problem.objective, problem.cvar_level)
        if isinstance(choice, FiniteChoice):
            cheap = choice.cheap

            def exact(cut: int, rows: IntArray) -> FloatArray:
                return choice.rounds.answer([Request(cheap, cut, rows)])[0]

            return Population(cheap.lower, exact, *common)

        def drawn(cut: int, rows: IntArray) -> FloatArray:
            return self.ledger.answer(cut, rows.tolist())

        rounds = choice.rounds
        return Population(
            self.ledger.floors(),
            drawn,
            EXPECTED if problem.cvar_level == 0 else problem.objective,
            problem.cvar_level,
            self.solver.level,
            rounds.draw(0, BLOCK),
            rounds.least,
            rounds.most,
        )

    def conclude(self, note: str) -> None:
        """Propose the one cut that is chosen, and say how sure that is."""
        problem, search, names = self.problem, self.search, self.problem.cuts
        cut = int(problem.statistic(self.ledger.floors()).argmin())
        if self.choice is not None:
            verdict = self.choice.verdict()
            cut = verdict.cut
            search.details["confidence"] = {
                **verdict.to_dict(names),
                "over": self.over or "the distribution",
                "samples": problem.samples,
            }
            search.message = note + verdict.message(names, self.over)
        elif note:
            search.message = note.rstrip("; ")
        _propose(self.ledger, cut)
        offer_start(search, None if self.choice is None else cut)
        _prove(self.ledger)
        search.details["answered"] = len(self.ledger)
        search.details["resumed"] = self.ledger.resumed


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
        found = ledger.find(cut, sample)
        if found is not None:
            answers.append(found.decision)
        else:
            block = problem.block(sample, cut)
            answers.append(block.complete(clusters_by_latency(block)))
    ledger.search.propose(CutUnderUncertaintyDecision(cut, tuple(answers)))


def offer_start(search: Search, cut: int | None = None) -> None:
    """Propose the decision to start from, if it has the cut that is chosen, or none is."""
    start = search.start
    if isinstance(start, CutUnderUncertaintyDecision) and cut in (None, start.cut):
        search.propose(start)


def _prove(ledger: Ledger) -> None:
    """Prove the smallest statistic over cuts of the best bounds of all samples."""
    problem = ledger.problem
    floors = ledger.floors().copy()
    for cut in range(len(problem.cuts)):
        for sample in range(problem.samples):
            if (found := ledger.find(cut, sample)) is not None:
                floors[cut, sample] = max(float(floors[cut, sample]), found.bound)
    ledger.search.prove(float(problem.statistic(floors).min()))
