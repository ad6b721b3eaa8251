"""`GraphPartition`: a layer graph over alike accelerators and CPUs (Tarnawski et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import indices
from splitopt.problems.base import FEASIBILITY_TOLERANCE, FloatArray
from splitopt.problems.graph_partition.bounds import cheap_bound, load_bounds
from splitopt.problems.graph_partition.data import GraphPartitionData
from splitopt.problems.graph_partition.decision import GraphPartitionDecision
from splitopt.problems.graph_partition.loads import communication, memory, work
from splitopt.problems.graph_partition.order import in_circles
from splitopt.problems.graph_partition.program import partition_program, read_devices
from splitopt.problems.graph_partition.reasons import obvious_reason
from splitopt.problems.linear_program import LinearProgram, StatedOnce, Values

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False)
class GraphPartition(GraphPartitionData, StatedOnce[GraphPartitionDecision]):
    """Which device runs which nodes of a layer graph, so that the busiest one has least to do.

    The max-load (throughput) problem of Tarnawski et al., "Efficient Algorithms for Device
    Placement of DNN Graph Operators" (NeurIPS 2020): in a full pipeline a sample leaves in the time
    that the busiest device takes for one.

    Parameters
    ----------
    accelerator_s
        Shape (V,): seconds of each node on an accelerator.
    output_s
        Shape (V,): seconds in which the output of each node goes from an accelerator to the host,
        or from there to an accelerator.
    edges
        Shape (E, 2), E >= 0: which node (0-based) feeds which.
    accelerators
        How many there are, k; they are alike.
    cpus
        How many CPUs there are, l; they are alike, have all the memory that is needed and
        communicate for nothing.
    cpu_s
        Shape (V,): seconds of each node on a CPU; needed where there are any.
    memory_bytes
        Shape (V,): memory of each node on an accelerator; needed where that is limited.
    accelerator_memory_bytes
        Memory of each accelerator; None for no limit.
    backward
        Shape (V,): which nodes belong to the backward pass; none by default.
    colour_classes
        Shape (V,): nodes with the same number stay on one device; -1 for a node without a class.
    cpu_only
        Shape (V,): which nodes no accelerator can run; none by default.
    micro_batches
        M of a round; needed for the objective ``"round"``.
    objective
        ``"load"``: seconds per sample of the busiest device. ``"round"``: seconds within which a
        round of M micro-batches is sure to be over, the pipeline filled and emptied; that is the
        largest load times `splitopt.latency.graph_pipeline.most_periods` of the devices in use.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit, or a circle; the message names the entry.
    """

    @classmethod
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "load"
    ) -> GraphPartition:
        """Build the problem from a scenario with accelerators, whose model is a graph of layers.

        Times are those of a micro-batch, forward and backward; see the module `tables`.

        Parameters
        ----------
        scenario
            With the section ``accelerators``: the object, a file, a name or plain data.
        profile
            With a graph, given likewise; that of the scenario's model by default.
        objective
            ``"load"``, or ``"round"``.

        Raises
        ------
        InputError
            The scenario has no accelerators, the profile no graph, a layer lacks a number that is
            needed, or a round is asked for that too few micro-batches in flight would prolong; the
            message names it.
        """
        from splitopt.problems.graph_partition.tables import check_in_flight, tables_from_scenario
        from splitopt.problems.inputs import as_profile, as_scenario

        scenario = as_scenario(scenario, fleet=False)
        tables = tables_from_scenario(scenario, as_profile(profile, scenario))
        if objective == "round":
            check_in_flight(scenario)
        return cls(**tables, objective=objective)

    @classmethod
    def read(cls, path: str | Path) -> GraphPartition:
        """Read a workload file of dnn-partitioning, see the module `workload`.

        Raises
        ------
        InputError
            The file is missing or is not one; the message names the entry.
        """
        from splitopt.documents.json_text import read_json
        from splitopt.documents.taking import path_of

        path = path_of(path)
        return cls.from_workload(read_json(path), str(path))

    @classmethod
    def from_workload(cls, document: Any, source: str = "workload") -> GraphPartition:
        """Build the problem from the content of a workload file of dnn-partitioning.

        Raises
        ------
        InputError
            It is none, or an entry does not fit; the message names it.
        """
        from splitopt.problems.graph_partition.workload import (
            fields_of_workload,
            in_words_of_the_file,
        )

        fields = fields_of_workload(document, source)
        try:
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{source}: {in_words_of_the_file(str(error))}") from None

    def loads(self, decision: GraphPartitionDecision) -> FloatArray:
        """Return the seconds per sample of every device, shape (k + l,): work and communication."""
        device = self._of_this_size(decision).device
        return work(self, device) + communication(self, device)

    def evaluate(self, decision: GraphPartitionDecision) -> float:
        """Seconds per sample of the busiest device, or within which a round is over.

        Raises
        ------
        InputError
            The decision is about another number of nodes, or names a device that does not exist.
        """
        loads = self.loads(decision)
        used = len(np.unique(self.taken(decision).device)) if self.objective == "round" else 1
        return self.periods(used) * float(loads.max())

    def violations(self, decision: GraphPartitionDecision) -> dict[str, float]:
        """Measure what a decision violates.

        ``accelerator_memory_bytes``: bytes above the memory, all accelerators together;
        ``split_classes``: colour classes on more than one device; ``cpu_only_nodes``: such nodes on
        accelerators; ``circular_devices``: devices that would have to wait for each other, as data
        flow back and forth between them.
        """
        device = self._of_this_size(decision).device
        found: dict[str, float] = {}
        if (limit := self.accelerator_memory_bytes) is not None:
            over = memory(self, device) - limit
            if (over > FEASIBILITY_TOLERANCE * limit).any():
                found["accelerator_memory_bytes"] = float(over[over > 0].sum())
        pairs = np.unique(np.stack((self.classes, device)), axis=1)[0]
        if split := int((np.bincount(pairs) > 1).sum()):
            found["split_classes"] = float(split)
        if misplaced := int((self.cpu_only & (device < self.accelerators)).sum()):
            found["cpu_only_nodes"] = float(misplaced)
        arcs = device[self.order]
        if circular := in_circles(arcs[arcs[:, 0] != arcs[:, 1]]):
            found["circular_devices"] = float(circular)
        return found

    def complete(self, device: Any) -> GraphPartitionDecision:
        """Return the decision in which open nodes go where their colour class goes.

        Parameters
        ----------
        device
            Shape (V,): the device of each node, -1 where it is open, such as for the backward nodes
            of a plan for inference.

        Raises
        ------
        InputError
            An entry is no device, or no node of the class of an open one has a device.
        """
        rule = "every node has the index of its device, or -1 where that is open"
        given = indices(device, "device", rule, -1, self.devices - 1, self.nodes)
        known = np.full(int(self.classes.max()) + 1, -1, dtype=np.int64)
        placed = given >= 0
        known[self.classes[placed]] = given[placed]
        found = np.where(placed, given, known[self.classes])
        if (left := np.flatnonzero(found < 0)).size:
            raise InputError.at(
                f"device[{left[0]}]",
                "is open, and no node of its class has a device; give it one",
            )
        return GraphPartitionDecision(found)

    def _of_this_size(self, decision: GraphPartitionDecision) -> GraphPartitionDecision:
        """Return a decision about this problem's nodes and devices; else raise `InputError`."""
        found = self.taken(decision)
        rule = "every node has the index of its device, accelerators first"
        indices(found.device, "decision.device", rule, 0, self.devices - 1, self.nodes)
        return found

    def infeasibility(self) -> str | None:
        """Name what fits no accelerator, as far as it shows without a search."""
        return obvious_reason(self)

    def bound(self) -> float:
        """Return a lower bound from the whole work and the dearest class, see `cheap_bound`.

        Of a round, the least over the numbers of devices: fewer have a larger load, and fewer
        periods.
        """
        if self.objective == "load":
            return cheap_bound(self)
        few = np.arange(1, min(self.devices, self.nodes) + 1)
        loads = load_bounds(self, np.minimum(few, self.accelerators), np.minimum(few, self.cpus))
        return float(min(self.periods(n) * load for n, load in enumerate(loads.tolist(), 1)))

    def integer_program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], GraphPartitionDecision]]:
        """Return the program, see the module `program`, and what reads a decision from values."""
        return partition_program(self, unit_s), lambda values: read_devices(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> GraphPartitionDecision:
        """Read a decision from plain data."""
        return GraphPartitionDecision.from_dict(document, self.nodes, self.devices, source)
