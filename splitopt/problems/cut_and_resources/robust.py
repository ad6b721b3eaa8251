"""`RobustCutAndResources`: its data, its worst case, and shares that are best in the worst case."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.scoring import ScoredDecisions
from splitopt.problems.cut_and_resources.shares import allocate_for_makespan, allocate_for_sum
from splitopt.problems.cut_and_resources.slow_devices import (
    SlowDevices,
    WorstCase,
    read_quorum,
    read_slow,
    worst_makespan,
    worst_sum,
)
from splitopt.problems.cut_and_resources.worst_slowdown import Rows, worst_slowdown

FIELDS = ("slow", "quorum")
"""The entries of an instance's data that make the problem a robust one."""


class StretchedTables(NamedTuple):
    """The seconds of a robust problem, priorities and own links worked in.

    With cut l and shares s, device n takes ``sum_r work / s + own`` seconds, and when it is slow
    ``stretch * sum_(r in linked) work / s + more`` seconds longer.

    Parameters
    ----------
    work
        Shape (N, L, R), seconds of each resource at the full resource.
    own, more
        Shape (N, L), seconds that no share divides, and what slowness adds to them.
    linked
        Shape (R,), which resources are links, and so are stretched.
    stretch
        Shape (N,), >= 0: the factor of the links less 1.
    """

    work: FloatArray
    own: FloatArray
    more: FloatArray
    linked: BoolArray
    stretch: FloatArray

    def rows(self, cuts: IntArray, served: BoolArray) -> Rows:
        """Return the rows of some cuts (N,), 1..L, empty for devices that are not served."""
        at = np.arange(len(cuts)), cuts - 1
        return Rows(
            np.sqrt(np.where(served[:, None], self.work[at], 0.0)),
            np.where(served, self.own[at], 0.0),
            np.where(served, self.more[at], 0.0),
            self.linked,
            self.stretch,
        )


