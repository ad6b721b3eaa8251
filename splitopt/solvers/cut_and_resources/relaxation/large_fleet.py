"""Passes over the devices of a large fleet, block by block, without tables of square roots."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.problem import CutAndResources, FactoredCutAndResources
from splitopt.solvers.cut_and_resources.relaxation import kernels
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.kernels import BLOCK, Kernels
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS

ROUNDING = (BLOCK + 128) * EPS
"""Relative error allowed for a sum over all devices: within a block the terms, which are not
negative, are added one by one; the sums of the blocks are added exactly."""

LARGE = 2_000_000
"""Devices times cuts above which a fleet is worth working on block by block, in compiled loops."""


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
        """Give some classes alone."""
        ...

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Give one array (C,) after the other that tell classes apart."""
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
        """Give some classes alone."""
        return FactorSource(self.factors.part(classes, self.factors.count[classes]))

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Give the scales, and the number of the set of allowed cuts."""
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
        """Give some devices alone."""
        a, b, c, d = (table[classes] for table in self.tables)
        return TableSource((a, b, c, d), self.allowed[classes])

    def keys(self, classes: IntArray | slice) -> Iterator[FloatArray]:
        """Give the columns of the tables, zero where not allowed, and of what is allowed."""
        for column in range(self.layers):
            allowed = self.allowed[classes, column]
            for table in self.tables:
                yield np.where(allowed, table[classes, column], 0.0)
            yield allowed.astype(np.float64)


class Pass(NamedTuple):
    """What one pass finds: the sums that its kernel describes and the 0-based cuts (C,)."""

    sums: FloatArray
    cuts: IntArray


@dataclass(frozen=True)
class LargeFleet:
    """A large fleet.

    Parameters
    ----------
    source
        The numbers of C classes.
    count
        Shape (C,): how many devices are in each.
    member
        Shape (N,): the class of each device; None if device n is class n.
    fast
        Whether to use compiled loops.
    block
        Classes to work on at a time.
    """

    source: Source
    count: IntArray
    member: IntArray | None
    fast: bool = False
    block: int = BLOCK

    @classmethod
    def of(cls, problem: CutAndResources) -> LargeFleet:
        """Take a plain problem; identical devices are counted where that makes it smaller."""
        source: Source
        if isinstance(problem, FactoredCutAndResources):
            factors = problem.factors
            source, count = FactorSource(factors), factors.count
            member = None if factors.single else factors.member
        else:
            tables = (problem.download_s, problem.upload_s, problem.server_s, problem.device_s)
            source, count = TableSource(tables, problem.allowed), _ones(problem.devices)
            member = None
        merged = _merged(cls(source, count, member))
        return replace(merged, fast=merged.classes * merged.layers > LARGE)

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return self.source.classes

    @property
    def layers(self) -> int:
        """Number of cuts L."""
        return self.source.layers

    @cached_property
    def single(self) -> bool:
        """Whether every class is one device."""
        return bool((self.count == 1).all())

    @cached_property
    def kernel(self) -> Kernels:
        """The loops to use."""
        return kernels.compiled() if self.fast else kernels.plain()

    def price_sum(self, price: FloatArray) -> Pass:
        """Choose the cheapest cuts at prices (3,), see `kernels.choose_sum`."""
        return self._pass(self.kernel.choose_sum, (price,), 5)

    def price_deadline(self, price: FloatArray, deadline: float) -> Pass:
        """Choose the cheapest cuts for a deadline, see `kernels.choose_deadline`."""
        return self._pass(self.kernel.choose_deadline, (price, deadline), 8)

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Give the classes of one block after the other; the arrays are reused."""
        buffer = np.empty(4 * self.layers * self.block)
        for start in range(0, self.classes, self.block):
            size = min(self.block, self.classes - start)
            block = buffer[: 4 * self.layers * size].reshape(4, self.layers, size)
            self.source.fill(self.kernel, start, block)
            yield slice(start, start + size), block

    def totals(self, choices: list[IntArray], deadline: float) -> tuple[FloatArray, BoolArray]:
        """Give sum alpha alpha^T / (T - d) of vectors of cuts, `kernels.PACKED`, (M, 6).

        Also whether each of them can meet the deadline T at all.
        """
        sums = np.zeros((len(choices), 6))
        usable = np.ones(len(choices), dtype=np.bool_)
        for rows, block in self.blocks():
            index = np.arange(block.shape[2])
            for place, cuts in enumerate(choices):
                a, b, c, d = block[:, cuts[rows], index]
                left = deadline - d
                good = left > 0
                usable[place] &= bool((good | ((left == 0) & (a + b + c == 0))).all())
                part = np.divide(self.count[rows], left, out=np.zeros_like(left), where=good)
                products = (a * a, b * b, c * c, a * b, a * c, b * c)
                sums[place] += [part @ product for product in products]
        return sums, usable

    def part(self, classes: IntArray, count: IntArray) -> LargeFleet:
        """Give some classes with other counts."""
        return LargeFleet(self.source.part(classes), count, None, self.fast, self.block)

    def fleet(self) -> Fleet:
        """Give the same devices as a `Fleet`, which holds all its numbers."""
        roots = np.empty((self.classes, self.layers, 3))
        device_s = np.empty((self.classes, self.layers))
        for rows, block in self.blocks():
            device_s[rows] = block[3].T
            roots[rows] = np.where(np.isfinite(block[3]), block[:3], 0.0).transpose(2, 1, 0)
        member = np.arange(self.classes) if self.member is None else self.member
        return Fleet(roots, device_s, self.count, member)

    def expand(self, columns: list[IntArray], parts: IntArray) -> IntArray:
        """Give each device a cut (N,) in 1..L, from how many (M, C) use each of M vectors."""
        listed = np.repeat(np.array(columns).T.ravel(), parts.T.ravel()).astype(np.int64) + 1
        if self.member is None:
            return listed
        cuts = np.empty_like(listed)
        cuts[np.argsort(self.member, kind="stable")] = listed
        return cuts

    def _pass(self, choose: Any, arguments: tuple[Any, ...], size: int) -> Pass:
        small: Any = np.uint8 if self.layers < 256 else np.int64
        cuts: IntArray = np.empty(self.classes, dtype=small)
        blocks = -(-self.classes // self.block)
        sums = np.empty((blocks, size))
        for number, (rows, block) in enumerate(self.blocks()):
            choose(block, *arguments, self.count[rows], cuts[rows], sums[number])
        found = np.array([math.fsum(column) for column in sums.T])
        return Pass(found, cuts)


def _ones(size: int) -> IntArray:
    return np.ones(size, dtype=np.int64)


_LOOK = 20_000
"""Classes that are looked at to see whether there are duplicates."""


def _merged(large: LargeFleet) -> LargeFleet:
    """Merge classes that are exactly equal, unless a look at some of them finds few that are."""
    size = large.classes
    look = np.unique(np.linspace(0, size - 1, min(size, _LOOK)).astype(np.int64))
    spread = np.random.default_rng(0).integers(0, size, len(look))
    if size > _LOOK:
        look = np.unique(spread)
    if len(np.unique(_hash(large.source, look))) > 0.9 * len(look):
        return large
    hashes = _hash(large.source, slice(None))
    _, first, member = np.unique(hashes, return_index=True, return_inverse=True)
    for key in large.source.keys(slice(None)):
        if not np.array_equal(key, key[first][member]):
            return large  # two different classes with one hash: nothing is merged
    count = np.bincount(member, weights=large.count, minlength=len(first)).astype(np.int64)
    whole = member if large.member is None else member[large.member]
    return replace(large, source=large.source.part(first), count=count, member=whole)


def _hash(source: Source, classes: IntArray | slice) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Mix the bits of each class's numbers into one."""
    mixed: Any = np.uint64(0)
    for key in source.keys(classes):
        mixed = (mixed ^ (key + 0.0).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.asarray(mixed)
