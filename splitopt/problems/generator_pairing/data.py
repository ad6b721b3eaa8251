"""The data of `GeneratorPairing`: labels, samples, costs and options, checked, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.names import clean_name
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number, number_table, whole_number
from splitopt.problems.base import BoolArray, FloatArray, IntArray, Problem, check_objective
from splitopt.problems.generator_pairing.decision import GeneratorPairingDecision
from splitopt.problems.generator_pairing.labels import (
    as_lists,
    chosen_table,
    is_table,
    label_table,
    lists_of_labels,
    read_counts,
    read_labels,
    union,
)
from splitopt.problems.ranges import check_factor, check_total

MOST_DEVICES = 5000
"""Devices of a problem: its costs are a table of all pairs."""
MOST_SOURCES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class GeneratorPairingData(Problem[GeneratorPairingDecision]):
    """The fields of `GeneratorPairing`, which documents them, and what follows from them."""

    name: ClassVar[str] = "generator_pairing"
    objectives: ClassVar[tuple[str, ...]] = ("cost",)
    decision_class: ClassVar[type[Any]] = GeneratorPairingDecision

    cost: FloatArray
    classes: Any = None
    labels: Any = None
    counts: Any = None
    generates: Any = None
    quality: Any = None
    caps: Any = None
    sources: Any = 1
    redundant: bool = False
    least_samples: int = 1
    least_quality: float = 0.0
    quality_weight: float = 0.0
    names: Any = None
    objective: str = "cost"

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        cost = number_table(self.cost, "cost", "costs of sending", (-1, -1))
        if cost.shape[0] != cost.shape[1]:
            rows, columns = cost.shape
            raise InputError.at(
                "cost", f"is {rows} x {columns}, it must have a row and a column for each device"
            )
        if len(cost) > MOST_DEVICES:
            raise InputError.at(
                "cost", f"has {len(cost)} devices, a problem has at most {MOST_DEVICES}"
            )
        self._put(cost=cost)
        if self.names is not None:
            self._put(names=_device_names(self.names, len(cost)))
        self._read_classes()
        self._read_generators()
        self._read_options()
        with np.errstate(over="ignore"):
            worst = float(cost.max()) * len(cost) ** 2
            worst += self.quality_weight * float(self.need.sum())
        check_total(worst, "the costs of all transfers")

    def _put(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _read_classes(self) -> None:
        """Read labels, and what every device has: lists of labels, a table, or samples."""
        if (self.classes is None) == (self.counts is None):
            fault = "is missing" if self.classes is None else "and 'counts' are both given"
            raise InputError.at(
                "classes", f"{fault}; give either the labels of each device or 'counts'"
            )
        given = None if self.labels is None else read_labels(self.labels, "labels")
        devices = len(self.cost)
        if self.counts is not None:
            if given is None:
                raise InputError.at("labels", "is missing; 'counts' has a column for each label")
            counts = read_counts(self.counts, len(given))
            table = counts > 0
            self._put(counts=counts)
        elif is_table(self.classes):
            if given is None:
                raise InputError.at("labels", "is missing; the table has a column for each label")
            table = label_table(self.classes, given, len(self.classes), "classes")
        else:
            lists = lists_of_labels(self.classes, "classes")
            given = union(lists, "classes") if given is None else given
            table = chosen_table(lists, given, "classes")
        field = "classes" if self.counts is None else "counts"
        if len(table) != devices:
            raise InputError.at(
                field, f"has {len(table)} devices, but cost has {devices}; they must be the same"
            )
        if (empty := np.flatnonzero(~table.any(axis=1))).size:
            raise InputError.at(
                f"{field}[{empty[0]}]",
                "is empty: a device without any sample has nothing to train; leave it out",
            )
        table.setflags(write=False)
        self._put(labels=given, classes=table)

    def _read_generators(self) -> None:
        shape = self.classes.shape
        if self.generates is not None:
            table = label_table(self.generates, self.labels, len(self.cost), "generates")
            self._put(generates=table)
        quality = None
        if self.quality is not None:
            quality = number_table(self.quality, "quality", "from 0 to 1", shape)
            if (odd := np.argwhere(quality > 1)).size:
                i, c = (int(k) for k in odd[0])
                raise InputError.at(
                    f"quality[{i}][{c}]", f"is {quality[i, c]:g}, it must be from 0 to 1"
                )
        self._put(quality=quality)

    def _read_options(self) -> None:
        size = len(self.cost)
        if self.caps is not None:
            caps = self.caps
            if np.ndim(caps) == 0:
                caps = np.full(size, whole_number(caps, "caps", 0))
            self._put(caps=_whole_array(caps, "caps", size, 0))
        sources = self.sources
        if np.ndim(sources) == 0:
            sources = np.full(len(self.labels), whole_number(sources, "sources", 1))
        self._put(sources=_whole_array(sources, "sources", len(self.labels), 1))
        if self.sources.size and self.sources.max() > MOST_SOURCES:
            raise InputError.at("sources", f"is above {MOST_SOURCES}, the most that is taken")
        if not isinstance(self.redundant, bool | np.bool_):
            raise InputError.at("redundant", f"is {shown(self.redundant)}, write true or false")
        least = whole_number(self.least_samples, "least_samples", 1)
        if least > 1 and self.counts is None:
            raise InputError.at(
                "least_samples", f"is {least}, which needs 'counts', the samples of each label"
            )
        low = number(self.least_quality, "least_quality", "from 0 to 1")
        weight = number(self.quality_weight, "quality_weight", "cost per unit of quality")
        if low > 1:
            raise InputError.at("least_quality", f"is {low:g}, it must be from 0 to 1")
        check_factor(weight, "quality_weight")
        for field, value in (("least_quality", low), ("quality_weight", weight)):
            if value > 0 and self.quality is None:
                raise InputError.at(field, f"is {value:g}, which needs 'quality'; give it too")
        self._put(
            redundant=bool(self.redundant),
            least_samples=least,
            least_quality=low,
            quality_weight=weight,
        )

    @property
    def devices(self) -> int:
        """Number of devices D."""
        return len(self.cost)

    @cached_property
    def called(self) -> tuple[str, ...]:
        """What messages call the devices: their names, else ``device 0`` and so on."""
        if self.names is not None:
            return tuple(self.names)
        return tuple(f"device {i}" for i in range(self.devices))

    @cached_property
    def present(self) -> BoolArray:
        """Shape (D, C): whether a device has enough samples of a class of its own."""
        if self.counts is None:
            return np.asarray(self.classes, dtype=np.bool_)
        return np.asarray(self.counts >= self.least_samples)

    @cached_property
    def covers(self) -> BoolArray:
        """Shape (D, C): whether a device's generator counts for a class.

        It was trained on the class, by default one of which its device has a sample, and is of the
        least quality.
        """
        trained = self.classes if self.generates is None else self.generates
        if self.quality is None or self.least_quality == 0:
            return np.asarray(trained, dtype=np.bool_)
        return np.asarray(trained & (self.quality >= self.least_quality))

    @cached_property
    def need(self) -> IntArray:
        """Shape (D, C): senders that each device needs for each class; 0 for one that it has."""
        each = self.sources + int(self.redundant)
        return np.asarray(np.where(self.present, 0, each[None, :]), dtype=np.int64)

    @cached_property
    def penalty(self) -> FloatArray | None:
        """Shape (D, C): what taking a class from a generator costs for its lack of quality."""
        if self.quality_weight == 0:
            return None
        return np.asarray(self.quality_weight * (1.0 - self.quality))

    @cached_property
    def without_one_partner(self) -> IntArray:
        """The devices that lack classes which no single other generator covers together.

        They are those for which Algorithm 2 has no answer, if it counts as the problem does.
        """
        found = []
        for i in np.flatnonzero((~self.present).any(axis=1)).tolist():
            fits = np.flatnonzero(self.covers[:, ~self.present[i]].all(axis=1))
            if not (fits != i).any():
                found.append(i)
        return np.array(found, dtype=np.int64)

    @cached_property
    def limits(self) -> IntArray | None:
        """Shape (D,): the caps, None where none of them can bind."""
        if self.caps is None or (self.caps >= self.devices - 1).all():
            return None
        return np.asarray(self.caps)

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, optional fields only where they say anything."""
        found: dict[str, Any] = {"labels": list(self.labels), "cost": self.cost}
        if self.counts is None:
            found["classes"] = as_lists(self.classes, self.labels)
        else:
            found["counts"] = self.counts
        if self.generates is not None:
            found["generates"] = as_lists(self.generates, self.labels)
        if self.names is not None:
            found["names"] = list(self.names)
        for field in ("quality", "caps"):
            if (value := getattr(self, field)) is not None:
                found[field] = value
        if (self.sources != 1).any():
            alike = len(set(self.sources.tolist())) == 1
            found["sources"] = int(self.sources[0]) if alike else self.sources
        for field, default in (
            ("redundant", False),
            ("least_samples", 1),
            ("least_quality", 0.0),
            ("quality_weight", 0.0),
        ):
            if (value := getattr(self, field)) != default:
                found[field] = value
        return found

    def archived(self) -> dict[str, Any]:
        """Return the data of an archive, which has tables in place of lists of any length."""
        found = self.data()
        for field in ("classes", "generates"):
            if field in found:
                found[field] = getattr(self, field)
        return found


def _device_names(value: Any, devices: int) -> tuple[str, ...]:
    """Read a name for each device, all different."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != devices:
        raise InputError.at("names", f"must be a list of {devices} texts, one for each device")
    read: dict[str, int] = {}
    for i, name in enumerate(value):
        if not isinstance(name, str) or not name.strip():
            raise InputError.at(f"names[{i}]", f"is {shown(name)}, it must be a text")
        if name in read:
            raise InputError.at(
                f"names[{i}]", f"is {shown(name)}, as names[{read[name]}]; names must differ"
            )
        read[clean_name(str(name), f"names[{i}]")] = i
    return tuple(read)


def _whole_array(value: Any, source: str, length: int, least: int) -> IntArray:
    """Read whole numbers of at least `least`, one for each of `length`, read-only."""
    numbers = number_table(value, source, "whole numbers", (length,))
    odd = (numbers != np.floor(numbers)) | (numbers < least) | (numbers > 2**53)
    if odd.any():
        k = int(np.argmax(odd))
        raise InputError.at(
            f"{source}[{k}]", f"is {numbers[k]:g}, it must be a whole number >= {least}"
        )
    found = numbers.astype(np.int64)
    found.setflags(write=False)
    return found
