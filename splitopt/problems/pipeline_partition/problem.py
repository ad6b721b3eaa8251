"""`PipelinePartition`: contiguous layers of a model to compute nodes (MP-SL section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.pipeline import OwnerParts, epoch_time
from splitopt.problems.arrays import indices, number_table, whole_number
from splitopt.problems.base import (
    FEASIBILITY_TOLERANCE,
    FloatArray,
    Problem,
    check_keys,
    check_objective,
)
from splitopt.problems.inputs import as_profile, as_scenario
from splitopt.problems.linear_program import (
    GurobiProgram,
    LinearProgram,
    PyomoProgram,
    Values,
    to_gurobi,
    to_pyomo,
)
from splitopt.problems.pipeline_partition.bounds import cheap_bound
from splitopt.problems.pipeline_partition.decision import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.links import Links
from splitopt.problems.pipeline_partition.load import Load, load_of
from splitopt.problems.pipeline_partition.owners import OwnerGroups, checked_owners
from splitopt.problems.pipeline_partition.reasons import obvious_reason
from splitopt.problems.ranges import check_total

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike

REQUIRED = ("forward_s", "backward_s", "layer_memory_bytes", "node_memory_bytes", "owners")
OPTIONAL = (
    "cut_up_bytes",
    "cut_down_bytes",
    "links",
    "order",
    "use_all_nodes",
    "batches",
    "owner_groups",
)
ORDERS = ("free", "given")
_NO_CHAIN = frozenset({"assignment_length", "assignment_outside_nodes", "scattered_layers"})
"""Violations that leave nothing to evaluate."""


@dataclass(frozen=True, eq=False)
class PipelinePartition(Problem[PipelinePartitionDecision]):
    """Which compute node hosts which layers of the model part that owners offload.

    Every node hosts one run of neighbouring layers and works for all owners. Without the optional
    fields the problem is MP-SL's problem P, with the period in place of Eq. 3.

    Parameters
    ----------
    forward_s, backward_s
        Shape (N, S): seconds per batch of each layer on each node.
    layer_memory_bytes
        Shape (S,): memory of each layer for one owner.
    node_memory_bytes
        Shape (N,): memory of each node.
    owners
        How many data owners there are; a node keeps its layers once for each.
    objective
        ``"period"``: seconds from one batch to the next in a full pipeline, that is the busiest
        resource; ``"paper"``: largest forward plus largest backward time (Eq. 3), without links;
        ``"epoch"``: seconds of ``batches`` batches, latency + (batches - 1) period; ``"round"``:
        seconds of a round of the ``owner_groups``, with their own trips and the aggregation.
    cut_up_bytes, cut_down_bytes
        Shape (S + 1,): bytes per batch over each boundary, forward (activations) and backward
        (gradients). Boundary c is before layer c: 0 is between the owner and the first node, S
        between the last node and the owner. None for no bytes.
    links
        A `Links` or its plain data; None for transfers that cost nothing.
    order
        ``"free"``: the chain may take the nodes in any order; ``"given"``: by rising index.
    use_all_nodes
        Whether every node must host a layer (MP-SL Eq. 6).
    batches
        Batches of all owners (r B K in MP-SL), for ``"epoch"``; by default the ``owner_groups``'.
    owner_groups
        An `OwnerGroups` or its plain data, for ``"round"``; None where nothing is known of owners.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

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
        """Refuse times whose sum over all batches, layers and links could not be represented."""
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

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], objective: str, source: str = "instance"
    ) -> PipelinePartition:
        """Build the problem from the ``data`` of an instance file."""
        check_objective(objective, cls.objectives, source)
        checked = check_keys(data, REQUIRED, OPTIONAL, f"{source}: data")
        try:
            return cls(**checked, objective=objective)
        except InputError as error:
            raise InputError(f"{source}: data.{error}") from None

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "round"
    ) -> PipelinePartition:
        """Build the problem from a scenario, see `splitopt.problems.pipeline_partition.tables`."""
        from splitopt.problems.pipeline_partition.tables import tables_from_scenario

        scenario = as_scenario(scenario)
        tables = tables_from_scenario(scenario, as_profile(profile, scenario))
        return cls(**tables, objective=objective or "round")

    def data(self) -> dict[str, Any]:
        """Give the data of the instance file; optional fields stand there if they say anything."""
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
    def owner_transfers_s(self) -> float:
        """Seconds of a batch's four transfers between owner and pipeline, with their latency."""
        rate = self.links.owner_bandwidth_bytes_per_s
        if rate is None:
            return 0.0
        ends = [0, self.layers]
        volume = math.fsum([*self.cut_up_bytes[ends], *self.cut_down_bytes[ends]])
        return volume / rate + 4 * self.links.owner_delay_s

    def load(self, decision: PipelinePartitionDecision) -> Load:
        """Return the seconds per batch of every resource.

        Raises
        ------
        InputError
            The layers of a node are not contiguous, or there is no node for one of S layers.
        """
        decision = self._of_this_size(decision)
        chain = decision.chain
        if len(np.unique(chain.nodes)) < len(chain.nodes):
            raise InputError("the layers of a node are not contiguous, so there is no pipeline")
        return load_of(self, chain)

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

    def round_time(self, load: Load) -> float:
        """Seconds of a round in closed form, with the owners' trips and the aggregation."""
        assert self.owner_groups is not None  # the objective needs them
        own = self.own_s(int(load.nodes[0]), int(load.nodes[-1]))
        return float(self.owner_groups.round_time(own, load.chain_s, load.period_s))

    def latency(self, decision: PipelinePartitionDecision) -> float:
        """Seconds of one batch through an empty pipeline, from owner to owner."""
        return self.load(decision).latency_s

    def binding(self, decision: PipelinePartitionDecision) -> dict[str, Any]:
        """Name what sets the period, see `Load.binding` and `OwnerGroups.busiest_channel`."""
        load = self.load(decision)
        channel = None if self.owner_groups is None else self.owner_groups.busiest_channel
        if channel is not None and channel["busy_s"] > load.period_s:
            return channel
        return load.binding()

    def evaluate(self, decision: PipelinePartitionDecision) -> float:
        """Objective value in s, infinite where a node's layers are not contiguous.

        Raises
        ------
        InputError
            There is not one node for each of S layers, or one that does not exist.
        """
        decision = self._of_this_size(decision)
        if not _NO_CHAIN.isdisjoint(self._breaks(decision)):
            return math.inf
        load = self.load(decision)
        if self.objective == "paper":
            return load.paper_s
        if self.objective == "round":
            return self.round_time(load)
        if self.objective == "epoch":
            assert self.batches is not None  # the constructor saw to it
            return float(epoch_time(load.latency_s, load.period_s, self.batches))
        return load.period_s

    def violations(self, decision: PipelinePartitionDecision) -> dict[str, float]:
        """Excess over a node's memory in byte (the largest), and counts for the rest.

        ``assignment_length``: entries missing or too many; ``assignment_outside_nodes``: runs on
        nodes that do not exist; ``scattered_layers``: runs of layers beyond one per node;
        ``idle_nodes``: nodes without a layer where all must have one; ``nodes_out_of_order``:
        neighbours against a given order;
        ``neighbours_without_link``: pairs that have bytes to exchange and no bandwidth.
        """
        decision = self.taken(decision)
        found = self._breaks(decision)
        chain = decision.chain
        if not _NO_CHAIN.isdisjoint(found):
            return found
        excess = 0.0
        for node, start, end in zip(
            chain.nodes, chain.boundaries[:-1], chain.boundaries[1:], strict=True
        ):
            need = self.owners * math.fsum(self.layer_memory_bytes[start:end].tolist())
            if need > self.capacity_bytes[node]:
                excess = max(excess, need - float(self.node_memory_bytes[node]))
        if excess:
            found["memory_bytes"] = excess
        load = load_of(self, chain)
        if unlinked := int(np.sum(np.isinf(load.up_s) | np.isinf(load.down_s))):
            found["neighbours_without_link"] = float(unlinked)
        return found

    def _of_this_size(
        self, decision: PipelinePartitionDecision | Mapping[str, Any]
    ) -> PipelinePartitionDecision:
        """Return a decision about this problem's layers and nodes; else raise `InputError`."""
        found = self.taken(decision)
        rule = "every layer has the index of its node"
        indices(found.assignment, "decision.assignment", rule, 0, self.nodes - 1, self.layers)
        return found

    def _breaks(self, decision: PipelinePartitionDecision) -> dict[str, float]:
        """Find what the shape of the chain alone violates."""
        used = decision.chain.nodes
        if missing := abs(len(decision.assignment) - self.layers):
            return {"assignment_length": float(missing)}
        if outside := int(np.sum((used < 0) | (used >= self.nodes))):
            return {"assignment_outside_nodes": float(outside)}
        found: dict[str, float] = {}
        distinct = len(np.unique(used))
        if distinct < len(used):
            found["scattered_layers"] = float(len(used) - distinct)
        if self.use_all_nodes and distinct < self.nodes:
            found["idle_nodes"] = float(self.nodes - distinct)
        if self.order == "given" and (wrong := int(np.sum(np.diff(used) < 0))):
            found["nodes_out_of_order"] = float(wrong)
        return found

    def infeasibility(self) -> str | None:
        """Name what can be seen without a search: too few layers, a layer or a node that is stuck.

        Memory that is too small in a way that only a search finds is the exact solver's to report.
        """
        return obvious_reason(self)

    def bound(self) -> float:
        """Give the larger of a few lower bounds in s, see `cheap_bound`."""
        return cheap_bound(self)

    def to_pyomo(
        self, contiguity: str = "linear", unit_s: float = 1.0
    ) -> PyomoProgram[PipelinePartitionDecision]:
        """Give MP-SL's integer program as a Pyomo model, see the module `formulation`.

        Parameters
        ----------
        contiguity
            ``"linear"``, or ``"quadratic"``: the corrected Eq. 7 (without links only).
        unit_s
            Length in s of the model's unit of time; near the period is best for solvers.

        Raises
        ------
        InputError
            The form is unknown, or has no form for the links or the objective.
        InfeasibleError
            It shows without a search that there is no answer.
        """
        return to_pyomo(*self._program(contiguity, unit_s))

    def to_gurobi(
        self, env: Any = None, contiguity: str = "linear", unit_s: float = 1.0
    ) -> GurobiProgram[PipelinePartitionDecision]:
        """Give MP-SL's integer program as a gurobipy model.

        Parameters
        ----------
        env
            A ``gurobipy.Env``; a silent one by default.
        contiguity, unit_s
            As for `to_pyomo`, which raises the same errors.
        """
        return to_gurobi(*self._program(contiguity, unit_s), env)

    def _program(
        self, contiguity: str, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], PipelinePartitionDecision]]:
        from splitopt.problems.pipeline_partition.formulation import read_assignment
        from splitopt.problems.pipeline_partition.program import partition_program

        program = partition_program(self, contiguity, unit_s)
        return program, lambda values: read_assignment(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> PipelinePartitionDecision:
        """Read a decision from plain data."""
        return PipelinePartitionDecision.from_dict(document, self.layers, self.nodes, source)
