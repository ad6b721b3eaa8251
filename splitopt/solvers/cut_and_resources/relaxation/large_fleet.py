"""Passes over the devices of a large fleet, block by block, without tables of square roots.

This is where the classes of every problem without budgets come from: a `Fleet` is made of a
`LargeFleet`. Both stay, because the search for an optimum needs the square roots of all classes at
hand, in every node of its tree, while a large fleet is never held as a table: a block of a thousand
classes is filled from the problem's own numbers, priced, and given up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.grouped import GroupedCutAndResources
from splitopt.problems.cut_and_resources.parts import GroupCuts, dealt
from splitopt.solvers.cut_and_resources.relaxation import kernels
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.kernels import BLOCK, Kernels
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS
from splitopt.solvers.cut_and_resources.relaxation.merging import merged_source
from splitopt.solvers.cut_and_resources.relaxation.sources import Source, source_of

ROUNDING = (BLOCK + 128) * EPS
"""Relative error allowed for a sum over all devices: within a block the terms, which are not
negative, are added one by one; the sums of the blocks are added exactly."""

LARGE = 2_000_000
"""Devices times cuts above which a fleet is worth working on block by block, in compiled loops."""


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
    groups
        Shape (G,): how many devices each group has, where decisions are by group; ``member`` is
        then the class of each group.
    """

    source: Source
    count: IntArray
    member: IntArray | None
    fast: bool = False
    block: int = BLOCK
    groups: IntArray | None = None

    @classmethod
    def of(cls, problem: CutAndResources) -> LargeFleet:
        """Return the devices of a plain problem, identical ones counted if that makes fewer.

        Of a large fleet some are looked at first, since a search for duplicates takes a while.
        """
        found, count, member = source_of(problem)
        large = found.classes * found.layers > LARGE
        groups = count if isinstance(problem, GroupedCutAndResources) else None
        source, count, member = merged_source(found, count, member, look=large)
        fast = source.classes * source.layers > LARGE
        return cls(source, count, member, fast, groups=groups)

    def load(self) -> None:
        """Compile the loops, or load them, on the first class; nothing where none are used."""
        if self.fast:
            first = np.zeros(1, dtype=np.int64)
            next(self.part(first, self.count[:1]).blocks())  # its arrays can be written
            rows, block = next(replace(self, block=1).blocks())
            count, cuts = self.count[rows], np.empty(1, dtype=self._cut_type)
            self.kernel.choose_sum(block, np.ones(3), count, cuts, np.empty(5))
            self.kernel.choose_deadline(block, np.ones((3, 3)), 1.0, count, cuts, np.empty(8))

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
        return kernels.machine_code() if self.fast else kernels.plain()

    def price_sum(self, price: FloatArray) -> Pass:
        """Choose the cheapest cuts at prices (3,), see `kernels.choose_sum`."""
        return self._pass(self.kernel.choose_sum, (price,), 5)

    def price_deadline(self, price: FloatArray, deadline: float) -> Pass:
        """Choose the cheapest cuts for a deadline, see `kernels.choose_deadline`."""
        return self._pass(self.kernel.choose_deadline, (price, deadline), 8)

    def blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Return the classes of one block after the other; the arrays are reused."""
        buffer = np.empty(4 * self.layers * self.block)
        for start in range(0, self.classes, self.block):
            size = min(self.block, self.classes - start)
            block = buffer[: 4 * self.layers * size].reshape(4, self.layers, size)
            self.source.fill(self.kernel, start, block)
            yield slice(start, start + size), block

    def totals(self, choices: list[IntArray], deadline: float) -> tuple[FloatArray, BoolArray]:
        """Return sum alpha alpha^T / (T - d) of vectors of cuts, `kernels.PACKED`, (M, 6).

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
        """Return some classes with other counts."""
        return LargeFleet(self.source.part(classes), count, None, self.fast, self.block)

    def fleet(self) -> Fleet:
        """Return the same devices as a `Fleet`, which holds all its numbers."""
        roots = np.empty((self.classes, self.layers, 3))
        device_s = np.empty((self.classes, self.layers))
        for rows, block in self.blocks():
            device_s[rows] = block[3].T
            roots[rows] = np.where(np.isfinite(block[3]), block[:3], 0.0).transpose(2, 1, 0)
        member = np.arange(self.classes) if self.member is None else self.member
        return Fleet(roots, device_s, self.count, member, groups=self.groups)

    def expand(self, columns: list[IntArray], parts: IntArray) -> Any:
        """Return each device a cut (N,) in 1..L, from how many (M, C) use each of M vectors.

        They are `GroupCuts` where decisions are by group.
        """
        if self.groups is not None:
            return self._dealt(columns, parts, self.groups)
        listed = np.repeat(np.array(columns).T.ravel(), parts.T.ravel()).astype(np.int64) + 1
        if self.member is None:
            return listed
        cuts = np.empty_like(listed)
        cuts[np.argsort(self.member, kind="stable")] = listed
        return cuts

    def _dealt(self, columns: list[IntArray], parts: IntArray, groups: IntArray) -> GroupCuts:
        rows = np.arange(self.classes)
        if self.member is None:  # no table of all groups and cuts
            places = np.concatenate([rows * self.layers + column for column in columns])
            used = parts.ravel() > 0
            kinds, kind = np.unique(places[used], return_inverse=True)
            many = np.bincount(kind, parts.ravel()[used]).astype(np.int64)
            return GroupCuts(kinds // self.layers, kinds % self.layers + 1, many)
        counts = np.zeros((self.classes, self.layers), dtype=np.int64)
        for column, part in zip(columns, parts, strict=True):
            np.add.at(counts, (rows, column), part)
        return dealt(counts, self.member, groups)

    @property
    def _cut_type(self) -> Any:
        return np.uint8 if self.layers < 256 else np.int64

    def _pass(self, choose: Any, arguments: tuple[Any, ...], size: int) -> Pass:
        cuts: IntArray = np.empty(self.classes, dtype=self._cut_type)
        blocks = -(-self.classes // self.block)
        sums = np.empty((blocks, size))
        for number, (rows, block) in enumerate(self.blocks()):
            choose(block, *arguments, self.count[rows], cuts[rows], sums[number])
        found = np.array([math.fsum(column) for column in sums.T])
        return Pass(found, cuts)
