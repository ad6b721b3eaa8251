"""The devices of a `CutAndResources` problem with identical ones counted instead of repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.measures import EPS

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.problem import CutAndResources


@dataclass(frozen=True)
class Fleet:
    """Classes of identical devices.

    Parameters
    ----------
    roots
        Shape (C, L, 3): square roots of the download, upload and server seconds of each class.
    device_s
        Shape (C, L): seconds on the device, infinite where the cut is not allowed.
    count
        Shape (C,): how many devices are in each class.
    member
        Shape (N,): the class of each device.
    use
        Shape (C, L, B): what a device uses of B budgets, as a part of what they allow in all; None
        if there are none that could be exceeded.
    budgets
        The names of these budgets.
    """

    roots: FloatArray
    device_s: FloatArray
    count: IntArray
    member: IntArray
    use: FloatArray | None = None
    budgets: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem: CutAndResources) -> Fleet:
        """Group the devices whose allowed cuts cost exactly the same.

        The square roots stand for the seconds: two times so close that their roots round to the
        same number are told apart by no formula here.
        """
        if problem.budgets is not None:
            from splitopt.problems.cut_and_resources.budget_fleet import budget_fleet

            return budget_fleet(problem)
        shape = (problem.devices, problem.layers)
        rows = np.empty((*shape, 4))
        rows[:, :, :3] = problem.roots
        rows[:, :, 3] = problem.device_s
        rows[~problem.allowed] = (0.0, 0.0, 0.0, np.inf)
        kept, count, member = merged(rows)
        return cls(
            np.ascontiguousarray(kept[:, :, :3]),
            np.ascontiguousarray(kept[:, :, 3]),
            count,
            member,
        )

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.count)

    def service(self, deadline: float) -> tuple[FloatArray, BoolArray]:
        """Give the time left for shared service (C, L) and whether it is enough to use a cut.

        A cut that needs no shared resource may use the whole time; any other must leave some.
        """
        left = deadline - self.device_s
        idle = ~self.roots.any(axis=2)
        return left, (left > 0) | (idle & (left == 0))

    def earliest(self) -> float:
        """Give the earliest deadline, up to rounding, at which every device can use some cut."""
        return float(self.device_s.min(axis=1).max()) * (1 + 4 * EPS)

    def alone(self) -> FloatArray:
        """Latency (C, L) with all resources for one device, infinite where not allowed."""
        return np.asarray(np.einsum("cli,cli->cl", self.roots, self.roots) + self.device_s)

    def fastest_alone(self) -> IntArray:
        """Give each class the cut, shape (C,), 0-based, that is fastest for a device alone."""
        return np.asarray(self.alone().argmin(axis=1))

    def part(self, classes: IntArray) -> Fleet:
        """Give some classes as a fleet of their own, whose devices have no order."""
        return Fleet(
            self.roots[classes],
            self.device_s[classes],
            self.count[classes],
            self.member[:0],
            None if self.use is None else self.use[classes],
            self.budgets,
        )

    def cuts(self, counts: IntArray) -> IntArray:
        """Turn counts (C, L) of devices per class and cut into a cut (N,) in 1..L per device."""
        layers = self.device_s.shape[1]
        in_order = np.tile(np.arange(1, layers + 1), self.classes)
        listed = np.repeat(in_order, counts.ravel())
        cuts = np.empty(len(self.member), dtype=np.int64)
        cuts[np.argsort(self.member, kind="stable")] = listed
        return cuts


def merged(rows: FloatArray) -> tuple[FloatArray, IntArray, IntArray]:
    """Count the devices whose rows (N, L, K) are equal, in the order in which they come.

    Returns
    -------
    The rows of the classes (C, L, K), the devices of each (C,), and the class of each device (N,).
    """
    rows += 0.0  # a negative zero becomes zero, so that equal numbers are equal bytes
    flat = rows.reshape(len(rows), -1)
    keys = flat.view(np.dtype((np.void, flat.itemsize * flat.shape[1]))).ravel()
    _, first, member, count = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = rows if len(first) == len(rows) else rows[first[order]]
    return (
        kept,
        np.asarray(count[order], dtype=np.int64),
        np.asarray(rank[member], dtype=np.int64),
    )
