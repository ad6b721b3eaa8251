"""The data of `CutAndResources` for large fleets: tables given as factors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number_table
from splitopt.problems.base import BoolArray, FloatArray, IntArray, check_keys, check_objective
from splitopt.problems.cut_and_resources.budgets import Budgets, read_budgets
from splitopt.problems.cut_and_resources.classes import DeviceClasses
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.tradeoff_fields import FIELDS as TRADEOFFS
from splitopt.problems.cut_and_resources.tradeoff_fields import (
    PRICED,
    priced_range,
    read_fields,
    stated_fields,
)

FIELDS = ("weights", *TRADEOFFS, "budgets")


class FactoredData(CutAndResourcesData):
    """The data of `FactoredCutAndResources`, which documents its fields."""

    def __init__(self, factors: Factors, objective: str = "sum", **optional: Any) -> None:
        check_objective(objective, self.known_objectives(), "")
        given = check_keys(optional, (), FIELDS, "factors")
        state: dict[str, Any] = dict.fromkeys((*FIELDS, "curves")) | dict(given)
        state |= {"factors": factors, "objective": objective}
        for field, value in state.items():
            object.__setattr__(self, field, value)
        if self.weights is not None:
            weights = number_table(self.weights, "weights", "weights", (self.devices,))
            object.__setattr__(self, "weights", weights)
        for field, value in read_fields(self).items():
            object.__setattr__(self, field, value)
        shape, member = (
            (factors.classes, factors.layers),
            None if factors.single else factors.member,
        )
        object.__setattr__(self, "budgets", read_budgets(self.budgets, "budgets", shape, member))

    factors: Factors

    @classmethod
    def from_data(cls, data: Mapping[str, Any], objective: str, source: str = "instance") -> Self:
        """Build the problem from the ``data`` of an instance file."""
        check_objective(objective, cls.known_objectives(), source)
        given = dict(check_keys(data, ("factors",), FIELDS, f"{source}: data"))
        factors = given.pop("factors")
        try:
            read = factors if isinstance(factors, Factors) else Factors.read(factors)
            return cls(read, objective, **given)
        except InputError as error:
            raise InputError(f"{source}: data.{error}") from None

    def __repr__(self) -> str:
        sizes = f"{self.devices} devices in {self.factors.classes} classes, {self.layers} cuts"
        return f"{type(self).__name__}({sizes}, objective={self.objective!r})"

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file."""
        optional = {"weights": self.weights, "budgets": self.budgets and self.budgets.data()}
        kept = {field: value for field, value in optional.items() if value is not None}
        return {"factors": self.factors.data()} | kept | stated_fields(self)

    def with_objective(self, objective: str) -> Self:
        """Return the same problem under another objective; the data are shared."""
        optional = {field: getattr(self, field) for field in FIELDS}
        return type(self)(self.factors, objective, **optional)

    def with_budgets(self, budgets: Budgets | None) -> Self:
        """Return the same problem with other budgets, or none."""
        optional = {field: getattr(self, field) for field in FIELDS} | {"budgets": budgets}
        return type(self)(self.factors, self.objective, **optional)

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return self.factors.devices

    @property
    def layers(self) -> int:
        """Number of layers L, which is also the last cut."""
        return self.factors.layers

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return self.factors.classes

    def device_classes(self, rows: slice = slice(None)) -> DeviceClasses:
        """Return the tables of some classes of devices, by default of all."""
        factors = self.factors
        seconds = np.stack([factors.class_table(part, rows) for part in range(4)])
        return DeviceClasses(seconds, factors.masks[factors.mask[rows]], factors.count[rows])

    @cached_property
    def download_s(self) -> FloatArray:
        """Shape (N, L)."""
        return self.factors.table(0)

    @cached_property
    def upload_s(self) -> FloatArray:
        """Shape (N, L)."""
        return self.factors.table(1)

    @cached_property
    def server_s(self) -> FloatArray:
        """Shape (N, L)."""
        return self.factors.table(2)

    @cached_property
    def device_s(self) -> FloatArray:
        """Shape (N, L)."""
        return self.factors.table(3)

    @cached_property
    def allowed(self) -> BoolArray:
        """Shape (N, L)."""
        return self.factors.masks[self.factors.expanded().mask]

    def chosen(self, cuts: IntArray) -> FloatArray:
        """Shape (4, N): download, upload, server and device seconds at these cuts."""
        factors = self.factors
        columns = cuts - 1
        classes: IntArray | slice = slice(None) if factors.single else factors.member
        return np.stack([factors.seconds(part, columns, classes) for part in range(4)])

    def permits(self, cuts: IntArray) -> BoolArray:
        """Shape (N,): whether each device may use its cut."""
        factors = self.factors
        mask = factors.mask if factors.single else factors.mask[factors.member]
        return np.asarray(factors.masks[mask, cuts - 1])

    def stuck(self) -> IntArray:
        """Return the indices of devices that may use no cut at all."""
        factors = self.factors
        bad = np.take(~np.any(factors.masks, axis=1), factors.mask)
        return np.flatnonzero(bad if factors.single else np.repeat(bad, factors.count))

    def _rows(self) -> tuple[Factors, Budgets | None]:
        """Return the data with a row for each entry of the optional arrays: for each device."""
        return self.factors.expanded(), self.budgets and self.budgets.expanded()

    @cached_property
    def plain(self) -> Self:
        """The problem of plain seconds with the same decisions and values, see `tradeoffs`."""
        priced = self.objective in PRICED
        if not priced and self.priority is None and self.shared_links:
            return self
        factors, budgets = self._rows()
        one = np.ones(factors.classes)
        factor = one if self.priority is None else self.priority
        kept = {"weights": self.weights, "budgets": budgets}
        terms = {part: [(part, factor)] for part in (range(4) if self.shared_links else (2, 3))}
        if not self.shared_links:
            terms[3] += [(0, factor), (1, factor)]
        if not priced:
            with priced_range():
                return type(self)(factors.combined(terms), self.objective, **kept)
        assert self.device_w is not None  # read_fields() saw to it
        assert self.radio_w is not None
        price = 1.0 if self.objective == "energy" else self.seconds_per_joule
        assert price is not None
        if self.objective == "energy":
            terms = {3: [(3, self.device_w), (1, self.radio_w)]}
        else:
            terms[3][0] = (3, factor + price * self.device_w)
            terms[3].append((1, price * self.radio_w))
        with priced_range():
            return type(self)(factors.combined(terms), "sum", **kept)
