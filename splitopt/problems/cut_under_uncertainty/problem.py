"""`CutUnderUncertainty`: one cut for all rounds, before anything is measured (CPSL P_L)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.arrays import whole_number
from splitopt.problems.base import FloatArray
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cut_under_uncertainty.blocks import read_listed
from splitopt.problems.cut_under_uncertainty.data import (
    DEFAULT_CVAR_LEVEL,
    CutUnderUncertaintyData,
    ListedScenarios,
)
from splitopt.problems.cut_under_uncertainty.decision import CutUnderUncertaintyDecision
from splitopt.problems.cut_under_uncertainty.formulation import (
    equivalent_program,
    read_equivalent,
)
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.problems.linear_program import (
    GurobiProgram,
    LinearProgram,
    PyomoProgram,
    Values,
    to_gurobi,
    to_pyomo,
)

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False, repr=False)
class CutUnderUncertainty(CutUnderUncertaintyData):
    """Choose one cut so that rounds are short although speeds and channels vary.

    Clusters and subcarriers are chosen anew in every round, when its speeds and channels are known
    (the recourse); the cut is not. Of J samples of a round with latencies D_1..D_J under a cut and
    its recourse, the objective is their mean, or the mean of the worst of them (CVaR).

    Parameters
    ----------
    cuts
        Names of the V cuts.
    source
        The samples: `ListedScenarios`, or a `Generator` that draws them by a seed.
    objective
        ``"expected"`` or ``"cvar"``.
    cvar_level
        For ``"cvar"``: 0.9 means the worst tenth of the rounds.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    def from_scenarios(
        cls,
        cuts: Sequence[str],
        scenarios: Sequence[Sequence[ClusterAndSpectrum]],
        objective: str = "expected",
        cvar_level: float = DEFAULT_CVAR_LEVEL,
    ) -> CutUnderUncertainty:
        """Build the problem from problems, ``scenarios[sample][cut]``, with equal probability."""
        listed = [[problem.data() for problem in row] for row in scenarios]
        source = ListedScenarios(read_listed(listed, len(cuts), "scenarios"))
        return cls(tuple(cuts), source, objective, cvar_level)

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "expected"
    ) -> CutUnderUncertainty:
        """Build the problem from a scenario, see the module `tables` beside this one."""
        from splitopt.problems.cut_under_uncertainty.tables import source_from_scenario

        scenario = as_scenario(scenario)
        cuts, source = source_from_scenario(scenario, as_profile(profile, scenario))
        return cls(cuts, source, objective)

    def latencies(self, decision: CutUnderUncertaintyDecision) -> FloatArray:
        """Shape (J,): seconds of the round in every sample.

        Raises
        ------
        InputError
            The decision is not one of this problem: its class, its cut, or not one answer a sample.
        """
        decision = self.taken(decision)
        self._checked_cut(decision.cut, "decision.cut")
        if len(decision.recourse) != self.samples:
            raise InputError.at(
                "decision.recourse",
                f"has {len(decision.recourse)} entries, it needs one for each of the "
                f"{self.samples} samples",
            )
        return np.array(
            [
                self.block(j, decision.cut).evaluate(answer)
                for j, answer in enumerate(decision.recourse)
            ]
        )

    def evaluate(self, decision: CutUnderUncertaintyDecision) -> float:
        """Mean or CVaR of the latencies in s, infinite where a device has no subcarrier.

        Errors are those of `latencies`.
        """
        latencies = self.latencies(decision)
        if not np.isfinite(latencies).all():
            return float("inf")
        return float(self.statistic(latencies))

    def violations(self, decision: CutUnderUncertaintyDecision) -> dict[str, float]:
        """Return what `ClusterAndSpectrum.violations` finds, the worst of all samples by name."""
        decision = self.taken(decision)
        if not 0 <= decision.cut < len(self.cuts):
            return {"cut": float("inf")}
        if (missing := abs(len(decision.recourse) - self.samples)) > 0:
            return {"recourse_of_samples": float(missing)}
        example = self.block(0, decision.cut)  # the rules are the same in all samples
        found: dict[str, float] = {}
        for answer in decision.recourse:
            for name, amount in example.violations(answer).items():
                found[name] = max(found.get(name, 0.0), amount)
        return found

    @property
    def example(self) -> ClusterAndSpectrum:
        """The round of the first sample, or another one whose loops are compiled, if one is so.

        It is the first of a few that is not small: a run on any of them needs no other loops.
        """
        rounds = [self.block(j, cut) for j in range(min(self.samples, 4)) for cut in (0, -1)]
        return next((one for one in rounds if not one.is_small), rounds[0])

    def load_loops(self) -> None:
        """Compile the sharing of subcarriers in a round, or load what was compiled."""
        self.example.load_loops()

    def infeasibility(self) -> str | None:
        """Report where a cluster has more devices than there are subcarriers."""
        return self.block(0, 0).infeasibility()

    def _checked_cut(self, cut: Any, source: str) -> int:
        found = whole_number(cut, source, 0)
        if found >= len(self.cuts):
            raise InputError.at(
                source,
                f"is {found}; cuts are named by their index, from 0 to {len(self.cuts) - 1}",
            )
        return found

    def bounds(self, samples: Iterable[int] | None = None, stream: int = 0) -> FloatArray:
        """Shape (V, J): cheap lower bounds on the latency of every cut in every sample, in s."""
        chosen = range(self.samples) if samples is None else samples
        return np.stack([self.source.sample(j, stream).bounds() for j in chosen], axis=1)

    def bound(self) -> float:
        """Return the smallest statistic over cuts of the cheap bounds of all samples.

        The recourse of a sample touches no other sample, and both objectives grow with every
        latency, so that bounds of the samples make a bound of the whole.
        """
        return float(self.statistic(self.bounds()).min())

    def complete(
        self, cut: int, clusters: Sequence[Iterable[npt.ArrayLike]] | None = None
    ) -> CutUnderUncertaintyDecision:
        """Return the decision with the best subcarriers for this cut and these clusters per sample.

        Without clusters, devices of similar speed on their own work together: a quick answer.

        Raises
        ------
        InputError
            The cut is no index from 0 to V - 1, or there are not clusters for every sample.
        """
        cut = self._checked_cut(cut, "cut")
        if clusters is not None and len(clusters) != self.samples:
            raise InputError.at(
                "clusters", f"has {len(clusters)} entries, it needs one for each of {self.samples}"
            )
        answers = []
        for j in range(self.samples):
            block = self.block(j, cut)
            taken = clusters_by_latency(block) if clusters is None else clusters[j]
            answers.append(block.complete(taken))
        return CutUnderUncertaintyDecision(cut, tuple(answers))

    def to_pyomo(self, unit_s: float = 1.0) -> PyomoProgram[CutUnderUncertaintyDecision]:
        """Return the deterministic equivalent as a Pyomo model, see the module `formulation`.

        Parameters
        ----------
        unit_s
            Length in s of the model's unit of time; near a cluster's time is best for solvers.

        Raises
        ------
        InputError
            The unit is not above 0.
        InfeasibleError
            A cluster has more devices than there are subcarriers.
        """
        program, read = self._program(unit_s)
        return to_pyomo(program, read)

    def to_gurobi(
        self, env: Any = None, unit_s: float = 1.0
    ) -> GurobiProgram[CutUnderUncertaintyDecision]:
        """Return the deterministic equivalent as a gurobipy model; as `to_pyomo`."""
        program, read = self._program(unit_s)
        return to_gurobi(program, read, env)

    def _program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], CutUnderUncertaintyDecision]]:
        program = equivalent_program(self, unit_s)
        return program, lambda values: read_equivalent(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> CutUnderUncertaintyDecision:
        """Read a decision from plain data."""
        return CutUnderUncertaintyDecision.from_dict(
            document, len(self.cuts), self.samples, self.devices, source
        )


def clusters_by_latency(block: ClusterAndSpectrum) -> list[npt.NDArray[np.int64]]:
    """Sort devices by their latency at an equal share of subcarriers and fill the clusters."""
    share = max(1.0, block.subcarriers / float(block.cluster_sizes.max()))
    times = block.terms[:, 0::2] + block.terms[:, 1::2] / share
    order = np.argsort(times @ np.array([1.0, block.inner_phases, 1.0]), kind="stable")
    return np.split(order, np.cumsum(block.cluster_sizes)[:-1])
