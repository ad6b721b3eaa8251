"""The devices of a `CutAndResources` problem with identical ones counted instead of repeated.

A `Fleet` holds the numbers of all its classes; `large_fleet` says why large ones are not held.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.parts import GroupedDecision, dealt
from splitopt.solvers.cut_and_resources.relaxation.layout import CUTS, Layout
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS


@dataclass(frozen=True)
class Fleet:
    """Classes of identical devices.

    Parameters
    ----------
    roots
        Shape (C, L, W): square roots of the seconds of the resources that a cut may use, in the
        slots of `layout`; of cuts those of download, upload and server.
    device_s
        Shape (C, L): seconds that no share divides, infinite where the cut is not allowed.
    count
        Shape (C,): how many devices are in each class.
    member
        Shape (N,): the class of each device.
    use
        Shape (C, L, B): what a device uses of B budgets, as a part of what they allow in all; None
        if there are none that could be exceeded.
    budgets
        The names of these budgets.
    layout
        Which resource each slot is of.
    groups
        Shape (G,): how many devices each group has, where decisions are by group; ``member`` is
        then the class of each group. None where decisions are by device.
    """

    roots: FloatArray
    device_s: FloatArray
    count: IntArray
    member: IntArray
    use: FloatArray | None = None
    budgets: tuple[str, ...] = ()
    layout: Layout = CUTS
    groups: IntArray | None = None

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.count)

    @property
    def resources(self) -> int:
        """Number of shared resources R."""
        return self.layout.resources

    @cached_property
    def _slots(self) -> FloatArray:
        """Shape (W, C, L): the roots, slot by slot."""
        return np.ascontiguousarray(np.moveaxis(self.roots, 2, 0))

    def rooted(self, price: FloatArray) -> FloatArray:
        """Return price . alpha (C, L) for a price (R,) of each resource."""
        if self.layout.index is not None:
            return self.layout.priced(self._slots, price)
        flat = self.roots.reshape(-1, self.roots.shape[2]) @ price
        return np.asarray(flat.reshape(self.device_s.shape))

    def sum_total(self, cuts: IntArray) -> FloatArray:
        """Return the total (R + 1 + B,) of vectors of cuts (C,): roots, own seconds, and use."""
        rows = np.arange(self.classes)
        shared = self.layout.summed(self.roots[rows, cuts], cuts, self.count)
        return self._with_use(np.append(shared, self.count @ self.device_s[rows, cuts]), cuts)

    def deadline_total(self, cuts: IntArray, service: FloatArray) -> FloatArray:
        """Return the total (K + B,) of alpha alpha^T / service at cuts (C,), packed, and use.

        `service` (C, L) is the time left for shared resources.
        """
        rows = np.arange(self.classes)
        alpha = self.roots[rows, cuts]
        busy = alpha.any(axis=1)
        weight = self.count[busy] / service[rows, cuts][busy]
        return self._with_use(self.layout.matrix(alpha[busy], cuts[busy], weight), cuts)

    def total(self, counts: IntArray, deadline: float | None) -> FloatArray | None:
        """Return the total of counts (C, L), as `sum_total` or, at a deadline, `deadline_total`.

        It is without the use of budgets. None if a device cannot meet the deadline.
        """
        rows, cuts = np.nonzero(counts)
        alpha, device = self.roots[rows, cuts], self.device_s[rows, cuts]
        number = counts[rows, cuts]
        if deadline is None:
            return np.append(self.layout.summed(alpha, cuts, number), number @ device)
        left, busy = deadline - device, alpha.any(axis=1)
        if (left < 0).any() or (left[busy] <= 0).any():
            return None
        return self.layout.matrix(alpha[busy], cuts[busy], number[busy] / left[busy])

    def _with_use(self, total: FloatArray, cuts: IntArray) -> FloatArray:
        if self.use is None:
            return total
        used = self.count @ self.use[np.arange(self.classes), cuts]
        return np.concatenate((total, used))

    @property
    def rounding(self) -> float:
        """Relative error of a total: where slots are spread, its terms are added one by one."""
        terms = 0 if self.layout.index is None else self.classes
        return (64 + terms) * EPS

    def service(self, deadline: float) -> tuple[FloatArray, BoolArray]:
        """Return the time left for shared service (C, L) and whether it is enough to use a cut.

        A cut that needs no shared resource may use the whole time; any other must leave some.
        """
        left = deadline - self.device_s
        idle = ~self.roots.any(axis=2)
        return left, (left > 0) | (idle & (left == 0))

    def earliest(self) -> float:
        """Return the earliest deadline, up to rounding, at which every device can use some cut."""
        return float(self.device_s.min(axis=1).max()) * (1 + 4 * EPS)

    def alone(self) -> FloatArray:
        """Latency (C, L) with all resources for one device, infinite where not allowed."""
        return np.asarray(np.einsum("cli,cli->cl", self.roots, self.roots) + self.device_s)

    def fastest_alone(self) -> IntArray:
        """Return each class the cut, shape (C,), 0-based, that is fastest for a device alone."""
        return np.asarray(self.alone().argmin(axis=1))

    def part(self, classes: IntArray) -> Fleet:
        """Return some classes as a fleet of their own, whose devices have no order."""
        return Fleet(
            self.roots[classes],
            self.device_s[classes],
            self.count[classes],
            self.member[:0],
            None if self.use is None else self.use[classes],
            self.budgets,
            self.layout,
        )

    def cuts(self, counts: IntArray) -> Any:
        """Turn counts (C, L) of devices per class and cut into a cut (N,) in 1..L per device.

        They are `GroupCuts` where decisions are by group.
        """
        if self.groups is not None:
            return dealt(counts, self.member, self.groups)
        layers = self.device_s.shape[1]
        in_order = np.tile(np.arange(1, layers + 1), self.classes)
        listed = np.repeat(in_order, counts.ravel())
        cuts = np.empty(len(self.member), dtype=np.int64)
        cuts[np.argsort(self.member, kind="stable")] = listed
        return cuts

    def counts(self, decision: Any) -> IntArray:
        """Turn a decision into counts (C, L), the other way round; zeros without one."""
        counts = np.zeros(self.device_s.shape, dtype=np.int64)
        if isinstance(decision, GroupedDecision):
            np.add.at(counts, (self.member[decision.group], decision.cut - 1), decision.devices)
        elif isinstance(decision, CutAndResourcesDecision):
            np.add.at(counts, (self.member, decision.cut - 1), 1)
        return counts
