"""The data of `CutUnderUncertainty`: names of cuts, and where the samples of a round come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import is_number
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import read_names
from splitopt.problems.base import FloatArray, Problem, check_keys, check_objective
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cut_under_uncertainty.blocks import Blocks, read_listed, read_stacked
from splitopt.problems.cut_under_uncertainty.decision import CutUnderUncertaintyDecision
from splitopt.problems.cut_under_uncertainty.drawn import read_generator
from splitopt.problems.cut_under_uncertainty.risk import OBJECTIVES, statistic

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
        """Return one sample, a block per cut (V)."""
        ...

    def expected(self) -> Blocks:
        """Return the sample in which everything that varies has its mean value."""
        ...

    def data(self) -> dict[str, Any]:
        """Return the part of the instance file."""
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
        """Return one sample; there is only stream 0."""
        assert stream == 0
        return self.blocks[index]

    def expected(self) -> Blocks:
        """Average the tables."""
        return self.blocks.mean()

    def data(self) -> dict[str, Any]:
        """Return the stacked arrays under ``scenarios``."""
        return {"scenarios": self.blocks.data()}


@dataclass(frozen=True, eq=False, repr=False)
class CutUnderUncertaintyData(Problem[CutUnderUncertaintyDecision]):
    """The fields of `CutUnderUncertainty`, which documents them, and the samples of its rounds."""

    name: ClassVar[str] = "cut_under_uncertainty"
    objectives: ClassVar[tuple[str, ...]] = OBJECTIVES
    decision_class: ClassVar[type[Any]] = CutUnderUncertaintyDecision

    cuts: tuple[str, ...]
    source: Source
    objective: str = "expected"
    cvar_level: float = DEFAULT_CVAR_LEVEL

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, self.name)
        object.__setattr__(self, "cuts", read_names(self.cuts, "cuts"))
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
    def from_data(cls, data: Mapping[str, Any], objective: str, source: str = "instance") -> Self:
        """Build the problem from the ``data`` of an instance file.

        ``scenarios`` is a list over samples of lists over cuts of `cluster_and_spectrum` data, or
        these stacked: an object with the same fields, arrays with the axes sample, cut, device.
        """
        check_objective(objective, cls.objectives, source)
        place = f"{source}: data"
        checked = check_keys(data, ("cuts",), ("scenarios", "generator", "cvar_level"), place)
        if ("scenarios" in checked) == ("generator" in checked):
            raise InputError.at(place, "needs either 'scenarios' or 'generator'")
        cuts = read_names(checked["cuts"], f"{place}.cuts")
        level = checked.get("cvar_level", DEFAULT_CVAR_LEVEL)
        try:
            return cls(cuts, _read_source(checked, len(cuts), place), objective, level)
        except InputError as error:
            text = str(error)
            raise InputError(text if text.startswith(place) else f"{place}.{text}") from None

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, with samples stacked into arrays."""
        return {"cuts": list(self.cuts), "cvar_level": self.cvar_level, **self.source.data()}

    def to_document(self) -> dict[str, Any]:
        """Return the instance as JSON-ready data; listed samples stand there one by one."""
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
        """Return the round of one sample under one cut.

        Stream 0 holds the J samples of the problem; where the source is endless, other streams
        hold further ones, independent of these and of each other.
        """
        return self.source.sample(sample, stream)[cut].single()

    def expected_block(self, cut: int) -> ClusterAndSpectrum:
        """Return the round in which everything that varies has its mean value."""
        return self.source.expected()[cut].single()

    def statistic(self, latencies: npt.ArrayLike) -> FloatArray:
        """Return the objective's value of latencies, samples along the last axis."""
        values = np.asarray(latencies, dtype=np.float64)
        return statistic(values, self.objective, self.cvar_level)


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
