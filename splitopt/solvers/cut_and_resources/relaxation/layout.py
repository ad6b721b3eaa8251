"""Which resources each choice may use, so that what it never uses is neither held nor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.shares import linked_groups
from splitopt.solvers.cut_and_resources.relaxation.packing import THREE, Packing

_SQRT2 = float(np.sqrt(2.0))


@dataclass(frozen=True, eq=False)
class Layout:
    """The slots of L choices: the resources, W at most, that some device uses with each.

    Parameters
    ----------
    packing
        The R resources, and which of them interact.
    index
        Shape (L, W): the resource of each slot of a choice; None if every choice has a slot for
        every resource, in their order.
    """

    packing: Packing
    index: IntArray | None = None

    @classmethod
    def of(cls, used: BoolArray) -> Self:
        """Return the layout of choices that some device uses resources (L, R) with."""
        links = used.astype(np.float64)
        blocks = linked_groups(links.T @ links > 0) or [np.array([0])]
        packing = Packing(used.shape[1], tuple(blocks))
        width = max(int(used.sum(axis=1).max()), 1)
        if width == used.shape[1] and len(blocks) == 1:
            return cls(packing)
        order = np.argsort(~used, axis=1, kind="stable")[:, :width]
        filled = np.take_along_axis(used, order, axis=1)
        return cls(packing, np.where(filled, order, order[:, :1]))

    @property
    def resources(self) -> int:
        """Number of resources R."""
        return self.packing.resources

    @cached_property
    def kinds(self) -> IntArray | None:
        """Shape (L,): the block of resources that each choice uses; None if there is but one."""
        blocks = self.packing.blocks
        if self.index is None or len(blocks) == 1:
            return None
        block = np.zeros(self.resources, dtype=np.int64)
        for place, members in enumerate(blocks):
            block[members] = place
        return np.asarray(block[self.index[:, 0]])

    def gathered(self, table: FloatArray, used: BoolArray) -> FloatArray:
        """Return the slots (C, L, W) of a table (C, L, R), 0 where a choice has fewer."""
        if self.index is None:
            return table
        order = np.argsort(~used, axis=1, kind="stable")[:, : self.index.shape[1]]
        filled = np.take_along_axis(used, order, axis=1)
        return np.where(filled, np.take_along_axis(table, self.index[None], axis=2), 0.0)

    def priced(self, slots: FloatArray, price: FloatArray) -> FloatArray:
        """Return price . alpha (C, L) for slots (W, C, L) and a price (R,) of each resource."""
        assert self.index is not None
        at = price[self.index]
        found = slots[0] * at[:, 0]
        for slot in range(1, len(slots)):
            found += slots[slot] * at[:, slot]
        return np.asarray(found)

    def summed(self, alpha: FloatArray, cuts: IntArray, count: FloatArray | IntArray) -> FloatArray:
        """Return sum count alpha (R,) of classes with roots (C, W) at choices (C,)."""
        if self.index is None:
            return np.asarray(count @ alpha)
        weights = (alpha * count[:, None]).ravel()
        return _added(self.index[cuts].ravel(), weights, self.resources)

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, FloatArray]:
        width = self.resources if self.index is None else self.index.shape[1]
        upper, lower = np.triu_indices(width, 1)
        every = np.arange(width)
        scale = np.concatenate((np.ones(width), np.full(len(upper), _SQRT2)))
        return np.concatenate((every, upper)), np.concatenate((every, lower)), scale

    @cached_property
    def places(self) -> IntArray:
        """Shape (L, W (W + 1) / 2): where the products of a choice's slots stand when packed."""
        assert self.index is not None
        i, j, _ = self._pairs
        # an empty slot repeats the first one's resource, and adds zero there
        return self.packing.position[self.index[:, i], self.index[:, j]].clip(0)

    def dyads(self, alpha: FloatArray) -> FloatArray:
        """Return the products (..., W (W + 1) / 2) of slots (..., W), which `places` places."""
        if self.index is None:
            return self.packing.dyad(alpha)
        i, j, scale = self._pairs
        return np.asarray(alpha[..., i] * alpha[..., j] * scale)

    def matrix(self, alpha: FloatArray, cuts: IntArray, weight: FloatArray) -> FloatArray:
        """Return sum weight alpha alpha^T, packed (K,), of roots (C, W) at choices (C,)."""
        if self.index is None:
            product = alpha.T @ (alpha * weight[:, None])
            row, column, scale = self._pairs
            return np.asarray(product[row, column] * scale)
        weights = (self.dyads(alpha) * weight[:, None]).ravel()
        return _added(self.places[cuts].ravel(), weights, self.packing.size)

    def spread(self, values: FloatArray, cuts: IntArray, packed: bool) -> FloatArray:
        """Return totals (T, W, R), or packed (T, W, K), of the slots or products of choices (T, W).

        What stands in them is values (T, W, ...) as `Fleet.roots`, or `dyads`, has them.
        """
        if self.index is None:
            return values
        place = (self.places if packed else self.index)[cuts]
        found = np.zeros((*cuts.shape, self.packing.size if packed else self.resources))
        rows = np.arange(cuts.shape[0])[:, None]
        columns = np.arange(cuts.shape[1])[None, :]
        for slot in range(values.shape[-1]):
            found[rows, columns, place[..., slot]] += values[..., slot]
        return found


def _added(places: IntArray, weights: FloatArray, size: int) -> FloatArray:
    """Add weights up by their places, shape (size,)."""
    return np.asarray(np.bincount(places, weights, minlength=size), dtype=np.float64)


CUTS = Layout(THREE)
"""The layout of cuts: downlink, uplink and server, whatever a cut uses of them."""
