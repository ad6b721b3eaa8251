"""Tables of seconds as sums of products: numbers per class of devices times numbers per cut.

A fleet of a million devices that train one model needs no tables of a million rows: each of the
four tables is ``sum_k scales[k, class] * shapes[k, cut]`` with one or two terms, such as the size
of the model over the device's rate, plus the smashed data times its samples over its rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import boolean_table, number_table
from splitopt.problems.base import BoolArray, FloatArray, IntArray, check_keys
from splitopt.problems.ranges import MOST, check_span, check_total

PARTS = ("download", "upload", "server", "device")
REQUIRED = tuple(f"{part}_{kind}" for part in PARTS for kind in ("scales", "shapes"))
OPTIONAL = ("masks", "mask", "count")
_MOST_DEVICES = 2**31


@dataclass(frozen=True, eq=False)
class Factors:
    """The data of C classes of devices and L cuts.

    Parameters
    ----------
    scales
        For download, upload, server and device, in this order: shape (K, C), numbers per class.
    shapes
        For the same: shape (K, L), numbers per cut; scale times shape is in s.
    masks
        Shape (M, L): the sets of cuts that a class may be allowed.
    mask
        Shape (C,): which of them each class is allowed.
    count
        Shape (C,): how many devices each class has. Devices are numbered class by class.
    """

    scales: tuple[FloatArray, ...]
    shapes: tuple[FloatArray, ...]
    masks: BoolArray
    mask: IntArray
    count: IntArray

    @classmethod
    def read(cls, value: Any, source: str = "factors") -> Factors:
        """Check the entry ``factors`` of an instance's data.

        Raises
        ------
        InputError
            A field is missing, unknown, or does not fit the others; the message names the entry.
        """
        given = check_keys(value, REQUIRED, OPTIONAL, source)
        scales, shapes = [], []
        classes = layers = -1
        for part in PARTS:
            name = f"{source}.{part}_scales"
            scale = number_table(given[f"{part}_scales"], name, "numbers per class", (-1, classes))
            terms, classes = scale.shape
            name = f"{source}.{part}_shapes"
            shape = number_table(given[f"{part}_shapes"], name, "numbers per cut", (terms, layers))
            layers = shape.shape[1]
            _check_size(scale, shape, name)
            scales.append(scale)
            shapes.append(shape)
        masks = given.get("masks", np.ones((1, layers), dtype=np.bool_))
        masks = boolean_table(masks, f"{source}.masks", (-1, layers))
        if "mask" not in given and len(masks) > 1:
            raise InputError.at(source, "has several 'masks', 'mask' must say whose they are")
        none = np.zeros(classes, dtype=np.int32)
        mask = _whole(given.get("mask", none), f"{source}.mask", classes, 0, len(masks) - 1)
        one = np.ones(classes, dtype=np.int64)
        count = _whole(given.get("count", one), f"{source}.count", classes, 1, _MOST_DEVICES)
        if int(count.sum()) > _MOST_DEVICES:
            raise InputError.at(f"{source}.count", f"adds up to more than {_MOST_DEVICES} devices")
        found = cls(tuple(scales), tuple(shapes), masks, mask.astype(np.int32), count)
        found.check_range(source)
        return found

    def check_range(self, source: str = "factors") -> None:
        """Raise `InputError` where times overflow, or differ by more than floats can hold."""
        ends = {}
        for part, scale, shape in zip(PARTS, self.scales, self.shapes, strict=True):
            _check_size(scale, shape, f"{source}.{part}_shapes")
            products = [
                least * _smallest(row)
                for term, row in zip(scale, shape, strict=True)
                if (least := _smallest(term)) > 0 and _smallest(row) > 0
            ]
            largest = float((scale.max(axis=1) * shape.max(axis=1)).sum())
            ends[f"{source}: the shortest and the longest {part}_s"] = np.array(
                [min(products, default=0.0), largest]
            )
        check_span(ends)
        longest = sum(float(end.max()) for end in ends.values())
        check_total(
            float(self.devices) ** 2 * longest, f"the times of {self.devices} devices that share"
        )

    @classmethod
    def of_tables(cls, tables: tuple[FloatArray, ...], allowed: BoolArray, count: Any) -> Factors:
        """Return classes with tables of their own: four of shape (C, L) and what is allowed."""
        layers = allowed.shape[1]
        masks, mask = np.unique(allowed, axis=0, return_inverse=True)
        entries: dict[str, Any] = {"masks": masks, "mask": mask.reshape(-1), "count": count}
        for part, table in zip(PARTS, tables, strict=True):
            entries |= {f"{part}_scales": table.T, f"{part}_shapes": np.eye(layers)}
        return cls.read(entries)

    def data(self) -> dict[str, Any]:
        """Return the entry ``factors`` of an instance's data."""
        found: dict[str, Any] = {}
        for part, scale, shape in zip(PARTS, self.scales, self.shapes, strict=True):
            found |= {f"{part}_scales": scale, f"{part}_shapes": shape}
        if len(self.masks) > 1 or not self.masks.all():
            found |= {"masks": self.masks, "mask": self.mask}
        return found if self.single else found | {"count": self.count}

    @cached_property
    def barriers(self) -> FloatArray:
        """Shape (L, M): 0 where a set of cuts has a cut, infinite elsewhere."""
        return np.where(self.masks.T, 0.0, np.inf)

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.count)

    @property
    def layers(self) -> int:
        """Number of cuts L."""
        return int(self.masks.shape[1])

    @cached_property
    def single(self) -> bool:
        """Whether every class is one device."""
        return bool((self.count == 1).all())

    @cached_property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.count.sum())

    @property
    def member(self) -> IntArray:
        """Shape (N,): the class of each device."""
        return np.repeat(np.arange(self.classes), self.count)

    def seconds(self, part: int, columns: IntArray, classes: IntArray | slice) -> FloatArray:
        """Seconds of one table in one 0-based column for each of some classes."""
        total = np.zeros(len(columns))
        for scale, shape in zip(self.scales[part], self.shapes[part], strict=True):
            total += scale[classes] * shape[columns]
        return total

    def class_table(self, part: int, rows: slice = slice(None)) -> FloatArray:
        """Shape (C, L): one table, built anew, with a row for each of some classes."""
        total = np.zeros((len(self.count[rows]), self.layers))
        for scale, shape in zip(self.scales[part], self.shapes[part], strict=True):
            total += scale[rows, None] * shape
        return total

    def table(self, part: int) -> FloatArray:
        """Shape (N, L): one table, built anew, with a row for each device."""
        total = self.class_table(part)
        return total if self.single else np.repeat(total, self.count, axis=0)

    def expanded(self) -> Factors:
        """Return the same devices in classes of one."""
        if self.single:
            return self
        member = self.member
        return replace(
            self,
            scales=tuple(scale[:, member] for scale in self.scales),
            mask=self.mask[member],
            count=np.ones(len(member), dtype=np.int64),
        )

    def part(self, classes: IntArray, count: IntArray) -> Factors:
        """Return some classes with other counts."""
        return replace(
            self,
            scales=tuple(np.ascontiguousarray(scale[:, classes]) for scale in self.scales),
            mask=self.mask[classes],
            count=count,
        )

    def combined(self, terms: Mapping[int, list[tuple[int, FloatArray]]]) -> Factors:
        """Return factors whose table i is the sum of old tables j, each row times a factor (C,)."""
        scales, shapes = [], []
        for part in range(len(PARTS)):
            made = [
                (scale * factor, shape)
                for old, factor in terms.get(part, [])
                for scale, shape in zip(self.scales[old], self.shapes[old], strict=True)
            ] or [(np.zeros(self.classes), np.zeros(self.layers))]
            scales.append(np.array([scale for scale, _ in made]))
            shapes.append(np.array([shape for _, shape in made]))
        found = replace(self, scales=tuple(scales), shapes=tuple(shapes))
        found.check_range()
        return found


def _smallest(numbers: FloatArray) -> float:
    """Return the smallest number above 0, 0.0 where there is none."""
    return float(numbers[numbers > 0].min(initial=np.inf)) if (numbers > 0).any() else 0.0


def _check_size(scale: FloatArray, shape: FloatArray, source: str) -> None:
    """Reject factors whose products are beyond floating point."""
    with np.errstate(over="ignore"):
        largest = float((scale.max(axis=1) * shape.max(axis=1)).sum())
    if not largest <= MOST:
        raise InputError.at(source, "times its scales is too large a number; use smaller units")


def _whole(value: Any, source: str, size: int, least: int, most: int) -> IntArray:
    """Read whole numbers within limits."""
    numbers = number_table(value, source, "whole numbers", (size,))
    bad = (numbers != np.floor(numbers)) | (numbers < least) | (numbers > most)
    if bad.any():
        place = int(np.flatnonzero(bad)[0])
        limit = f"must be a whole number from {least} to {most}"
        raise InputError.at(f"{source}[{place}]", f"is {numbers[place]:g}, it {limit}")
    return numbers.astype(np.int64)
