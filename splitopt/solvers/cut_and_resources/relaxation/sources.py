"""Where the numbers of a fleet's classes of devices come from: factors or tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.problem import FactoredCutAndResources
from splitopt.solvers.cut_and_resources.relaxation.kernels import Kernels

_AT_ONCE = 65_536
"""Numbers of a table that are looked at together."""


class Source(Protocol):
    """Where the numbers of C classes come from."""

    @property
    def classes(self) -> int:
        """Number of classes C."""
        ...

    @property
    def layers(self) -> int:
        """Number of cuts L."""
        ...

    def fill(self, kernel: Kernels, start: int, block: FloatArray) -> None:
        """Fill a block (4, L, B) with the classes from `start` on, see `kernels`."""
        ...

    def part(self, classes: IntArray) -> Source:
        """Return some classes alone."""
        ...

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Return one array (C,) or (C, M) after the other that tell classes apart."""
        ...


@dataclass(frozen=True)
class FactorSource:
    """Classes given by factors."""

    factors: Factors

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return self.factors.classes

    @property
    def layers(self) -> int:
        """Number of cuts L."""
        return self.factors.layers

    def fill(self, kernel: Kernels, start: int, block: FloatArray) -> None:
        """Fill a block (4, L, B) with the classes from `start` on."""
        f = self.factors
        kernel.fill_factors(f.scales, f.shapes, f.barriers, f.mask, start, block)

    def part(self, classes: IntArray) -> FactorSource:
        """Return some classes alone."""
        return FactorSource(self.factors.part(classes, self.factors.count[classes]))

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Return the scales, and the number of the set of allowed cuts."""
        for scale in self.factors.scales:
            for term in scale:
                yield term[classes]
        if len(self.factors.masks) > 1:
            yield self.factors.mask[classes].astype(np.float64)


@dataclass(frozen=True)
class TableSource:
    """Devices given by tables (N, L): download, upload, server, device seconds, and allowed."""

    tables: tuple[FloatArray, FloatArray, FloatArray, FloatArray]
    allowed: BoolArray

    @property
    def classes(self) -> int:
        """Number of devices N."""
        return len(self.allowed)

    @property
    def layers(self) -> int:
        """Number of cuts L."""
        return int(self.allowed.shape[1])

    def fill(self, kernel: Kernels, start: int, block: FloatArray) -> None:
        """Fill a block (4, L, B) with the devices from `start` on."""
        kernel.fill_tables(*self.tables, self.allowed, start, block)

    def part(self, classes: IntArray) -> TableSource:
        """Return some devices alone."""
        a, b, c, d = (table[classes] for table in self.tables)
        return TableSource((a, b, c, d), self.allowed[classes])

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Return the columns of the tables, zero where not allowed, and of what is allowed."""
        width = max(1, _AT_ONCE // max(1, self.classes))
        for start in range(0, self.layers, width):
            columns = slice(start, start + width)
            allowed = self.allowed[classes, columns]
            for table in self.tables:
                yield np.where(allowed, table[classes, columns], 0.0)
            yield allowed.astype(np.float64)


def source_of(problem: CutAndResources) -> tuple[Source, IntArray, IntArray | None]:
    """Return the classes that a plain problem's data tell apart.

    Returns
    -------
    Their numbers; shape (C,), how many devices are in each; and shape (N,), the class of each
    device, None if device n is class n. Where decisions are by group, its groups are the devices.
    """
    if isinstance(problem, GroupedCutAndResources):
        return FactorSource(problem.factors), problem.factors.count, None
    if isinstance(problem, FactoredCutAndResources):
        factors = problem.factors
        return FactorSource(factors), factors.count, None if factors.single else factors.member
    tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
    return TableSource(tables, problem.allowed), np.ones(problem.devices, dtype=np.int64), None
