"""The devices of a `CutAndResources` problem with identical ones counted instead of repeated.

A `Fleet` holds the numbers of all its classes; `large_fleet` says why large ones are not held.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS


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

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.count)

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
        )

    def cuts(self, counts: IntArray) -> IntArray:
        """Turn counts (C, L) of devices per class and cut into a cut (N,) in 1..L per device."""
        layers = self.device_s.shape[1]
        in_order = np.tile(np.arange(1, layers + 1), self.classes)
        listed = np.repeat(in_order, counts.ravel())
        cuts = np.empty(len(self.member), dtype=np.int64)
        cuts[np.argsort(self.member, kind="stable")] = listed
        return cuts
