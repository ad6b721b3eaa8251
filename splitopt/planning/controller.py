"""Two timescales, live: the cut once, clusters and subcarriers anew in every round (CPSL Alg. 1).

Before training, `saa` fixes the cut. In every round the controller takes fresh measurements of
speeds and channels and improves its last clusters for them, in a fixed number of swaps. A replay of
a trace of rounds compares that with knowing everything, with never changing, and with chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.distributions import Trace, generator
from splitopt.documents.checks import check_whole
from splitopt.documents.suggestions import did_you_mean
from splitopt.driver import solve
from splitopt.errors import InfeasibleError, InputError, shown
from splitopt.planning.control.measured import Reported, completed
from splitopt.planning.control.replay_means import ReplayMeans
from splitopt.planning.control.report import ControlReport, RoundReport
from splitopt.problems.arrays import whole_number
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum, ClusterAndSpectrumDecision
from splitopt.problems.cluster_limits import check_cluster_cut
from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty, Generator
from splitopt.problems.cut_under_uncertainty.problem import clusters_by_latency
from splitopt.problems.cut_under_uncertainty.risk import EXPECTED
from splitopt.problems.inputs import as_scenario
from splitopt.problems.memory import unchecked
from splitopt.results import Result
from splitopt.scenario import Scenario
from splitopt.scenario.varying import COMPUTE, SNR
from splitopt.solvers.cluster_and_spectrum.annealing import allowances
from splitopt.solvers.cluster_and_spectrum.swaps import Swaps, by_capability
from splitopt.solvers.cut_under_uncertainty.answering.inner import Inner, automatic_inner

if TYPE_CHECKING:
    from splitopt.problems.inputs import ScenarioLike

POLICIES = ("controller", "clairvoyant", "static", "random")
"""`clairvoyant` chooses cut and clusters for each round with all the time it likes; `static` keeps
the cut, clusters and subcarriers planned for mean values; `random` draws clusters in each round."""

_TRACE_STREAM, _SWAP_STREAM, _RANDOM_STREAM = 2**20, 2**21, 2**22
_HOT, _COLD = 2e-3, 1e-4
"""Temperatures of the swaps, relative to a cluster: low, since the last plan is a good start."""

Measured = Mapping[str, FloatArray]
"""``compute`` in FLOP/s and ``snr_db``, shape (N,), as far as they vary."""


@dataclass
class Controller:
    """Plans round after round under a cut that stays.

    Parameters
    ----------
    problem
        Rounds by a `Generator`.
    cut
        0-based.
    swaps
        How many exchanges of two devices are tried in a round, from the last plan.
    seed
        Of the swaps; the same seed and measurements give the same plans.
    confidence
        What `saa` proved about the cut.
    notes
        What a reader of its reports should know, such as limits that cannot be checked.
    devices
        Their names, in the order of the problem, so that reports may name them.
    """

    problem: CutUnderUncertainty
    cut: int
    swaps: int = 3000
    seed: int = 0
    confidence: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    _seen: dict[str, FloatArray] = field(default_factory=dict, repr=False)
    _last: ClusterAndSpectrumDecision | None = field(default=None, repr=False)
    _round: int = field(default=0, repr=False)
    _fixed: list[ClusterAndSpectrumDecision] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_whole("swaps", self.swaps, 1)
        if not isinstance(self.problem, CutUnderUncertainty):
            raise InputError.at(
                "problem",
                f"is {shown(self.problem, 80)}, it must be a CutUnderUncertainty; "
                "Controller.start(scenario) makes one",
            )
        _generator(self.problem)
        if whole_number(self.cut, "cut", 0) >= len(self.problem.cuts):
            raise InputError.at(
                "cut", f"is {self.cut}, it must be an index from 0 to {len(self.problem.cuts) - 1}"
            )

    @classmethod
    def start(
        cls,
        scenario: ScenarioLike,
        *,
        cut: str | None = None,
        objective: str = EXPECTED,
        swaps: int = 3000,
        seed: int = 0,
        time_limit_s: float | None = None,
        **options: Any,
    ) -> Controller:
        """Fix the cut of a scenario, by `saa` with these options unless it is given.

        The objective is ``"expected"`` or ``"cvar"``. It decides the cut; the best plan of a round
        is the shortest one for both, since both grow with every round's latency.

        Raises
        ------
        InputError
            The scenario cannot be used, or has no such cut.
        InfeasibleError
            No plan is possible, or a limit of leakage or memory does not allow the cut.
        """
        scenario = as_scenario(scenario)
        profile = scenario.load_model()
        problem = CutUnderUncertainty.from_scenario(scenario, profile, objective)
        if (reason := problem.infeasibility()) is not None:
            raise InfeasibleError(reason)
        notes = tuple(unchecked(scenario, profile))
        names = tuple(device.name for device in scenario.fleet())
        if cut is not None:
            if cut not in problem.cuts:
                if cut in profile.layers:
                    check_cluster_cut(scenario, profile, profile.layers.index(cut) + 1, "cut")
                raise InputError.at(
                    "cut",
                    f"is {shown(cut)}, known are {', '.join(problem.cuts)}"
                    f"{did_you_mean(cut, problem.cuts)}",
                )
            return cls(problem, problem.cuts.index(cut), swaps, seed, notes=notes, devices=names)
        result: Result = solve(problem, "saa", time_limit_s=time_limit_s, seed=seed, **options)
        if not result.is_feasible:
            raise InfeasibleError(result.message or "saa found no cut")
        chosen = result.decision.to_dict()["cut"]  # type: ignore[union-attr]
        confidence = result.to_dict()["details"].get("confidence")
        return cls(problem, chosen, swaps, seed, confidence, notes, names)

    def replan(self, measured: Reported) -> ClusterAndSpectrumDecision:
        """Plan the next round for these measurements, from the last plan.

        The first call starts from the sort by capability. Where the plan for mean values is better
        for these measurements, it is taken.

        Parameters
        ----------
        measured
            ``compute`` in FLOP/s and ``snr_db``: a number per device, shape (N,), or device name ->
            number. What the report of a round lacks (a field, a device, a number that is NaN or
            None) keeps the value that it had in the last report, and before any its mean.

        Raises
        ------
        InputError
            A field or a device that does not exist, or a number that cannot be.
        """
        self._seen = completed(measured, self._seen, _generator(self.problem), self.devices)
        return self._plan(self._seen)

    def _plan(self, measured: Measured) -> ClusterAndSpectrumDecision:
        """Plan the next round for what is measured; what is not has its mean value."""
        block = _generator(self.problem).block(self.cut, **measured)
        rng = generator(self.seed, _SWAP_STREAM, self._round)
        members = by_capability(block) if self._last is None else self._last.members
        self._last = _improve(block, members, self.swaps, rng)
        fallback = self._fallback()[self.cut]
        if block.evaluate(fallback) < block.evaluate(self._last):
            self._last = fallback
        self._round += 1
        return self._last

    def _fallback(self) -> list[ClusterAndSpectrumDecision]:
        """Return a plan for mean values under every cut."""
        if self._fixed is None:
            blocks = [self.problem.expected_block(v) for v in range(len(self.problem.cuts))]
            self._fixed = [block.complete(clusters_by_latency(block)) for block in blocks]
        return self._fixed

    def draw_rounds(self, rounds: int) -> list[Measured]:
        """Draw rounds that `saa` has not seen."""
        check_whole("rounds", rounds, 1)
        source = _generator(self.problem)
        return [source.draw(index, _TRACE_STREAM) for index in range(rounds)]

    def replay(
        self,
        rounds: Sequence[Measured],
        policies: Sequence[str] = POLICIES,
        delay: int = 0,
        progress: Callable[[int], object] | None = None,
        drawn: bool = False,
    ) -> ControlReport:
        """Plan and time every round of a trace, and what other policies would have taken.

        Parameters
        ----------
        rounds
            What every round really is, see `measured_rounds` and `draw_rounds`.
        policies
            Of `POLICIES`; ``controller`` is always there.
        delay
            Rounds between a measurement and its use: 0 plans with what the round really is.
        progress
            Called with the number of each round that is done. Ctrl-C ends the replay with the
            rounds that are done.
        drawn
            The rounds are from `draw_rounds`: then the report says what they tell about all rounds
            of the distribution. Measured rounds tell about themselves only.
        """
        _check_policies(policies)
        check_whole("delay", delay, 0)
        others = {name: self._policy(name) for name in policies if name != "controller"}
        done: list[RoundReport] = []
        interrupted = False
        try:
            self._warm_up()
            for index, truth in enumerate(rounds):
                seen = rounds[index - delay] if index >= delay else {}
                own_s, took = self._timed_round(truth, seen)
                latency = {name: policy(index, truth, seen) for name, policy in others.items()}
                done.append(RoundReport(index + 1, {"controller": own_s, **latency}, took))
                if progress is not None:
                    progress(index + 1)
        except KeyboardInterrupt:
            interrupted = True
        report = ControlReport(
            self.problem.cuts[self.cut],
            tuple(done),
            self.confidence,
            interrupted,
            objective=self.problem.objective,
            cvar_level=self.problem.cvar_level,
            notes=self.notes,
        )
        # A replay that was cut short by hand did not end at a number of rounds fixed before.
        if drawn and done and not interrupted and _generator(self.problem).trace is None:
            report = replace(report, intervals=self._intervals(report, delay))
        return report

    def _timed_round(self, truth: Measured, seen: Measured) -> tuple[float, float]:
        """Plan a round for what is seen; return its seconds for what is true, and of planning."""
        begin = time.perf_counter()
        decision = self._plan(seen)
        took = time.perf_counter() - begin
        return _generator(self.problem).block(self.cut, **truth).evaluate(decision), took

    def _intervals(self, report: ControlReport, delay: int) -> dict[str, tuple[float, float]]:
        means = ReplayMeans(self.problem, self.cut, self._fallback())
        found = {}
        for name in report.policies:
            values = report.latencies(name)
            if name == "static":
                found[name] = means.of_fixed(self._static())
            elif name == "clairvoyant" or (name == "controller" and delay == 0):
                found[name] = means.of_bounded(values, name == "clairvoyant")
            else:
                found[name] = means.of_any(values)
        return found

    def _static(self) -> ClusterAndSpectrumDecision:
        """Return the plan for mean values that takes its time."""
        return self._thorough().solve(self.problem.expected_block(self.cut), 0, 0).decision

    def _warm_up(self) -> None:
        """Compile the swaps before a round waits for them."""
        block = _generator(self.problem).expected()[self.cut].single()
        _improve(block, by_capability(block), 1, generator(0))

    def _policy(self, name: str) -> Callable[[int, Measured, Measured], float]:
        source, cut = _generator(self.problem), self.cut
        if name == "static":
            fixed = self._static()
            return lambda _, truth, __: source.block(cut, **truth).evaluate(fixed)
        if name == "random":
            return self._random
        inner, fallback = self._thorough(), self._fallback()

        def clairvoyant(index: int, truth: Measured, _: Measured) -> float:
            rounds, least = source.at(**truth), np.inf
            floors = rounds.bounds()
            for other in np.argsort(floors, kind="stable").tolist():
                if floors[other] < least:
                    block = rounds[other].single()
                    least = min(least, inner.solve(block, 0, index, fallback[other]).value)
            return float(least)

        return clairvoyant

    def _random(self, index: int, truth: Measured, seen: Measured) -> float:
        source = _generator(self.problem)
        planned = source.block(self.cut, **seen)
        order = generator(self.seed, _RANDOM_STREAM, index).permutation(planned.devices)
        clusters = np.split(order, np.cumsum(planned.cluster_sizes)[:-1])
        return source.block(self.cut, **truth).evaluate(planned.complete(clusters))

    def _thorough(self) -> Inner:
        """Return a solver that takes its time: every partition, or long chains."""
        found = automatic_inner(self.problem, "auto", {}, self.seed)
        return found if found.solver == "enumerate" else Inner("anneal", {}, self.seed)


def measured_rounds(trace: Trace, scenario: Scenario) -> list[Measured]:
    """Turn a trace, such as `read_trace` gives, into rounds of a scenario's devices.

    Raises
    ------
    InputError
        Its devices are others than the scenario's.
    """
    names = {COMPUTE: "compute", SNR: "snr_db"}
    ordered = trace.ordered([device.name for device in scenario.fleet()])
    if COMPUTE in ordered.values and (ordered.values[COMPUTE] <= 0).any():
        raise InputError.at("trace", f"{COMPUTE} has a value of 0 or less, it must be above 0")
    return [
        {names[key]: table[row] for key, table in ordered.values.items()}
        for row in range(ordered.rounds)
    ]


def _check_policies(policies: Sequence[str]) -> None:
    for name in policies:
        if name not in POLICIES:
            raise InputError.at(
                "policies",
                f"has {shown(name)}, known are {', '.join(POLICIES)}{did_you_mean(name, POLICIES)}",
            )


def _generator(problem: CutUnderUncertainty) -> Generator:
    if not isinstance(problem.source, Generator):
        raise InputError("the controller needs rounds by a generator, not listed samples")
    return problem.source


def _improve(
    block: ClusterAndSpectrum, members: Any, swaps: int, rng: np.random.Generator
) -> ClusterAndSpectrumDecision:
    """Anneal briefly from a partition; return the best that was visited."""
    state = Swaps(block, members)
    if len(block.cluster_sizes) > 1:
        unit = state.least / len(block.cluster_sizes)
        temperature = unit * _HOT * (_COLD / _HOT) ** (np.arange(swaps) / swaps)
        state.advance(rng, allowances(rng.random(swaps), temperature))
    return state.decision(best=True)
