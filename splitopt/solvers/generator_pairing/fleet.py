"""What solvers see of a `GeneratorPairing`: who lacks what, and who can send it at which cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.generator_pairing import GeneratorPairing
from splitopt.solvers.generator_pairing.mask_loops import cheapest_cover
from splitopt.solvers.generator_pairing.price_loops import price_classes

ROUNDS = 30
"""Subgradient steps for the prices of the classes of a device."""
MOST_MASKED = 20
"""Missing classes of a device up to which masks of them are worked through."""
_WIDEST = 62
"""Labels that the bits of a whole number hold."""


@dataclass(frozen=True)
class Choice:
    """Senders of one device, what they cost, and what any others cost at least."""

    value: float
    bound: float
    senders: IntArray


@dataclass(frozen=True)
class Offers:
    """Who can send to one device: see `price_loops`.

    Parameters
    ----------
    senders
        Shape (K,): the devices.
    useful
        Shape (K, M): which missing classes each covers.
    costs, starts, bits, lacks, need
        As `price_loops` takes them.
    """

    senders: IntArray
    useful: BoolArray
    costs: FloatArray
    starts: IntArray
    bits: IntArray
    lacks: FloatArray
    need: IntArray

    def price(self, rounds: int = ROUNDS) -> tuple[float, float, FloatArray, IntArray]:
        """Bound what the device costs.

        Returns
        -------
        The bound, the least cost of a choice that was found, the reduced costs (K,), and the
        senders of that choice.
        """
        prices, reduced = np.empty(len(self.need)), np.empty(len(self.costs))
        chosen = np.empty(len(self.costs) + 1, dtype=np.int64)
        bound, best, size = price_classes(
            self.costs,
            self.starts,
            self.bits,
            self.lacks,
            self.need,
            rounds,
            prices,
            reduced,
            chosen,
        )
        return bound, best, reduced, self.senders[chosen[:size]]


@dataclass
class Fleet:
    """The devices of a problem that lack something, and room to work in."""

    problem: GeneratorPairing
    _room: tuple[FloatArray, Any, Any, Any] | None = field(default=None, init=False)

    @cached_property
    def receivers(self) -> IntArray:
        """The devices that lack a class."""
        return np.flatnonzero(self.problem.need.any(axis=1))

    @cached_property
    def masks(self) -> IntArray:
        """Shape (D,): the classes of each generator as bits."""
        columns = np.arange(self.problem.covers.shape[1])
        shifted = self.problem.covers.astype(np.int64) << columns
        return np.asarray(shifted.sum(axis=1), dtype=np.int64)

    @cached_property
    def missing(self) -> list[IntArray]:
        """Per device the classes that it lacks."""
        return [np.flatnonzero(row) for row in self.problem.need]

    @property
    def is_plain(self) -> bool:
        """Whether one sender is enough for every class and only its cost counts."""
        return self.problem.penalty is None and bool((self.problem.need <= 1).all())

    @property
    def is_masked(self) -> bool:
        """Whether every device can be solved by masks of its missing classes."""
        widest = max((len(row) for row in self.missing), default=0)
        labels = self.problem.covers.shape[1]
        return self.is_plain and widest <= MOST_MASKED and labels <= _WIDEST

    def costs(self, i: int, prices: FloatArray | None = None) -> FloatArray:
        """Shape (D,): what senders cost a device, with a price for each; itself infinite."""
        found: FloatArray = self.problem.cost[i].copy()
        if prices is not None:
            found += prices
        found[i] = np.inf
        return found

    def cheapest(self, i: int, prices: FloatArray | None = None) -> Choice:
        """Return the cheapest senders of one device by masks of its missing classes."""
        if self._room is None:
            size = 1 << max(len(row) for row in self.missing)
            whole = [np.empty(size, dtype=np.int32) for _ in range(3)]
            self._room = np.full(size, np.inf), whole[0], whole[1], whole[2]
        costs, room = self.costs(i, prices), self._room
        senders = np.empty(len(costs) + 1, dtype=np.int64)
        order = np.argsort(costs, kind="stable")
        missing, (value, previous, column, after) = self.missing[i], room
        least, size, _ = cheapest_cover(
            costs, order, self.masks, missing, ROUNDS, value, previous, column, after, senders
        )
        return Choice(least, least * (1 - 2e-12), np.sort(senders[:size]))

    def offers(self, i: int, prices: FloatArray | None = None) -> Offers:
        """Return who can send to a device, with a price for each sender."""
        missing, costs = self.missing[i], self.costs(i, prices)
        useful = self.problem.covers[:, missing] & np.isfinite(costs)[:, None]
        senders = np.flatnonzero(useful.any(axis=1))
        useful = useful[senders]
        rows, bits = np.nonzero(useful)
        starts = np.concatenate(([0], np.cumsum(useful.sum(axis=1)))).astype(np.int64)
        lacks = np.zeros(len(bits))
        if self.problem.penalty is not None:
            lacks = self.problem.penalty[senders[rows], missing[bits]]
        need = self.problem.need[i, missing]
        # Of one layout from every caller, so that the loops are compiled for one.
        bits = np.ascontiguousarray(bits)
        return Offers(senders, useful, costs[senders], starts, bits, lacks, need)
