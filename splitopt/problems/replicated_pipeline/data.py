"""The data of `ReplicatedPipeline`: layers and types of devices, checked, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.problems.arrays import number_table, whole_number
from splitopt.problems.base import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    IntArray,
    Problem,
    check_objective,
)
from splitopt.problems.ranges import check_span, check_total
from splitopt.problems.replicated_pipeline.decision import ReplicatedPipelineDecision

SCHEDULES = ("1f1b", "gpipe", "pipedream")
DUPLEX = ("full", "half")
RECOMPUTE = ("never", "always", "choose")
_CHOICES = {"schedule": SCHEDULES, "recompute": RECOMPUTE, "duplex": DUPLEX}
"""Field -> what it may be, the default first."""
MOST_DEVICES = 1_000
"""Devices of all types together, at most."""
_LAYERS = ("weight_bytes", "activation_bytes", "optimizer_bytes")
_CUTS = ("cut_up_bytes", "cut_down_bytes")
_FLAGS = ("shard_optimizer", "overlap", "use_all_devices")
_REQUIRED = ("forward_s", "backward_s", "devices", "micro_batches")


@dataclass(frozen=True, eq=False, repr=False)
class ReplicatedPipelineData(Problem[ReplicatedPipelineDecision]):
    """The fields of `ReplicatedPipeline`, which documents them, and what follows from them."""

    name: ClassVar[str] = "replicated_pipeline"
    objectives: ClassVar[tuple[str, ...]] = ("period",)
    decision_class: ClassVar[type[Any]] = ReplicatedPipelineDecision

    forward_s: FloatArray
    backward_s: FloatArray
    devices: IntArray
    micro_batches: int
    weight_bytes: FloatArray = None  # type: ignore[assignment]
    activation_bytes: FloatArray = None  # type: ignore[assignment]
    optimizer_bytes: FloatArray = None  # type: ignore[assignment]
    cut_up_bytes: FloatArray = None  # type: ignore[assignment]
    cut_down_bytes: FloatArray = None  # type: ignore[assignment]
    bandwidth_bytes_per_s: FloatArray | None = None
    duplex: str = "full"
    memory_bytes: FloatArray | None = None
    reserve_bytes: FloatArray = None  # type: ignore[assignment]
    schedule: str = "1f1b"
    recompute: str = "never"
    shard_optimizer: bool = False
    overlap: bool = False
    max_replicas: int | None = None
    use_all_devices: bool = False
    objective: str = "period"

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        forward = number_table(self.forward_s, "forward_s", "times in s", (-1, -1))
        types, layers = forward.shape
        self._put(forward_s=forward)
        self._put(
            backward_s=number_table(self.backward_s, "backward_s", "times in s", forward.shape)
        )
        for fields, size in ((_LAYERS, layers), (_CUTS, layers + 1), (("reserve_bytes",), types)):
            for field in fields:
                value = getattr(self, field)
                value = np.zeros(size) if value is None else value
                self._put(**{field: number_table(value, field, "byte", (size,))})
        self._read_devices(types)
        self._read_choices()
        self._check_totals()

    def _put(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _read_devices(self, types: int) -> None:
        counts = number_table(self.devices, "devices", "devices of each type", (types,))
        if (odd := np.flatnonzero((counts < 1) | (counts != np.floor(counts)))).size:
            raise InputError.at(
                f"devices[{odd[0]}]", f"is {counts[odd[0]]:g}, it must be a whole number >= 1"
            )
        if counts.sum() > MOST_DEVICES:
            raise InputError.at(
                "devices",
                f"are {counts.sum():,.0f} in all, a problem has at most {MOST_DEVICES:,}",
            )
        whole = counts.astype(np.int64)
        whole.setflags(write=False)
        self._put(devices=whole)
        if self.bandwidth_bytes_per_s is not None:
            field = "bandwidth_bytes_per_s"
            rates = number_table(self.bandwidth_bytes_per_s, field, "byte/s", (types,))
            if (stuck := np.flatnonzero(rates == 0)).size:
                raise InputError.at(f"{field}[{stuck[0]}]", "is 0, it must be above 0")
            self._put(bandwidth_bytes_per_s=rates)
        if self.memory_bytes is not None:
            self._put(
                memory_bytes=number_table(self.memory_bytes, "memory_bytes", "byte", (types,))
            )

    def _read_choices(self) -> None:
        for field, known in _CHOICES.items():
            value = getattr(self, field)
            if not isinstance(value, str) or value not in known:
                raise InputError.at(
                    field,
                    f"is {shown(value)}, known are {', '.join(known)}{did_you_mean(value, known)}",
                )
        for field in _FLAGS:
            value = getattr(self, field)
            if not isinstance(value, bool | np.bool_):
                raise InputError.at(field, f"is {shown(value)}, it must be true or false")
            self._put(**{field: bool(value)})
        self._put(micro_batches=whole_number(self.micro_batches, "micro_batches", 1))
        if self.max_replicas is not None:
            self._put(max_replicas=whole_number(self.max_replicas, "max_replicas", 1))

    def _check_totals(self) -> None:
        """Reject numbers whose sums or ratios could not be represented."""
        check_span({"forward_s": self.forward_s, "backward_s": self.backward_s})
        moved = float(max(self.cut_up_bytes.max(), self.cut_down_bytes.max()))
        copies = float(max(self.micro_batches, self.device_count))
        slowest = float(self.rates.min())
        with np.errstate(over="ignore"):
            held = self.weight_bytes.sum() + self.optimizer_bytes.sum() + moved
            held = held + self.activation_bytes.sum()
            times = 2 * (self.forward_s.max() + self.backward_s.max()) * self.layers
            sent = (4 * moved + 4 * self.weight_bytes.sum()) / slowest
            check_total(float(2 * copies * held), "the bytes of all micro-batches")
            check_total(float(times + sent), "the times of all layers and transfers")

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, optional fields only where they say anything."""
        found: dict[str, Any] = {field: getattr(self, field) for field in _REQUIRED}
        for field in (*_LAYERS, *_CUTS, "reserve_bytes"):
            if (value := getattr(self, field)).any():
                found[field] = value
        for field in ("bandwidth_bytes_per_s", "memory_bytes", "max_replicas"):
            if (value := getattr(self, field)) is not None:
                found[field] = value
        for field, known in _CHOICES.items():
            if (value := getattr(self, field)) != known[0]:
                found[field] = value
        return found | {field: True for field in _FLAGS if getattr(self, field)}

    def _brief(self) -> str:
        kinds = "one type" if self.types == 1 else f"{self.types:,} types"
        return f"{super()._brief()}, {self.device_count:,} devices of {kinds}"

    @property
    def types(self) -> int:
        """Number of types of devices T."""
        return int(self.forward_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of layers S."""
        return int(self.forward_s.shape[1])

    @property
    def device_count(self) -> int:
        """Number of devices of all types."""
        return int(self.devices.sum())

    @property
    def most_replicas(self) -> int:
        """Most devices that a stage may have."""
        limit = self.device_count
        return limit if self.max_replicas is None else min(limit, self.max_replicas)

    @cached_property
    def rates(self) -> FloatArray:
        """Shape (T,): byte/s of a device's interface, infinite where transfers cost nothing."""
        rates = self.bandwidth_bytes_per_s
        return np.full(self.types, np.inf) if rates is None else rates

    @cached_property
    def room_bytes(self) -> FloatArray:
        """Shape (T,): memory that a device has beside its reserve; infinite where not limited."""
        if self.memory_bytes is None:
            return np.full(self.types, np.inf)
        return np.maximum(self.memory_bytes - self.reserve_bytes, 0.0)

    @cached_property
    def capacity_bytes(self) -> FloatArray:
        """Shape (T,): what fits a device: its room and the tolerance of a violation."""
        return np.asarray(self.room_bytes * (1 + FEASIBILITY_TOLERANCE))
