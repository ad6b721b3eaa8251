"""The data of `GraphPartition`: nodes, edges and devices, checked, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.graph_pipeline import most_periods
from splitopt.problems.arrays import (
    boolean_table,
    index_array,
    number,
    number_table,
    whole_number,
)
from splitopt.problems.base import (
    FEASIBILITY_TOLERANCE,
    BoolArray,
    FloatArray,
    IntArray,
    Problem,
    check_objective,
)
from splitopt.problems.graph_partition.decision import GraphPartitionDecision
from splitopt.problems.graph_partition.order import circle, order_arcs
from splitopt.problems.ranges import check_total

MOST_NODES = 50_000
MOST_EDGES = 500_000
MOST_DEVICES = 1_000
"""Accelerators, and CPUs, at most."""
MOST_MICRO_BATCHES = 1_000_000_000

_NO_CPU_TIMES = "is missing, and there are CPUs; give the time of every node on one, or no cpus"
_NO_MICRO_BATCHES = (
    "is missing, and the objective is a round; give how many micro-batches a round has, or take "
    "the objective 'load'"
)
_NO_SIZES = (
    "is missing, and the memory of an accelerator is limited; give the memory of every node, or "
    "drop accelerator_memory_bytes"
)


@dataclass(frozen=True, eq=False)
class GraphPartitionData(Problem[GraphPartitionDecision]):
    """The fields of `GraphPartition`, which documents them, and what follows from them."""

    name: ClassVar[str] = "graph_partition"
    objectives: ClassVar[tuple[str, ...]] = ("load", "round")
    decision_class: ClassVar[type[Any]] = GraphPartitionDecision

    accelerator_s: FloatArray
    output_s: FloatArray
    edges: IntArray
    accelerators: int
    cpus: int = 0
    cpu_s: FloatArray = None  # type: ignore[assignment]
    memory_bytes: FloatArray = None  # type: ignore[assignment]
    accelerator_memory_bytes: float | None = None
    backward: BoolArray = None  # type: ignore[assignment]
    colour_classes: IntArray = None  # type: ignore[assignment]
    cpu_only: BoolArray = None  # type: ignore[assignment]
    micro_batches: int | None = None
    objective: str = "load"

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        times = number_table(self.accelerator_s, "accelerator_s", "times in s", (-1,))
        if len(times) > MOST_NODES:
            raise InputError.at(
                "accelerator_s",
                f"has {len(times):,} nodes, a problem has at most {MOST_NODES:,}; join neighbouring"
                " operators into layers",
            )
        size = (len(times),)
        self._read_round()
        self._put(accelerator_s=times)
        self._put(output_s=number_table(self.output_s, "output_s", "times in s", size))
        self._read_devices()
        self._read_options(size)
        self._put(edges=_edges(self.edges, len(times)))
        self._check_order()
        with np.errstate(over="ignore"):
            most = float(self.periods(self.devices))
            total = most * (2 * self.output_s.sum() + times.sum())
            check_total(float(total), "the times of all nodes")
            check_total(float(most * self.cpu_s.sum()), "the times of all nodes on a CPU")
            check_total(float(self.memory_bytes.sum()), "the bytes of all nodes")

    def _put(self, **fields: Any) -> None:
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _read_devices(self) -> None:
        for field, least in (("accelerators", 1), ("cpus", 0)):
            count = whole_number(getattr(self, field), field, least)
            if count > MOST_DEVICES:
                raise InputError.at(field, f"is {count:,}, a problem has at most {MOST_DEVICES:,}")
            self._put(**{field: count})
        limit = self.accelerator_memory_bytes
        if limit is not None:
            self._put(
                accelerator_memory_bytes=number(limit, "accelerator_memory_bytes", "memory in byte")
            )

    def _read_round(self) -> None:
        """Read the micro-batches, which a round must state."""
        if self.micro_batches is None:
            if self.objective == "round":
                raise InputError.at("micro_batches", _NO_MICRO_BATCHES)
            return
        count = whole_number(self.micro_batches, "micro_batches", 1)
        if count > MOST_MICRO_BATCHES:
            raise InputError.at(
                "micro_batches", f"is {count:,}, a round has at most {MOST_MICRO_BATCHES:,}"
            )
        self._put(micro_batches=count)

    def _read_options(self, size: tuple[int]) -> None:
        for field, unit, needed, mend in (
            ("cpu_s", "times in s", self.cpus > 0, _NO_CPU_TIMES),
            (
                "memory_bytes",
                "memory in byte",
                self.accelerator_memory_bytes is not None,
                _NO_SIZES,
            ),
        ):
            value = getattr(self, field)
            if value is None and needed:
                raise InputError.at(field, mend)
            value = np.zeros(size) if value is None else value
            self._put(**{field: number_table(value, field, unit, size)})
        for field in ("backward", "cpu_only"):
            value = getattr(self, field)
            value = np.zeros(size, dtype=np.bool_) if value is None else value
            self._put(**{field: boolean_table(value, field, size)})
        self._put(colour_classes=_colours(self.colour_classes, size[0]))

    def _check_order(self) -> None:
        """Reject edges that no order of the nodes can follow."""
        start, end = self.edges[:, 0], self.edges[:, 1]
        odd = np.flatnonzero(self.backward[start] & ~self.backward[end])
        if odd.size:
            a, b = self.edges[odd[0]]
            raise InputError.at(
                f"edges[{odd[0]}]",
                f"leads from the backward node {a} to the forward node {b}; backward nodes come "
                "after all forward ones, mend 'backward' or drop the edge",
            )
        if found := circle(len(self.accelerator_s), self.edges):
            first = [str(v) for v in (*found, found[0])]
            shown = first if len(first) <= 10 else [*first[:8], "...", first[-1]]
            raise InputError.at(
                "edges",
                f"have a circle: {' -> '.join(shown)}; a layer cannot wait for itself, drop one "
                "of these edges",
            )

    @property
    def askable(self) -> tuple[str, ...]:
        """The objectives that its data allow: a round needs its micro-batches."""
        return self.objectives if self.micro_batches is not None else ("load",)

    def periods(self, used: int) -> int:
        """Return what multiplies the largest load of `used` devices, at least 1, in the objective.

        For ``"round"`` see `most_periods`; 1 for ``"load"``.
        """
        if self.objective == "load" or self.micro_batches is None:
            return 1
        return most_periods(used, self.micro_batches)

    @property
    def nodes(self) -> int:
        """Number of nodes V."""
        return len(self.accelerator_s)

    @property
    def devices(self) -> int:
        """Number of devices: accelerators and CPUs."""
        return self.accelerators + self.cpus

    @cached_property
    def classes(self) -> IntArray:
        """Shape (V,): the number of the colour class of every node, one for each node without."""
        given = self.colour_classes
        _, found = np.unique(given, return_inverse=True)
        own = np.flatnonzero(given < 0)
        joined = np.asarray(found, dtype=np.int64)
        joined[own] = joined.max(initial=-1) + 1 + np.arange(own.size)
        return np.asarray(np.unique(joined, return_inverse=True)[1], dtype=np.int64)

    @cached_property
    def order(self) -> IntArray:
        """Shape (A, 2): the arcs along which data flow from device to device, see `order_arcs`."""
        return order_arcs(self.edges, self.backward, self.classes)

    @cached_property
    def memory_limit(self) -> float:
        """What fits an accelerator: its memory and the tolerance of a violation."""
        if self.accelerator_memory_bytes is None:
            return float("inf")
        return self.accelerator_memory_bytes * (1 + FEASIBILITY_TOLERANCE)

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, optional fields only where they say anything."""
        found: dict[str, Any] = {
            "accelerator_s": self.accelerator_s,
            "output_s": self.output_s,
            "edges": self.edges,
            "accelerators": self.accelerators,
        }
        if self.cpus:
            found |= {"cpus": self.cpus}
        if self.cpus or self.cpu_s.any():
            found |= {"cpu_s": self.cpu_s}
        if self.accelerator_memory_bytes is not None:
            found["accelerator_memory_bytes"] = self.accelerator_memory_bytes
        if self.accelerator_memory_bytes is not None or self.memory_bytes.any():
            found["memory_bytes"] = self.memory_bytes
        for field in ("backward", "cpu_only"):
            if (value := getattr(self, field)).any():
                found[field] = value
        if (self.colour_classes >= 0).any():
            found["colour_classes"] = self.colour_classes
        if self.micro_batches is not None:
            found["micro_batches"] = self.micro_batches
        return found


