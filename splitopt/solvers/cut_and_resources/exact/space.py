"""What is still undecided after reduced-cost fixing: a small table of device classes and cuts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.budget_dual import use_costs
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import deadline_costs, quadratic
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS
from splitopt.solvers.cut_and_resources.relaxation.sum_dual import sum_costs

_NEAR = 1e-3
"""Classes whose numbers differ relatively by less than this are counted together."""
_SMALLEST_GROUP = 3


@dataclass(frozen=True)
class Space:
    """The undecided classes at one deadline (which the sum does not have).

    Parameters
    ----------
    owner
        Shape (T,): the class of the fleet that a row stands for.
    cut
        Shape (T, W): the 0-based cuts that a row may use, in any order.
    vector
        Shape (T, W, K): what one device with that cut adds to the total.
    high
        Shape (T, W): most devices of the row that can use the cut; 0 in unused columns.
    count
        Shape (T,): devices of the row.
    fixed
        Shape (K,): total of all classes that are decided.
    decided
        Shape (C, L): devices per class and cut of all classes that are decided.
    groups
        Rows that are nearly identical and use the same cuts, in arrays of row numbers.
    kind
        Shape (T, W): the block of resources, such as a server, that each column's cut uses; None
        if there is but one.
    """

    owner: IntArray
    cut: IntArray
    vector: FloatArray
    high: IntArray
    count: IntArray
    fixed: FloatArray
    decided: IntArray
    groups: list[IntArray]
    kind: IntArray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows T and columns W."""
        return self.high.shape[0], self.high.shape[1]

    def total(self, used: IntArray) -> FloatArray:
        """Return the total of all devices for counts (T, W)."""
        return np.asarray(self.fixed + np.einsum("tw,twk->k", used, self.vector))

    def counts(self, used: IntArray) -> IntArray:
        """Return the devices per class and cut (C, L) for counts (T, W)."""
        counts = self.decided.copy()
        np.add.at(counts, (self.owner[:, None], self.cut), used)
        return counts

    def used(self, counts: IntArray) -> IntArray:
        """Return the counts (T, W) nearest to counts (C, L) without what is ruled out."""
        found = np.minimum(counts[self.owner[:, None], self.cut], self.high)
        missing = self.count - found.sum(axis=1)
        for column in range(self.shape[1]):
            more = np.minimum(missing, self.high[:, column] - found[:, column])
            found[:, column] += more
            missing -= more
        return found

    def at(self, fleet: Fleet, deadline: float) -> Space:
        """Return the same rows at another deadline."""
        rows = np.arange(len(self.owner))[:, None]
        small = fleet.part(self.owner)
        vector, usable = vectors(small, deadline, self.cut)
        high = np.where(usable[rows, self.cut], self.high, 0)
        settled = np.flatnonzero(self.decided.any(axis=1))
        fixed = _fixed_total(fleet.part(settled), self.decided[settled], deadline, vector.shape[2])
        return replace(self, vector=vector, high=high, fixed=fixed)


def vectors(fleet: Fleet, deadline: float | None, cut: IntArray) -> tuple[FloatArray, BoolArray]:
    """Return what cuts (C, W), 0-based, of each class add to the total, and which can be used.

    The former has shape (C, W, K), the latter shape (C, L).
    """
    rows = np.arange(fleet.classes)[:, None]
    layout, alpha = fleet.layout, fleet.roots[rows, cut]
    if deadline is None:
        usable = np.isfinite(fleet.device_s)
        device = np.where(usable, fleet.device_s, 0.0)[rows, cut]
        shared = layout.spread(alpha, cut, packed=False)
        return _with_use(fleet, np.concatenate((shared, device[:, :, None]), axis=2), cut), usable
    service, usable = fleet.service(deadline)
    left = service[rows, cut]
    scaled = layout.dyads(alpha) / np.where(left > 0, left, 1.0)[:, :, None]
    scaled[~usable[rows, cut]] = 0.0
    return _with_use(fleet, layout.spread(scaled, cut, packed=True), cut), usable


def _with_use(fleet: Fleet, vector: FloatArray, cut: IntArray) -> FloatArray:
    if fleet.use is None:
        return vector
    rows = np.arange(fleet.classes)[:, None]
    return np.concatenate((vector, fleet.use[rows, cut]), axis=2)


