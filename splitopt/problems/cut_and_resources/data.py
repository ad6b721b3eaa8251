"""The data of `CutAndResources`: seconds, allowed cuts and what else is stated, all checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from splitopt.problems.arrays import boolean_table, indices, number_table
from splitopt.problems.base import (
    BoolArray,
    FloatArray,
    IntArray,
    Problem,
    check_objective,
)
from splitopt.problems.cut_and_resources.budgets import Budgets, read_budgets
from splitopt.problems.cut_and_resources.classes import DeviceClasses
from splitopt.problems.cut_and_resources.curves import read_curves
from splitopt.problems.cut_and_resources.decision import (
    CUT_RULE,
    SHARES,
    CutAndResourcesDecision,
    decision_from_shares,
)
from splitopt.problems.cut_and_resources.tradeoff_fields import (
    PRICED,
    read_fields,
    stated_fields,
)
from splitopt.problems.ranges import check_span, check_total

TIMES = ("download_s", "upload_s", "server_s", "device_s")
PHASES = ("download", "device", "upload", "server")
RESOURCES = ("download", "upload", "server")
_BLOCK = 8192
"""Classes of devices in a block."""


@dataclass(frozen=True, eq=False, repr=False)
class CutAndResourcesData(Problem[CutAndResourcesDecision]):
    """The fields of `CutAndResources`, which documents them, and what follows from them."""

    name: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[tuple[str, ...]] = ("sum", "makespan")
    decision_class: ClassVar[type[Any]] = CutAndResourcesDecision
    required_data: ClassVar[tuple[str, ...]] = ("allowed",)

    download_s: FloatArray
    upload_s: FloatArray
    server_s: FloatArray
    device_s: FloatArray
    allowed: BoolArray = None  # type: ignore[assignment]
    objective: str = "sum"
    weights: FloatArray | None = None
    curves: Mapping[str, FloatArray] | None = None
    priority: FloatArray | None = None
    device_w: FloatArray | None = None
    radio_w: FloatArray | None = None
    seconds_per_joule: float | None = None
    shared_links: bool | None = None
    budgets: Budgets | None = None

    def __post_init__(self) -> None:
        check_objective(self.objective, self.known_objectives(), "")
        shape: tuple[int, ...] = (-1, -1)
        for field in TIMES:
            table = number_table(getattr(self, field), field, "times in s", shape)
            object.__setattr__(self, field, table)
            shape = table.shape
        check_span({field: getattr(self, field) for field in TIMES})
        longest = sum(float(getattr(self, field).max()) for field in TIMES)
        check_total(float(shape[0]) ** 2 * longest, f"the times of {shape[0]} devices that share")
        allowed = np.ones(shape, dtype=np.bool_) if self.allowed is None else self.allowed
        object.__setattr__(self, "allowed", boolean_table(allowed, "allowed", shape))
        if self.weights is not None:
            weights = number_table(self.weights, "weights", "weights", shape[:1])
            object.__setattr__(self, "weights", weights)
        if self.curves is not None:
            object.__setattr__(self, "curves", read_curves(self.curves, "curves", *shape))
        sizes = (shape[0], shape[1])
        object.__setattr__(self, "budgets", read_budgets(self.budgets, "budgets", sizes))
        for field, value in read_fields(self).items():
            object.__setattr__(self, field, value)

    @classmethod
    def known_objectives(cls) -> tuple[str, ...]:
        """Return all objectives that some data can be asked for."""
        return (*cls.objectives, *PRICED)

    def data(self) -> dict[str, Any]:
        """Return the arrays of the instance file."""
        fields = {field: getattr(self, field) for field in (*TIMES, "allowed")}
        optional = {field: getattr(self, field) for field in ("weights", "curves")}
        optional["budgets"] = self.budgets and self.budgets.data()
        kept = {field: value for field, value in optional.items() if value is not None}
        return fields | kept | stated_fields(self)

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.device_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of layers L, which is also the last cut."""
        return int(self.device_s.shape[1])

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """What is shared: R names, the order of the last axis of `work_s` and of shares."""
        return RESOURCES

    @property
    def priced(self) -> tuple[str, ...]:
        """The shared resources (R): solvers report a price for each."""
        return self.resources

    @property
    def share_names(self) -> tuple[str, ...]:
        """The names of the shares (R of them) in messages and violations."""
        return SHARES

    @cached_property
    def work_s(self) -> FloatArray:
        """Shape (N, L, R): seconds of each resource at the full resource."""
        return np.stack((self.download_s, self.upload_s, self.server_s), axis=2)

    @cached_property
    def own_s(self) -> FloatArray:
        """Shape (N, L): seconds of what no share divides."""
        return self.device_s

    @cached_property
    def roots(self) -> FloatArray:
        """Shape (N, L, R): square roots of the seconds of each resource."""
        return np.sqrt(self.work_s)

    @property
    def choice_word(self) -> str:
        """What a device's alternatives are called in messages."""
        return "cut"

    def decision_of(self, cuts: IntArray, shares: FloatArray) -> CutAndResourcesDecision:
        """Return the decision of cuts (N,), 1..L, and shares (N, R)."""
        return decision_from_shares(cuts, shares)

    @property
    def classes(self) -> int:
        """Number of classes of devices that the data tell apart: every device is one here."""
        return self.devices

    def device_classes(self, rows: slice = slice(None)) -> DeviceClasses:
        """Return the tables of some classes of devices, by default of all."""
        seconds = np.stack([getattr(self, field)[rows] for field in TIMES])
        allowed = self.allowed[rows]
        return DeviceClasses(seconds, allowed, np.ones(len(allowed), dtype=np.int64))

    def class_blocks(self) -> Iterator[DeviceClasses]:
        """Yield the classes of devices in blocks, whose tables need little memory."""
        for start in range(0, self.classes, _BLOCK):
            yield self.device_classes(slice(start, start + _BLOCK))

    def chosen(self, cuts: IntArray) -> FloatArray:
        """Shape (R + 1, N): seconds of each resource, and own seconds, at these cuts (N,)."""
        rows, columns = np.arange(self.devices), cuts - 1
        return np.stack([getattr(self, table)[rows, columns] for table in TIMES])

    def permits(self, cuts: IntArray) -> BoolArray:
        """Shape (N,): whether each device may use its cut."""
        return self.allowed[np.arange(self.devices), cuts - 1]

    def stuck(self) -> IntArray:
        """Return the indices of devices that may use no cut at all."""
        return np.flatnonzero(~self.allowed.any(axis=1))

    def checked_cuts(self, cuts: npt.ArrayLike, source: str) -> IntArray:
        """Return cuts as an array, shape (N,), each from 1 to L; else raise `InputError`."""
        return indices(cuts, source, CUT_RULE, 1, self.layers, self.devices)

    def with_budgets(self, budgets: Budgets | None) -> Self:
        """Return the same problem with other budgets, or none."""
        return replace(self, budgets=budgets)
