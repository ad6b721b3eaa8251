"""Run the solver's own procedures on rounds of which the truth is known, and count what holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.coverage.families import Drawn, Family, FloatArray, families
from splitopt.engine import Engine
from splitopt.problems.cut_under_uncertainty.risk import CVAR, EXPECTED, statistic
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Request
from splitopt.solvers.cut_under_uncertainty.confidence.betting import mean_interval
from splitopt.solvers.cut_under_uncertainty.saa.finite import FiniteChoice
from splitopt.solvers.cut_under_uncertainty.saa.mean import MeanChoice
from splitopt.solvers.cut_under_uncertainty.saa.tail import TailChoice
from splitopt.solvers.cut_under_uncertainty.saa.values import Population, value_of_uncertainty
from splitopt.solvers.cut_under_uncertainty.saa.verdict import Settings, Verdict

TRACE = "trace"
ROWS, KEPT = 100, 80
"""Rounds of a trace; samples that are answered under the chosen cut beside the procedure."""

_TRACE_STREAM, _KEPT_STREAM, _REPLAY_STREAM = 2**20, 2**21, 2**22
_REPLAYED = (20, 100)
_TRUE_ROUNDS = 500_000


@dataclass(frozen=True)
class Question:
    """What is asked of a family: its mean, or its CVaR at a level."""

    family: str
    level: float | None = None

    @property
    def objective(self) -> str:
        """Name of the objective."""
        return EXPECTED if self.level is None else CVAR

    @property
    def name(self) -> str:
        """Name of the objective in the table."""
        return "mean" if self.level is None else f"CVaR {self.level:g}"


@dataclass(frozen=True)
class Run:
    """What one run said, and whether it is so."""

    settled: bool
    false: bool
    gap_covered: bool
    value_covered: bool
    differences_covered: bool
    cheap: int
    answered: int
    answers: int
    half_width: float


@cache
def truth_of(question: Question) -> FloatArray:
    """Shape (V,): true values."""
    return families()[question.family].truth(question.objective, question.level or 0.0)


def run_once(question: Question, seed: int, tolerance: float = 0.01) -> Run:
    """Run the procedure once, and compare its statements with the truth."""
    settings = Settings(tolerance=tolerance, seed=seed)
    if question.family == TRACE:
        return _trace_once(question, seed, settings)
    source = Drawn(families()[question.family], seed)
    choice: MeanChoice | TailChoice
    if question.level is None:
        choice = MeanChoice(source, settings)
    else:
        choice = TailChoice(source, question.level, settings)
    choice.run()
    cheap = source.draw(_KEPT_STREAM, KEPT)
    choice.keep(source.answer([Request(cheap, choice.cut, np.arange(KEPT))])[0])
    return _judged(choice.verdict(), truth_of(question), tolerance)


def _trace_once(question: Question, seed: int, settings: Settings) -> Run:
    """Draw a trace of the lognormal family; over its rounds the statements are to be exact."""
    source = Drawn(families()["lognormal"], seed)
    cheap = source.draw(_TRACE_STREAM, ROWS)
    level = question.level or 0.0
    choice = FiniteChoice(source, cheap, question.objective, level, settings)
    choice.run()
    every = [Request(cheap, v, np.arange(ROWS)) for v in range(source.cuts)]
    truth = statistic(np.stack(source.answer(every)), question.objective, level)
    return _judged(choice.verdict(), truth, 0.0)


def _judged(verdict: Verdict, truth: FloatArray, tolerance: float) -> Run:
    best = float(truth.min())
    gap = float(truth[verdict.cut]) - best
    settled = verdict.status != "open"
    rounding = 1e-9 * best
    own, value = float(truth[verdict.cut]), verdict.value
    return Run(
        settled,
        settled and gap > tolerance * best + rounding,
        verdict.gap_s >= gap - rounding,
        value.low - rounding <= own <= value.high + rounding,
        all(
            more.low - rounding <= truth[v] - own <= more.high + rounding
            for v, more in verdict.above.items()
        ),
        verdict.cheap,
        verdict.answered,
        verdict.answers,
        (value.high - value.low) / 2 / best,
    )


@dataclass(frozen=True)
class _Job:
    question: Question
    seeds: tuple[int, ...]


def _work(job: _Job) -> list[Run]:
    return [run_once(job.question, seed) for seed in job.seeds]


def runs_of(question: Question, runs: int, workers: int = 1) -> list[Run]:
    """Run seeds 0 .. runs - 1."""
    parts = np.array_split(np.arange(runs), min(runs, 8 * workers))
    jobs = [_Job(question, tuple(part.tolist())) for part in parts]
    return [run for part in Engine("loky", workers).map(_work, jobs) for run in part]


def row(question: Question, found: Sequence[Run]) -> str:
    """Return a row of the table."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(run, name) for run in found]))

    shares = " | ".join(
        f"{mean(name):.3f}"
        for name in (
            "settled",
            "false",
            "gap_covered",
            "value_covered",
            "differences_covered",
        )
    )
    return (
        f"| {question.family} | {question.name} | {shares} | {mean('cheap'):,.0f} | "
        f"{mean('answered'):,.0f} | {mean('answers'):,.0f} | {100 * mean('half_width'):.1f} |"
    )