def undecided(
    fleet: Fleet, deadline: float | None, price: FloatArray, constant: float, limit: float
) -> Space | None:
    """Fix all that cannot be part of a plan better than `limit`; None if nothing can.

    With the bound g at these prices, a plan in which k devices use a cut whose reduced cost is r
    is worth at least g + k r.
    """
    cost, usable = _costs(fleet, deadline, price)
    least = cost.min(axis=1)
    if not np.isfinite(least).all():
        return None
    whole = float(fleet.count @ least)
    slack = limit - whole - constant + 128 * EPS * (whole + abs(constant) + abs(limit))
    if slack < 0:
        return None
    reduced = cost - least[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.floor(slack / reduced)
    count = fleet.count[:, None]
    high = np.where(usable & (reduced * count <= slack), count, np.where(usable, most, 0.0))
    high = np.minimum(np.nan_to_num(high, nan=0.0, posinf=0.0), count).astype(np.int64)
    best = cost.argmin(axis=1)
    rows = np.arange(fleet.classes)
    high[rows, best] = fleet.count
    live = (high > 0).sum(axis=1) > 1
    decided = np.zeros_like(high)
    decided[rows[~live], best[~live]] = fleet.count[~live]
    return _table(fleet, deadline, live, high, decided)


def _table(
    fleet: Fleet, deadline: float | None, live: BoolArray, high: IntArray, decided: IntArray
) -> Space:
    owner = np.flatnonzero(live)
    width = int((high[owner] > 0).sum(axis=1).max(initial=1))
    cut = np.argsort(high[owner] == 0, axis=1, kind="stable")[:, :width]
    small = fleet.part(owner)
    vector = vectors(small, deadline, cut)[0]
    settled = fleet.part(np.flatnonzero(~live))
    fixed = _fixed_total(settled, decided[~live], deadline, vector.shape[2])
    kept = high[owner[:, None], cut]
    kinds = fleet.layout.kinds
    return Space(
        owner,
        cut,
        vector,
        kept,
        fleet.count[owner],
        fixed,
        decided,
        _groups(cut, kept, vector),
        None if kinds is None else kinds[cut],
    )


def _fixed_total(
    settled: Fleet, decided: IntArray, deadline: float | None, size: int
) -> FloatArray:
    if not settled.classes:
        return np.zeros(size)
    cuts = decided.argmax(axis=1)
    if deadline is None:
        return settled.sum_total(cuts)
    return settled.deadline_total(cuts, settled.service(deadline)[0])


def _costs(fleet: Fleet, deadline: float | None, price: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the cost (C, L) of each cut at the prices, and whether it can be used."""
    if deadline is None:
        cost, usable = sum_costs(fleet, price), np.isfinite(fleet.device_s)
    else:
        service, usable = fleet.service(deadline)
        work = quadratic(fleet, price[: fleet.layout.packing.size])
        cost = deadline_costs(work, service, usable)
    return cost if fleet.use is None else cost + use_costs(fleet, price), usable


def _groups(cut: IntArray, high: IntArray, vector: FloatArray) -> list[IntArray]:
    """Collect rows with the same cuts and nearly the same vectors."""
    groups: list[IntArray] = []
    size = np.abs(vector).max(axis=(0, 1), initial=0.0) * 1e-9
    left = np.arange(len(cut))
    whole = np.where(high > 0, np.abs(vector).sum(axis=2), 0.0).sum(axis=1)
    for _ in range(64):
        if len(left) < _SMALLEST_GROUP:
            break
        first = left[0]
        open_first, open_left = high[first] > 0, high[left] > 0
        alike = (open_left == open_first).all(axis=1)
        alike &= ((cut[left] == cut[first]) | ~open_first).all(axis=1)
        # what differs in the sum of all numbers differs by as much in one of them
        spread = _NEAR * whole[first] + float(size.sum()) * cut.shape[1]
        alike &= np.abs(whole[left] - whole[first]) <= spread
        if alike.sum() >= _SMALLEST_GROUP:
            apart = np.abs(vector[left[alike]] - vector[first])
            apart[:, ~open_first] = 0.0
            alike[alike] = (apart <= _NEAR * np.abs(vector[first]) + size).all(axis=(1, 2))
        if alike.sum() >= _SMALLEST_GROUP:
            groups.append(left[alike])
        left = left[~alike] if alike[0] else left[1:]
    return groups
