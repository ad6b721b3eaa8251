"""`PipelinePartition`: contiguous layers of a model to compute nodes (MP-SL section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.pipeline import epoch_time
from splitopt.problems.arrays import indices
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
from splitopt.problems.pipeline_partition.data import PipelinePartitionData
from splitopt.problems.pipeline_partition.decision import PipelinePartitionDecision
from splitopt.problems.pipeline_partition.formulation import read_assignment
from splitopt.problems.pipeline_partition.load import Load, load_of
from splitopt.problems.pipeline_partition.program import partition_program
from splitopt.problems.pipeline_partition.reasons import obvious_reason

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike

_NO_CHAIN = frozenset({"assignment_length", "assignment_outside_nodes", "scattered_layers"})
"""Violations that leave nothing to evaluate."""


@dataclass(frozen=True, eq=False, repr=False)
class PipelinePartition(PipelinePartitionData):
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
        """Return the larger of a few lower bounds in s, see `cheap_bound`."""
        return cheap_bound(self)

    def to_pyomo(
        self, contiguity: str = "linear", unit_s: float = 1.0
    ) -> PyomoProgram[PipelinePartitionDecision]:
        """Return MP-SL's integer program as a Pyomo model, see the module `formulation`.

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
        """Return MP-SL's integer program as a gurobipy model.

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
        program = partition_program(self, contiguity, unit_s)
        return program, lambda values: read_assignment(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> PipelinePartitionDecision:
        """Read a decision from plain data."""
        return PipelinePartitionDecision.from_dict(document, self.layers, self.nodes, source)