@dataclass(frozen=True)
class Covered:
    """Shares of runs in which an interval of a reported number held the truth."""

    what: str
    rounds: int
    share: float
    half_width: float


def value_coverage(
    name: str, runs: int, level: float | None = None, samples: int = KEPT
) -> list[Covered]:
    """Check the intervals of VSS and EVPI: cut 0 is chosen, the averaged round would take cut 1."""
    family = families()[name]
    objective = EXPECTED if level is None else CVAR
    risk = level or 0.0
    true_vss, true_evpi = _true_values(family, objective, risk)
    held = {"vss_s": 0, "evpi_s": 0}
    width = {"vss_s": 0.0, "evpi_s": 0.0}
    for seed in range(runs):
        source = Drawn(family, seed)
        cheap = source.draw(_KEPT_STREAM, samples)

        def answer(cut: int, rows: FloatArray, source: Drawn = source, cheap: object = cheap):  # type: ignore[no-untyped-def]
            return source.answer([Request(cheap, cut, rows)])[0]  # type: ignore[arg-type]

        population = Population(
            cheap.lower, answer, objective, risk, 0.95, source.draw(0, 1024),
            source.least(), source.most(),
        )  # fmt: skip
        found = value_of_uncertainty(population, tuple("c" * source.cuts), 0, 1)["intervals"]
        for key, truth in (("vss_s", true_vss), ("evpi_s", true_evpi)):
            held[key] += found[key]["low"] <= truth <= found[key]["high"]
            width[key] += (found[key]["high"] - found[key]["low"]) / 2
    kind = "mean" if level is None else f"CVaR {level:g}"
    return [
        Covered(f"{word}, {name}, {kind}", samples, held[key] / runs, width[key] / runs)
        for key, word in (("vss_s", "VSS"), ("evpi_s", "EVPI"))
    ]


@cache
def _true_values(family: Family, objective: str, level: float) -> tuple[float, float]:
    truth = family.truth(objective, level)
    source = Drawn(family, 987_654_321)
    cheap = source.draw(0, _TRUE_ROUNDS)
    every = np.arange(_TRUE_ROUNDS)
    table = [source.answer([Request(cheap, v, every)])[0] for v in range(source.cuts)]
    seen = float(statistic(np.min(table, axis=0), objective, level))
    drawn = float(statistic(table[0], objective, level))
    return float(truth[1] - truth[0]), drawn - seen


def replay_coverage(name: str, runs: int) -> list[Covered]:
    """Check the controller's interval of a mean over so many replayed rounds."""
    family = families()[name]
    truth = float(family.truth(EXPECTED, 0.0)[0])
    found = []
    for count in _REPLAYED:
        held, width = 0, 0.0
        for seed in range(runs):
            source = Drawn(family, seed)
            pilot = source.draw(0, 1024).upper[0]
            cheap = source.draw(_REPLAY_STREAM, count)
            values = source.answer([Request(cheap, 0, np.arange(count))])[0]
            low, high = mean_interval(
                values, 0.95, float(pilot.mean()), float(source.least()[0]),
                float(source.most()[0]), float(pilot.var()),
            )  # fmt: skip
            held += low <= truth <= high
            width += (high - low) / 2
        found.append(Covered(f"replayed mean, {name}", count, held / runs, width / runs))
    return found