@dataclass(frozen=True, eq=False, repr=False)
class RobustData(ScoredDecisions):
    """The data of `RobustCutAndResources`, which documents its fields."""

    version: ClassVar[int] = 2
    robust: ClassVar[bool] = True

    slow: Any = None  # a mapping is read, `SlowDevices` kept
    quorum: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "slow", read_slow(self.slow, "slow", self.devices))
        object.__setattr__(self, "quorum", read_quorum(self.quorum, "quorum", self.devices))
        if self.slow is None:
            ones = np.ones(self.devices)
            object.__setattr__(self, "slow", SlowDevices(0.0, ones, ones))
        if (
            self.objective == "makespan"
            and self.waited < self.devices
            and not self.slowness.is_whole
        ):
            raise InputError.at(
                "slow.devices",
                f"is {self.slowness.devices:g}, the makespan of a quorum needs a whole number: "
                "who is waited for depends on who is slow",
            )

    @classmethod
    def known_objectives(cls) -> tuple[str, ...]:
        """Return all objectives that some data can be asked for."""
        return cls.objectives

    def data(self) -> dict[str, Any]:
        """Return the arrays of the instance file."""
        found = super().data() | {"slow": self.slowness.data()}
        return found if self.quorum is None else found | {"quorum": self.quorum}

    @property
    def plain(self) -> Any:
        """The problem itself: its solvers take priorities and own links from `tables`."""
        return self

    @property
    def priced(self) -> tuple[str, ...]:
        """Nothing: each of the nominal questions behind a robust one has prices of its own."""
        return ()

    @property
    def slowness(self) -> SlowDevices:
        """Who may be slow; of none, if nothing is stated."""
        assert isinstance(self.slow, SlowDevices)  # __post_init__() saw to it
        return self.slow

    @property
    def waited(self) -> int:
        """How many devices a round waits for: the quorum, or all."""
        return self.devices if self.quorum is None else self.quorum

    @cached_property
    def tables(self) -> StretchedTables:
        """The seconds as solvers take them."""
        slow = self.slowness
        factor = np.ones(self.devices) if self.priority is None else self.priority
        down, up, server, own = (
            factor[:, None] * table
            for table in (self.download_s, self.upload_s, self.server_s, self.device_s)
        )
        more, stretch = (slow.compute - 1)[:, None] * own, slow.links - 1
        if not self.shared_links:
            more = more + stretch[:, None] * (down + up)
            own, nothing = own + down + up, np.zeros_like(down)
            down, up = nothing, nothing
        linked = np.array([True, True, False])
        return StretchedTables(np.stack((down, up, server), axis=2), own, more, linked, stretch)

    def increments(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): by how many seconds each device's round is longer when it is slow."""
        phases, slow = self.phases(decision), self.slowness
        starved = np.asarray(~np.isfinite(phases).all(axis=1))
        phases = np.where(starved[:, None], 0.0, phases)
        longer = (slow.compute - 1) * phases[:, 1] + (slow.links - 1) * (
            phases[:, 0] + phases[:, 2]
        )
        return np.asarray(longer)

    def worst_case(self, decision: CutAndResourcesDecision) -> WorstCase:
        """Compute what a decision takes when the devices are slow that hurt it most."""
        latency, more = self.phases(decision).sum(axis=1), self.increments(decision)
        if self.priority is not None:
            latency, more = self.priority * latency, self.priority * more
        worst = worst_makespan if self.objective == "makespan" else worst_sum
        return worst(latency, more, self.slowness.devices, self.waited)

    def evaluate(self, decision: CutAndResourcesDecision) -> float:
        """Worst case in s; errors are those of `phases`."""
        return self.worst_case(self.taken(decision)).value

    def robust_shares(self, cuts: IntArray, served: BoolArray | None = None) -> FloatArray:
        """Shape (N, R): the shares for some cuts whose worst case is least.

        Parameters
        ----------
        cuts
            Shape (N,), 1..L.
        served
            Shape (N,): who gets shares, all by default. It takes as many as are waited for; of a
            makespan also G more, of whom none need be in time when it is slow.
        """
        served = np.ones(self.devices, dtype=np.bool_) if served is None else served
        rows = self.tables.rows(cuts, served)
        slow, size = self.slowness.devices, self.devices
        if self.objective == "sum":
            return allocate_for_sum(rows.slowed(worst_slowdown(rows, slow).slowed).roots).shares
        parts = [min(slow, 1.0)]
        if self.waited < size and slow and int(served.sum()) >= self.waited + slow:
            parts.append(0.0)  # enough of them that late ones are not waited for
        tried = []
        for part in parts:
            sure = rows.slowed(np.full(size, part))
            shares = allocate_for_makespan(sure.roots, sure.own).shares
            tried.append((self.worst_case(self.decision_of(cuts, shares)).value, shares))
        return min(tried, key=lambda one: one[0])[1]

    def complete(
        self, cut: npt.ArrayLike, served: BoolArray | None = None
    ) -> CutAndResourcesDecision:
        """Return the decision with the shares for these cuts whose worst case is least.

        Parameters
        ----------
        cut
            Shape (N,), 1..L.
        served
            Shape (N,): who gets shares, all by default; see `robust_shares`.

        Raises
        ------
        InputError
            There is not one cut for each device, or one is no whole number from 1 to L.
        """
        cuts = self.checked_cuts(cut, "cut")
        return self.decision_of(cuts, self.robust_shares(cuts, served))

    def revived(self, decision: CutAndResourcesDecision) -> CutAndResourcesDecision:
        """Return the same cuts with the best shares for the devices that have some."""
        served = np.isfinite(self.latencies(decision))
        if self.violations(decision) or not self.permits(decision.cut).all():
            return decision
        return self.complete(decision.cut, served)

    def with_slow(self, devices: float) -> Any:
        """Return the same problem with another number of slow devices."""
        return replace(self, slow=replace(self.slowness, devices=float(devices)))
