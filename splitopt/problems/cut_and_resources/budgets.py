"""Side budgets of `CutAndResources`: what the devices' cuts take of something in all.

A budget has a use per device and cut and a limit; the sum over devices of the use at their cuts is
at most the limit. The memory of a server that holds a copy of its part for every device is one.
Shares of the resources do not matter to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number, number_table
from splitopt.problems.base import (
    FEASIBILITY_TOLERANCE,
    BoolArray,
    FloatArray,
    IntArray,
    check_keys,
)

KEYS = ("name", "use", "limit")


@dataclass(frozen=True, eq=False)
class Budgets:
    """B budgets over C classes of devices and L cuts.

    Parameters
    ----------
    names
        What they are of, all different.
    use
        Shape (C, L, B): what a device takes of each with a cut, >= 0.
    limit
        Shape (B,): the most that all devices may take together, >= 0.
    member
        Shape (N,): the class of each device; None if device n is class n.
    """

    names: tuple[str, ...]
    use: FloatArray
    limit: FloatArray
    member: IntArray | None = None

    def __len__(self) -> int:
        """Return the number of budgets B."""
        return len(self.names)

    @cached_property
    def room(self) -> FloatArray:
        """Shape (B,): the limits with the tolerance that feasible decisions may exceed them by."""
        return np.asarray(self.limit * (1 + FEASIBILITY_TOLERANCE))

    @cached_property
    def scale(self) -> FloatArray:
        """Shape (B,): what to divide a budget's numbers by, its limit or, if that is 0, a use."""
        largest = self.use.max(axis=(0, 1), initial=0.0)
        whole = np.where(self.limit > 0, self.limit, largest)
        return np.where(whole > 0, whole, 1.0)

    def table(self) -> FloatArray:
        """Shape (N, L, B): the use of every single device."""
        return self.use if self.member is None else self.use[self.member]

    def expanded(self) -> Budgets:
        """Return the same budgets with a class for every device."""
        return self if self.member is None else replace(self, use=self.table(), member=None)

    def used(self, cuts: IntArray) -> FloatArray:
        """Shape (..., B): what vectors of cuts (..., N), 1..L, take of each budget."""
        rows = np.arange(cuts.shape[-1]) if self.member is None else self.member
        return np.asarray(self.use[rows, cuts - 1].sum(axis=-2))

    def excess(self, cuts: IntArray) -> FloatArray:
        """Shape (...,): by how much vectors of cuts (..., N) exceed their limits, relatively.

        It is 0 exactly where they are within all of them, up to the tolerance.
        """
        used = self.used(cuts)
        over = np.where(used > self.room, used - self.limit, 0.0)
        return np.asarray((over / self.scale).sum(axis=-1))

    def violations(self, cuts: IntArray) -> dict[str, float]:
        """Return by how much cuts (N,) exceed each budget that they do not keep."""
        used = self.used(cuts)
        return {
            f"budget {name}": float(used[b] - self.limit[b])
            for b, name in enumerate(self.names)
            if used[b] > self.room[b]
        }

    def least(self, allowed: BoolArray) -> FloatArray:
        """Shape (B,): the least that each can take by itself, given what is allowed (N, L)."""
        use = np.where(allowed[:, :, None], self.table(), np.inf)
        return np.asarray(use.min(axis=1).sum(axis=0))

    def data(self) -> list[dict[str, Any]]:
        """Return the entry ``budgets`` of an instance's data."""
        return [
            {"name": name, "use": np.ascontiguousarray(self.use[:, :, b]), "limit": limit}
            for b, (name, limit) in enumerate(zip(self.names, self.limit.tolist(), strict=True))
        ]


def read_budgets(
    value: Any, source: str, shape: tuple[int, int], member: IntArray | None = None
) -> Budgets | None:
    """Check the entry ``budgets``, of uses with a given shape (C, L); None if there are none.

    Raises
    ------
    InputError
        A field is missing, unknown, or does not fit the others; the message names the entry.
    """
    if value is None:
        return None
    if isinstance(value, Budgets):
        return _checked(value, source, shape)
    if isinstance(value, Mapping) and all(str(key).isdigit() for key in value):
        value = [value[key] for key in sorted(value, key=int)]  # as an archive of arrays keeps it
    if not isinstance(value, list | tuple):
        raise InputError.at(source, "must be a list of budgets with 'name', 'use' and 'limit'")
    names, uses, limits = [], [], []
    for index, entry in enumerate(value):
        place = f"{source}[{index}]"
        given = check_keys(entry, KEYS, (), place)
        name = given["name"]
        if not isinstance(name, str) or not name.strip():
            raise InputError.at(f"{place}.name", f"is {name!r}, it must be a text")
        if name in names:
            raise InputError.at(f"{place}.name", f"is {name!r}, which stands twice")
        names.append(name)
        uses.append(number_table(given["use"], f"{place}.use", "use of the budget", shape))
        limits.append(number(given["limit"], f"{place}.limit", "limit of the budget"))
    if not names:
        return None
    use = np.stack(uses, axis=2)
    use.setflags(write=False)
    return Budgets(tuple(names), use, np.array(limits), member)


def _checked(value: Budgets, source: str, shape: tuple[int, int]) -> Budgets:
    if value.use.shape[:2] != shape and value.table().shape[:2] != shape:
        raise InputError.at(source, f"are for {value.use.shape[0]} devices, not for {shape[0]}")
    return value if value.use.shape[:2] == shape else value.expanded()


def why_over_budget(budgets: Budgets, allowed: BoolArray, word: str = "cuts") -> str | None:
    """Report which budget is too small for any plan at all, None if none is by itself.

    Parameters
    ----------
    budgets
        The budgets.
    allowed
        Shape (N, L): the cuts that each device may use, one at least.
    word
        What the cuts are called.
    """
    least = budgets.least(allowed)
    for name, need, room, limit in zip(
        budgets.names, least, budgets.room, budgets.limit, strict=True
    ):
        if need > room:
            return (
                f"the budget {name!r} is {limit:.10g}, and the {word} that use least of it take "
                f"{need:.10g}, which is {need - limit:.10g} more: raise the limit to that"
            )
    return None


def no_cuts_within(budgets: Budgets | None, allowed: BoolArray, word: str = "cuts") -> str:
    """Report that no allowed cuts (N, L) keep all budgets, with what each takes at least."""
    assert budgets is not None  # without budgets there is nothing to exceed
    least = budgets.least(allowed)
    each = ", ".join(
        f"{name!r} takes at least {need:.10g} of {limit:.10g}"
        for name, need, limit in zip(budgets.names, least, budgets.limit, strict=True)
    )
    return f"no {word} keep all budgets together ({each}, each by itself); raise a limit"
