"""`CutUnderUncertainty`: one cut for all rounds, before anything is measured (CPSL P_L)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import is_number
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import whole_number
from splitopt.problems.base import FloatArray, Problem, check_keys, check_objective
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cut_under_uncertainty.blocks import Blocks, read_listed, read_stacked
from splitopt.problems.cut_under_uncertainty.decision import CutUnderUncertaintyDecision
from splitopt.problems.cut_under_uncertainty.drawn import read_generator
from splitopt.problems.cut_under_uncertainty.risk import OBJECTIVES, statistic
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

DEFAULT_CVAR_LEVEL = 0.9


class Source(Protocol):
    """Where samples come from."""

    @property
    def samples(self) -> int:
        """How many samples the problem has."""
        ...

    @property
    def endless(self) -> bool:
        """Whether streams other than 0 give further, independent samples."""
        ...

    def sample(self, index: int, stream: int = 0) -> Blocks:
        """Give one sample, a block per cut (V)."""
        ...

    def expected(self) -> Blocks:
        """Give the sample in which everything that varies has its mean value."""
        ...

    def data(self) -> dict[str, Any]:
        """Give the part of the instance file."""
        ...


@dataclass(frozen=True, eq=False)
class ListedScenarios:
    """Samples that are given one by one: blocks with the axes sample and cut."""

    blocks: Blocks

    @property
    def samples(self) -> int:
        """Number of samples J."""
        return int(self.blocks.server_s_per_device.shape[0])

    @property
    def endless(self) -> bool:
        """There are no more samples than these."""
        return False

    def sample(self, index: int, stream: int = 0) -> Blocks:
        """Give one sample; there is only stream 0."""
        assert stream == 0
        return self.blocks[index]

    def expected(self) -> Blocks:
        """Average the tables."""
        return self.blocks.mean()

    def data(self) -> dict[str, Any]:
        """Give the stacked arrays under ``scenarios``."""
        return {"scenarios": self.blocks.data()}


@dataclass(frozen=True, eq=False)
class CutUnderUncertainty(Problem[CutUnderUncertaintyDecision]):
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

    name: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[tuple[str, ...]] = OBJECTIVES
    decision_class: ClassVar[type[Any]] = CutUnderUncertaintyDecision

    cuts: tuple[str, ...]
    source: Source
    objective: str = "expected"
    cvar_level: float = DEFAULT_CVAR_LEVEL

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, self.name)
        object.__setattr__(self, "cuts", _read_names(self.cuts, "cuts"))
        level = self.cvar_level
        if not is_number(level) or not 0 <= level < 1:
            raise InputError.at(
                "cvar_level", f"is {shown(level)}, it must be at least 0 and below 1"
            )
        object.__setattr__(self, "cvar_level", float(level))
        shape = self.source.sample(0).server_s_per_device.shape
        if shape != (len(self.cuts),):
            raise InputError.at(
                "cuts", f"has {len(self.cuts)} names for the {shape[0]} cuts of a sample"
            )

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
    def from_data(
        cls, data: Mapping[str, Any], objective: str, source: str = "instance"
    ) -> CutUnderUncertainty:
        """Build the problem from the ``data`` of an instance file.

        ``scenarios`` is a list over samples of lists over cuts of `cluster_and_spectrum` data, or
        these stacked: an object with the same fields, arrays with the axes sample, cut, device.
        """
        check_objective(objective, cls.objectives, source)
        place = f"{source}: data"
        checked = check_keys(data, ("cuts",), ("scenarios", "generator", "cvar_level"), place)
        if ("scenarios" in checked) == ("generator" in checked):
            raise InputError.at(place, "needs either 'scenarios' or 'generator'")
        cuts = _read_names(checked["cuts"], f"{place}.cuts")
        level = checked.get("cvar_level", DEFAULT_CVAR_LEVEL)
        try:
            return cls(cuts, _read_source(checked, len(cuts), place), objective, level)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith(place) else f"{place}.{text}") from None

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

    def data(self) -> dict[str, Any]:
        """Give the data of the instance file, with samples stacked into arrays."""
        return {"cuts": list(self.cuts), "cvar_level": self.cvar_level, **self.source.data()}

    def to_document(self) -> dict[str, Any]:
        """Give the instance as JSON-ready data; listed samples stand there one by one."""
        document = super().to_document()
        if isinstance(self.source, ListedScenarios):
            document["data"]["scenarios"] = [
                [_listed(self.block(j, v)) for v in range(len(self.cuts))]
                for j in range(self.samples)
            ]
        return document

    @property
    def samples(self) -> int:
        """Number of samples J."""
        return self.source.samples

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return self.source.sample(0).devices

    def block(self, sample: int, cut: int, stream: int = 0) -> ClusterAndSpectrum:
        """Give the round of one sample under one cut.

        Stream 0 holds the J samples of the problem; where the source is endless, other streams
        hold further ones, independent of these and of each other.
        """
        return self.source.sample(sample, stream)[cut].single()

    def expected_block(self, cut: int) -> ClusterAndSpectrum:
        """Give the round in which everything that varies has its mean value."""
        return self.source.expected()[cut].single()

    def statistic(self, latencies: npt.ArrayLike) -> FloatArray:
        """Give the objective's value of latencies, samples along the last axis."""
        values = np.asarray(latencies, dtype=np.float64)
        return statistic(values, self.objective, self.cvar_level)

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
        """Give what `ClusterAndSpectrum.violations` finds, the worst of all samples by name."""
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

    def infeasibility(self) -> str | None:
        """Say so where a cluster has more devices than there are subcarriers."""
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
        """Give the smallest statistic over cuts of the cheap bounds of all samples.

        The recourse of a sample touches no other sample, and both objectives grow with every
        latency, so that bounds of the samples make a bound of the whole.
        """
        return float(self.statistic(self.bounds()).min())

    def complete(
        self, cut: int, clusters: Sequence[Iterable[npt.ArrayLike]] | None = None
    ) -> CutUnderUncertaintyDecision:
        """Give the decision with the best subcarriers for this cut and these clusters per sample.

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
        """Give the deterministic equivalent as a Pyomo model, see the module `formulation`.

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
        """Give the deterministic equivalent as a gurobipy model; as `to_pyomo`."""
        program, read = self._program(unit_s)
        return to_gurobi(program, read, env)

    def _program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], CutUnderUncertaintyDecision]]:
        from splitopt.problems.cut_under_uncertainty.formulation import (
            equivalent_program,
            read_equivalent,
        )

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


def _read_names(value: Any, source: str) -> tuple[str, ...]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple) or not value:
        raise InputError.at(source, "must be a list with a name for every cut")
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name:
            raise InputError.at(f"{source}[{index}]", f"is {shown(name)}, it must be a name")
        if name in value[:index]:
            raise InputError.at(f"{source}[{index}]", f"{name!r} stands twice; names must differ")
    return tuple(value)


def _read_source(checked: Mapping[str, Any], cuts: int, place: str) -> Source:
    if "generator" in checked:
        return read_generator(checked["generator"], cuts, f"{place}.generator")
    scenarios = checked["scenarios"]
    if isinstance(scenarios, Mapping):
        blocks = read_stacked(scenarios, (-1, cuts), ("sample", "cut"), f"{place}.scenarios")
    elif isinstance(scenarios, list | tuple):
        blocks = read_listed(scenarios, cuts, f"{place}.scenarios")
    else:
        raise InputError.at(f"{place}.scenarios", "must be a list over samples, or stacked arrays")
    return ListedScenarios(blocks)


def _listed(block: ClusterAndSpectrum) -> dict[str, Any]:
    return {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in block.data().items()
    }