def _edges(value: Any, nodes: int) -> IntArray:
    """Read edges, shape (E, 2), E >= 0, read-only."""
    if isinstance(value, list | tuple | np.ndarray) and len(value) == 0:
        found = np.zeros((0, 2), dtype=np.int64)
    else:
        table = number_table(value, "edges", "indices of nodes", (-1, 2))
        if len(table) > MOST_EDGES:
            raise InputError.at(
                "edges", f"has {len(table):,} entries, a problem has at most {MOST_EDGES:,}"
            )
        odd = (table != np.floor(table)) | (table >= nodes)
        if odd.any():
            e, side = (int(i) for i in np.argwhere(odd)[0])
            raise InputError.at(
                f"edges[{e}][{side}]",
                f"is {table[e, side]:g}, which is no node; nodes are numbered from 0 to "
                f"{nodes - 1}",
            )
        found = table.astype(np.int64)
    found.setflags(write=False)
    return found


def _colours(value: Any, nodes: int) -> IntArray:
    """Read the colour class of every node, -1 for a node that is free, read-only."""
    if value is None:
        value = np.full(nodes, -1, dtype=np.int64)
    found = np.array(index_array(value, "colour_classes"))
    if len(found) != nodes:
        raise InputError.at(
            "colour_classes", f"has {len(found)} entries, it needs one for each of {nodes} nodes"
        )
    if found.size and found.min() < -1:
        place = int(np.argmin(found))
        raise InputError.at(
            f"colour_classes[{place}]",
            f"is {found[place]}, it must be a whole number >= 0, or -1 for a node without a class",
        )
    found.setflags(write=False)
    return found
