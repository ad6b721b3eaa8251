"""What a plan of `GraphPartition` promises."""

from __future__ import annotations

from typing import Any

from splitopt.latency.graph_pipeline import enough_in_flight
from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class MachineShare(Part):
    """What one machine runs, and what it does for a micro-batch.

    Parameters
    ----------
    name, kind
        The machine; ``accelerator`` or ``CPU``.
    layers
        Names of its layers, in the order of execution.
    forward_s, backward_s
        Seconds of work.
    receive_s, send_s
        Seconds of communication, both passes together; 0 of a CPU.
    load_s
        Their sum.
    busy
        The part of the period in which it does anything.
    received_bytes, sent_bytes
        What it reads from the host and writes there, both passes together.
    memory_bytes, memory_limit_bytes
        What its layers take, and what there is; None where no memory is limited.
    """

    name: str
    kind: str
    layers: list[str]
    forward_s: float
    backward_s: float
    receive_s: float
    send_s: float
    load_s: float
    busy: float
    received_bytes: float
    sent_bytes: float
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None


class Crossing(Part):
    """The output of a layer that other machines need.

    Parameters
    ----------
    layer
        Whose output it is.
    sender, takers
        The machine that writes it to the host, and those that read it.
    output_bytes, gradient_bytes
        Of a micro-batch: forward, and the gradient that every taker writes and the sender reads.
    """

    layer: str
    sender: str
    takers: list[str]
    output_bytes: float
    gradient_bytes: float


class GraphPartitionPrediction(Prediction):
    """What a plan of `GraphPartition` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    batch_size, micro_batches
        Samples of a micro-batch, and micro-batches of a round.
    machines
        A row for each machine that runs anything, in an order that data follow.
    idle
        The other machines.
    crossings
        A row for each output that leaves its machine.
    period_s
        Seconds from one micro-batch to the next in a full pipeline: the load of the busiest.
    binding
        The busiest machine.
    in_flight
        Micro-batches whose saved tensors a machine has room for.
    round_s, training_s
        Seconds of a round, with the pipeline filled and emptied, and of all rounds.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    batch_size: int
    micro_batches: int
    machines: list[MachineShare]
    idle: list[str]
    crossings: list[Crossing]
    period_s: float
    binding: str
    in_flight: int
    round_s: float
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return whether the period is that of a round, where too few may be in flight."""
        needed = enough_in_flight(len(self.machines), self.micro_batches)
        if self.in_flight >= needed:
            return []
        return [
            f"{self.in_flight} micro-batches may be in flight on a machine, and the period is sure "
            f"to be reached with {needed}; 'splitopt simulate' shows the pace"
        ]
