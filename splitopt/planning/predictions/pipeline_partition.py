"""What a plan of `PipelinePartition` promises."""

from __future__ import annotations

from typing import Any

from splitopt.documents.schemas import Document, Name
from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class NodeShare(Part):
    """What a node of the pipeline does.

    Parameters
    ----------
    name
        The node.
    layers, first_layer, last_layer
        How many layers it hosts, and the ends of them.
    forward_s, backward_s
        Seconds per batch.
    busy
        The fraction of the time for which it computes in a full pipeline.
    memory_bytes, memory_limit_bytes
        What its layers need for all owners, and what it has; None without a limit.
    """

    name: str
    layers: int
    first_layer: str
    last_layer: str
    forward_s: float
    backward_s: float
    busy: float
    memory_bytes: float
    memory_limit_bytes: float | None


class Hop(Part):
    """A transfer between two neighbours, behind a layer, in s per batch both ways."""

    between: list[str]
    behind_layer: str
    up_s: float
    down_s: float


class Binding(Part):
    """The resource that sets the period.

    Parameters
    ----------
    kind
        ``node``, ``interface``, ``link`` or ``channel``.
    name
        Of a node, of an interface's node or of a channel.
    between
        The two nodes of a link.
    busy_s
        Seconds per batch.
    """

    kind: str
    name: str | None = None
    between: list[str] | None = None
    busy_s: float


class Forced(Document):
    """The objective in s with idle nodes, the present one, and the nodes that would be idle."""

    objective: float
    now: float
    idle: list[Name]


class ResourceWorth(Document):
    """A resource, what is done to it, the new objective in s, and what that saves in s.

    What is saved is below 0 where the change makes the plan worse.
    """

    resource: Name
    change: Name
    objective: float
    saves: float


class Searched(Document):
    """The parts of a prediction that only further searches find: read, and not found again.

    Parameters
    ----------
    forced
        What the plan saves if nodes may be idle, where all must host something and that costs
        much; else None.
    worth
        A row per resource; empty for large problems.
    """

    forced: Forced | None
    worth: list[ResourceWorth]


class PipelinePartitionPrediction(Prediction):
    """What a plan of `PipelinePartition` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    first_cut, last_cut, owner_layers
        The owners' cuts, and the layers that they keep.
    batch_size, owners, batches
        Samples per batch, how many owners there are, and all batches of a round.
    nodes
        A row per node in the order of the chain.
    idle
        The nodes that host nothing.
    hops
        The transfers between neighbours.
    period_s, paper_period_s
        The steady seconds from one batch to the next, and the same by MP-SL Eq. 3.
    latency_s, trip_s
        Seconds of a batch through the nodes, and of its mean trip with the owners' own parts.
    load
        How many times over the owners could fill the pipeline: below 1 they are the limit.
    channels
        Seconds per batch of the owners' shared channels.
    aggregation_s
        Seconds of the aggregation at the end of a round.
    round_s, simulated_s, training_s
        Seconds of a round in closed form, of the same round event by event (None where that would
        take long), and of all rounds.
    round_cost, training_cost
        Rent of the nodes that host something, where each has a price.
    binding
        The resource that sets the period.
    forced, worth
        See `Searched`.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    first_cut: int
    last_cut: int
    owner_layers: list[str]
    batch_size: int
    owners: int
    batches: int
    nodes: list[NodeShare]
    idle: list[str]
    hops: list[Hop]
    period_s: float
    paper_period_s: float
    latency_s: float
    trip_s: float
    load: float
    channels: dict[str, float]
    aggregation_s: float
    round_s: float
    simulated_s: float | None
    training_s: float
    round_cost: float | None = None
    training_cost: float | None = None
    binding: Binding
    forced: Forced | None
    worth: list[ResourceWorth]
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return what nodes that must not be idle cost, where that is much."""
        if self.forced is None:
            return []
        return [
            f"every node must host a layer (use_all_nodes: true), which costs "
            f"{self.forced.now:.4g} s instead of {self.forced.objective:.4g} s with "
            f"{', '.join(self.forced.idle)} idle; state pipeline.use_all_nodes: false"
        ]
