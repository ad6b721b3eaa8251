"""`CutAndResources` by group: a decision per group of alike devices instead of one per device.

With m devices of a part, each of seconds a at the full resource and share s, a part is one device
with all shares S = m s of its devices together:

    makespan   latency a / s = (m a) / S                 a device of m times the seconds a
    sum        m (a / s) = (m^2 a) / S                   a device of m^2 times the seconds a

and m d, or d, seconds of its own. So the shares of parts are those of as many single devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.latency.energy import device_energy
from splitopt.problems.arrays import number_table
from splitopt.problems.base import (
    BoolArray,
    FloatArray,
    IntArray,
    check_objective,
)
from splitopt.problems.cut_and_resources.budgets import Budgets, read_budgets, why_over_budget
from splitopt.problems.cut_and_resources.completion import sharing_numbers
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import SHARES
from splitopt.problems.cut_and_resources.factored import FIELDS, FactoredData
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.parts import GroupCuts, GroupedDecision
from splitopt.problems.cut_and_resources.problem import CutAndResources
from splitopt.problems.cut_and_resources.scoring import broken_shares
from splitopt.problems.cut_and_resources.seconds import phase_table
from splitopt.problems.cut_and_resources.shares import (
    Allocation,
    allocate_for_makespan,
    allocate_for_sum,
)
from splitopt.problems.cut_and_resources.tradeoff_fields import read_fields

BY_DEVICE = "is about every single device, and this problem's decisions are by group"


class _Rows(NamedTuple):
    """The fields of priorities and energy with a row for each group."""

    devices: int
    objective: str
    priority: FloatArray | None
    device_w: FloatArray | None
    radio_w: FloatArray | None
    seconds_per_joule: float | None
    shared_links: bool | None


@dataclass(frozen=True, eq=False)
class GroupBudgets(Budgets):
    """Budgets of which a decision by group takes a part.

    Parameters
    ----------
    names, use, limit
        As of `Budgets`, a row for every group.
    count
        Shape (G,): how many devices each has.
    """

    count: IntArray = None  # type: ignore[assignment]

    def used(self, cuts: Any) -> FloatArray:
        """Shape (B,): what the devices of `GroupCuts` take of each budget."""
        return np.asarray(cuts.devices @ self.use[cuts.group, cuts.cut - 1])

    def least(self, allowed: BoolArray) -> FloatArray:
        """Shape (B,): the least that each can take by itself, given what is allowed (G, L)."""
        use = np.where(allowed[:, :, None], self.use, np.inf)
        return np.asarray(self.count @ use.min(axis=1))


class GroupedCutAndResources(FactoredData, CutAndResources):
    """A `CutAndResources` whose decisions are by group, see `GroupedDecision`.

    Nothing here has an entry for every single device, however many there are.

    Parameters
    ----------
    factors
        The data: a class for every group, with its ``count``.
    objective, **optional
        As for `CutAndResources`; arrays have a row for each group, shape (G,), and the ``use`` of
        ``budgets`` as well, shape (G, L). There are no ``curves``.
    """

    decision_class: ClassVar[type[Any]] = GroupedDecision
    by_group: ClassVar[bool] = True

    def __init__(self, factors: Factors, objective: str = "sum", **optional: Any) -> None:
        check_objective(objective, self.known_objectives(), "")
        state: dict[str, Any] = dict.fromkeys((*FIELDS, "curves")) | optional
        for field, value in (state | {"factors": factors, "objective": objective}).items():
            object.__setattr__(self, field, value)
        shape = (factors.classes, factors.layers)
        if self.weights is not None:
            weights = number_table(self.weights, "weights", "weights", shape[:1])
            object.__setattr__(self, "weights", weights)
        own = {name: state[name] for name in _Rows._fields if name in state}
        for field, value in read_fields(_Rows(shape[0], objective, **own)).items():
            object.__setattr__(self, field, value)
        budgets = read_budgets(self.budgets, "budgets", shape)
        if budgets is not None and not isinstance(budgets, GroupBudgets):
            own = {"names": budgets.names, "use": budgets.use, "limit": budgets.limit}
            budgets = GroupBudgets(**own, count=factors.count)
        object.__setattr__(self, "budgets", budgets)

    def __repr__(self) -> str:
        sizes = f"{self.devices} devices in {self.factors.classes} groups, {self.layers} cuts"
        return f"{type(self).__name__}({sizes}, objective={self.objective!r})"

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, which has a row for every single device."""
        raise InputError(
            f"an instance {BY_DEVICE}: build one of a smaller fleet with CutAndResources"
        )

    def _content(self) -> dict[str, Any]:
        return super().data()

    def _rows(self) -> tuple[Factors, Budgets | None]:
        """Return the data with the rows of the optional arrays, here those of the groups."""
        return self.factors, self.budgets

    @cached_property
    def download_s(self) -> FloatArray:
        """Shape (G, L), as the other tables."""
        return self.factors.class_table(0)

    @cached_property
    def upload_s(self) -> FloatArray:
        """Shape (G, L)."""
        return self.factors.class_table(1)

    @cached_property
    def server_s(self) -> FloatArray:
        """Shape (G, L)."""
        return self.factors.class_table(2)

    @cached_property
    def device_s(self) -> FloatArray:
        """Shape (G, L)."""
        return self.factors.class_table(3)

    @cached_property
    def allowed(self) -> BoolArray:
        """Shape (G, L)."""
        return self.factors.masks[self.factors.mask]

    def chosen(self, cuts: Any) -> FloatArray:
        """Shape (4, K): seconds of a device of each part of `GroupCuts`."""
        return np.stack([self.factors.seconds(part, cuts.cut - 1, cuts.group) for part in range(4)])

    def permits(self, cuts: Any) -> BoolArray:
        """Shape (K,): whether the devices of each part may use its cut."""
        return np.asarray(self.factors.masks[self.factors.mask[cuts.group], cuts.cut - 1])

    def stuck(self) -> IntArray:
        """Return the indices of groups whose devices may use no cut at all."""
        return np.flatnonzero(np.take(~np.any(self.factors.masks, axis=1), self.factors.mask))

    def infeasibility(self) -> str | None:
        """Name the groups that may use no cut at all, or a budget that no cuts can keep."""
        stuck = self.stuck()
        if stuck.size == 0:
            return self._over_budget()
        shown = ", ".join(str(n) for n in stuck[:8]) + (", ..." if stuck.size > 8 else "")
        many = int(self.factors.count[stuck].sum())
        return (
            f"{many} of {self.devices} devices have no allowed cut (groups with index {shown}); "
            "allow at least one cut for each"
        )

    def _over_budget(self) -> str | None:
        """Report which budget is too small for any cuts at all, None if none is by itself."""
        if self.budgets is None:
            return None
        return why_over_budget(self.budgets, self.allowed)

    def _checked(self, decision: Any) -> GroupedDecision:
        """Return a decision whose cuts and groups exist; else raise `InputError`."""
        found: GroupedDecision = self.taken(decision)
        for name, most in (("group", self.factors.classes - 1), ("cut", self.layers)):
            array, least = getattr(found, name), 0 if name == "group" else 1
            if array.size == 0 or array.min() < least or array.max() > most:
                raise InputError.at(f"decision.{name}", f"must have numbers from {least} to {most}")
        return found

    def taken(self, decision: Any) -> Any:
        """Return a decision by group as it is, or the one that plain data describe."""
        return CutAndResourcesData.taken(self, decision)

    def phases(self, decision: Any) -> FloatArray:
        """Shape (K, 4): seconds of a device of each part by `PHASES`."""
        found = self._checked(decision)
        return phase_table(self.chosen(found.parts), found.shares, self.shared_links)

    def latencies(self, decision: Any) -> FloatArray:
        """Shape (K,): the round latency of a device of each part in s."""
        return np.asarray(self.phases(decision).sum(axis=1))

    def energy(self, decision: Any) -> FloatArray:
        """Shape (K,): joule of a device of each part in a round."""
        found = self._checked(decision)
        assert self.device_w is not None  # the caller or read_fields() saw to it
        assert self.radio_w is not None
        seconds, watt, radio = self.chosen(found.parts), self.device_w, self.radio_w
        return np.asarray(
            device_energy(watt[found.group], seconds[3], radio[found.group], seconds[1])
        )

    def evaluate(self, decision: Any) -> float:
        """Objective value: s, or J for ``"energy"``."""
        found = self._checked(decision)
        if self.objective == "energy":
            return float(found.devices @ self.energy(found))
        latencies = self.latencies(found)
        if self.priority is not None:
            latencies = self.priority[found.group] * latencies
        if self.objective == "makespan":
            return float(latencies.max())
        total = float(found.devices @ latencies)
        if self.objective == "latency_energy":
            assert self.seconds_per_joule is not None  # read_fields() saw to it
            total += self.seconds_per_joule * float(found.devices @ self.energy(found))
        return total

    def lift(self, decision: Any) -> Any:
        """Return shares where the plain problem has nothing to share, none of own links."""
        if self.objective == "energy":
            return self.complete(decision.parts)
        if self.shared_links:
            return decision
        none = np.zeros(len(decision.cut))
        return replace(decision, download_share=none, upload_share=none)

    def violations(self, decision: Any) -> dict[str, float]:
        """Excess over each budget (fractions), and counts of devices for the other constraints."""
        found: GroupedDecision = self.taken(decision)
        named = zip(SHARES, found.shares.T, strict=True)
        broken = broken_shares(named, found.devices)
        outside = (found.cut < 1) | (found.cut > self.layers)
        outside |= (found.group < 0) | (found.group >= self.factors.classes)
        if outside.any():
            broken["cut_outside_model"] = float(found.devices[outside].sum())
            return broken
        planned = np.bincount(found.group, found.devices, self.factors.classes)
        if missing := float(np.abs(planned - self.factors.count).sum()):
            broken["devices_without_one_part"] = missing
            return broken
        if banned := int(found.devices[~self.permits(found.parts)].sum()):
            broken["cut_not_allowed"] = float(banned)
        if self.budgets is not None:
            broken |= self.budgets.violations(found.parts)  # type: ignore[arg-type]
        if starved := int(found.devices[~np.isfinite(self.latencies(found))].sum()):
            broken["device_without_a_needed_share"] = float(starved)
        return broken

    def allocate(self, cuts: Any) -> Allocation:
        """Best shares (K, 3) of all devices of each part together; the worth of the resources.

        ``weight`` (K,) is the derivative by the own seconds of all devices of a part together.
        """
        plain, alpha, own = sharing_numbers(self, cuts)
        many = cuts.devices.astype(np.float64)
        if plain.objective == "makespan":
            return allocate_for_makespan(np.sqrt(many)[:, None] * alpha, own)
        found = allocate_for_sum(many[:, None] * alpha)
        return found._replace(weight=many)

    def complete(self, cut: Any) -> Any:
        """Return the decision with the best shares for `GroupCuts`, or a cut (G,) of each group."""
        cuts = cut if isinstance(cut, GroupCuts) else self._one_each(cut)
        shares = self.allocate(cuts).shares / cuts.devices[:, None]
        return GroupedDecision(*cuts, *shares.T.copy())

    def revived(self, decision: Any) -> Any:
        """Return the same cuts with the best shares for them, where they are of this fleet."""
        return decision if self.violations(decision) else self.complete(decision.parts)

    def _one_each(self, cut: npt.ArrayLike) -> GroupCuts:
        given = np.asarray(cut)
        if given.shape != (self.factors.classes,):
            raise InputError.at(
                "cut", f"has shape {given.shape}; give a cut for each of the groups, or GroupCuts"
            )
        return GroupCuts(np.arange(self.factors.classes), given, self.factors.count)

    def restricted(self, allowed: BoolArray) -> CutAndResources:  # noqa: ARG002 - as of the base
        """Raise `InputError`: that is a problem of every single device."""
        raise InputError(f"the table of allowed cuts {BY_DEVICE}")

    def decode(self, document: Mapping[str, Any], source: str = "decision") -> Any:
        """Read a decision from plain data."""
        return GroupedDecision.from_dict(document, self.factors.classes, self.layers, source)
