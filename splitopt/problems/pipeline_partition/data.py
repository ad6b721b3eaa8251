"""The data of `PipelinePartition`: tables, links and owners, checked, and what they imply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.pipeline import OwnerParts
from splitopt.problems.arrays import number_table, whole_number
from splitopt.problems.base import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Problem,
    check_objective,
)
from splitopt.problems.pipeline_partition.decision import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.links import Links
from splitopt.problems.pipeline_partition.owners import OwnerGroups, checked_owners
from splitopt.problems.ranges import check_total

REQUIRED = ("forward_s", "backward_s", "layer_memory_bytes", "node_memory_bytes", "owners")
ORDERS = ("free", "given")


@dataclass(frozen=True, eq=False, repr=False)
class PipelinePartitionData(Problem[PipelinePartitionDecision]):
    """The fields of `PipelinePartition`, which documents them, and what follows from them."""

    name: ClassVar[str] = "pipeline_partition"
    objectives: ClassVar[tuple[str, ...]] = ("round", "period", "paper", "epoch")
    decision_class: ClassVar[type[Any]] = PipelinePartitionDecision

    forward_s: FloatArray
    backward_s: FloatArray
    layer_memory_bytes: FloatArray
    node_memory_bytes: FloatArray
    owners: int
    objective: str = "period"
    cut_up_bytes: FloatArray = None  # type: ignore[assignment]
    cut_down_bytes: FloatArray = None  # type: ignore[assignment]
    links: Links = None  # type: ignore[assignment]
    order: str = "free"
    use_all_nodes: bool = True
    batches: int | None = None
    owner_groups: OwnerGroups | None = None

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        forward = number_table(self.forward_s, "forward_s", "times in s", (-1, -1))
        nodes, layers = forward.shape
        tables = {
            "forward_s": forward,
            "backward_s": number_table(
                self.backward_s, "backward_s", "times in s", (nodes, layers)
            ),
        }
        for field, size in (("layer_memory_bytes", layers), ("node_memory_bytes", nodes)):
            tables[field] = number_table(getattr(self, field), field, "memory in byte", (size,))
        for field in ("cut_up_bytes", "cut_down_bytes"):
            value = getattr(self, field)
            value = np.zeros(layers + 1) if value is None else value
            tables[field] = number_table(value, field, "byte per batch", (layers + 1,))
        for field, table in tables.items():
            object.__setattr__(self, field, table)
        object.__setattr__(self, "owners", whole_number(self.owners, "owners", 1))
        object.__setattr__(self, "links", Links.read(self.links, nodes))
        self._check_choices()
        self._check_total()

    def _check_total(self) -> None:
        """Reject times whose sum over all batches, layers and links could not be represented."""
        rates, longest = self.links.rates, max(self.cut_up_bytes.max(), self.cut_down_bytes.max())
        known = [rates[np.isfinite(rates) & (rates > 0)].min(initial=np.inf)]
        known += [rate for rate in (self.links.owner_bandwidth_bytes_per_s,) if rate is not None]
        with np.errstate(over="ignore"):
            transfers = (
                2
                * (self.nodes + 1)
                * (longest / min(known) + self.links.delays_s.max() + self.links.owner_delay_s)
            )
            layers = self.layers * (self.forward_s.max() + self.backward_s.max())
            check_total(
                float((self.batches or 1) * (layers + transfers)), "the times of all batches"
            )
            check_total(
                float(self.owners * self.layers * self.layer_memory_bytes.max()),
                "the bytes of all owners' layers",
            )

    def _check_choices(self) -> None:
        if not isinstance(self.order, str) or self.order not in ORDERS:
            raise InputError.at("order", f"is {self.order!r}, it must be 'free' or 'given'")
        if not isinstance(self.use_all_nodes, bool | np.bool_):
            raise InputError.at(
                "use_all_nodes", f"is {self.use_all_nodes!r}, it must be true or false"
            )
        object.__setattr__(self, "use_all_nodes", bool(self.use_all_nodes))
        groups, batches = checked_owners(
            self.owner_groups, self.owners, self.batches, needed=self.objective == "round"
        )
        object.__setattr__(self, "owner_groups", groups)
        object.__setattr__(self, "batches", batches)
        if self.batches is not None:
            object.__setattr__(self, "batches", whole_number(self.batches, "batches", 1))
        elif self.objective == "epoch":
            raise InputError.at(
                "batches", "is missing, the objective 'epoch' needs the number of batches"
            )
        if self.objective == "paper" and not self.links.costs_nothing:
            raise InputError.at(
                "objective",
                f"is 'paper', which knows no links (links.model is {self.links.model!r}); "
                "take 'period' or 'epoch', or drop the links",
            )

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, optional fields only where they say anything."""
        found: dict[str, Any] = {field: getattr(self, field) for field in REQUIRED}
        for field in ("cut_up_bytes", "cut_down_bytes"):
            if (value := getattr(self, field)).any():
                found[field] = value
        links = self.links.to_dict()
        if links != {"model": "none"}:
            found["links"] = links
        if self.order != "free":
            found["order"] = self.order
        if not self.use_all_nodes:
            found["use_all_nodes"] = False
        if self.batches is not None:
            found["batches"] = self.batches
        if self.owner_groups is not None:
            found["owner_groups"] = self.owner_groups.to_dict()
        return found

    @property
    def askable(self) -> tuple[str, ...]:
        """The objectives that the data allows: Eq. 3 has no links, a round has owners."""
        without = {"paper"} if not self.links.costs_nothing else set()
        without |= {"epoch"} if self.batches is None else set()
        without |= {"round"} if self.owner_groups is None else set()
        return tuple(name for name in self.objectives if name not in without)

    @property
    def nodes(self) -> int:
        """Number of compute nodes N."""
        return int(self.forward_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of layers S that are to be hosted."""
        return int(self.forward_s.shape[1])

    @cached_property
    def capacity_bytes(self) -> FloatArray:
        """Shape (N,): what fits each node: its memory and the tolerance of a violation."""
        return np.asarray(self.node_memory_bytes * (1 + FEASIBILITY_TOLERANCE))

    @cached_property
    def transfer_parts(self) -> OwnerParts:
        """Return what an owner that computes nothing adds to a batch: its four transfers."""
        rate = self.links.owner_bandwidth_bytes_per_s
        if rate is None:
            return OwnerParts(0.0, 0.0, 0.0)
        up, down = self.cut_up_bytes / rate, self.cut_down_bytes / rate
        return OwnerParts(
            *(0.0, 0.0, 0.0),
            to_first_s=float(up[0]),
            from_last_s=float(up[-1]),
            to_last_s=float(down[-1]),
            from_first_s=float(down[0]),
            latency_s=self.links.owner_delay_s,
        )

    @cached_property
    def owner_transfers_s(self) -> float:
        """Seconds of a batch's four transfers between owner and pipeline, with their latency."""
        return float(self.transfer_parts.transfer_s)

    def own_s(self, first: int, last: int) -> FloatArray:
        """Shape (G,): what owners add to a trip through a chain from node `first` to `last`."""
        parts = self.own_parts(first, last)
        return np.asarray(parts.compute_s + parts.transfer_s)

    def own_parts(self, first: int, last: int) -> OwnerParts:
        """Return what owners add to a batch of a chain from node `first` to `last`."""
        assert self.owner_groups is not None  # the objective needs them
        rates, up, down = self.links.interface_rates, self.cut_up_bytes, self.cut_down_bytes
        if rates is None:
            return self.owner_groups.parts
        into = up[0] / rates[first], down[0] / rates[first]
        out = up[-1] / rates[last], down[-1] / rates[last]
        return self.owner_groups.parts_at(into, out)

    @cached_property
    def least_own_s(self) -> FloatArray:
        """Shape (G,): what owners add to a trip at least, whichever nodes are at the ends."""
        rates = self.links.interface_rates
        fastest = 0 if rates is None else int(rates.argmax())
        return self.own_s(fastest, fastest)
