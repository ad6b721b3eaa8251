"""What a plan of `ReplicatedPipeline` promises."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from splitopt.planning.predictions.base import Part, Prediction, RoundInterval


class Replicas(Part):
    """The machines of one type in a stage.

    Parameters
    ----------
    type
        Name of the type.
    machines
        Names of the single machines.
    share
        The part of all micro-batches that each of them does.
    compute_s, transfer_s
        Seconds of a micro-batch on one of them: both passes, with recompute, and its interface.
    held
        Micro-batches that one of them holds at most.
    memory_bytes, memory_limit_bytes
        What one of them needs, and what it has beside its reserve; None where no memory is limited.
    """

    type: str
    machines: list[str]
    share: float
    compute_s: float
    transfer_s: float
    held: int
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None


class StageShare(Part):
    """One stage: a run of layers, and the machines that share its micro-batches.

    Parameters
    ----------
    layers
        Names of its layers, in the order of execution.
    replicas
        A row for each type that it has machines of.
    recompute
        Whether activations are computed again in the backward pass.
    in_flight
        Micro-batches that are in the stage or behind it at the same time.
    dealt_s
        Seconds from one micro-batch to the next, all-reduce apart.
    all_reduce_s
        The micro-batch's part of the all-reduce; 0 of one machine.
    period_s
        Seconds from one micro-batch to the next.
    busy
        ``period_s`` over that of the slowest stage.
    input_bytes, output_bytes
        What a micro-batch brings and takes along forward; the model's own input counts 0.
    own_statistics
        Layers that are called batch normalization, of a stage with several machines.
    """

    layers: list[str]
    replicas: list[Replicas]
    recompute: bool
    in_flight: int
    dealt_s: float
    all_reduce_s: float
    period_s: float
    busy: float
    input_bytes: float
    output_bytes: float
    own_statistics: list[str] = Field(default_factory=list)

    @property
    def machines(self) -> list[str]:
        """Names of all its machines."""
        return [name for row in self.replicas for name in row.machines]


class ReplicatedPipelinePrediction(Prediction):
    """What a plan of `ReplicatedPipeline` promises.

    Parameters
    ----------
    objective_unit
        ``s``.
    batch_size, micro_batches
        Samples of a micro-batch, and micro-batches of a round.
    schedule
        ``1f1b``, ``gpipe`` or ``pipedream``.
    stages
        A row for each stage, from the input on.
    idle
        Machines that train nothing.
    period_s
        Seconds from one micro-batch to the next in a full pipeline: that of the slowest stage.
    binding
        The slowest stage.
    reached_s, planned_s
        Seconds between micro-batches of a full pipeline, event by event and planned, without the
        all-reduce at the end of a round; `reached_s` is None where there are too many machines.
    round_s, training_s
        Seconds of a round, event by event, and of all rounds.
    round_interval, confidence
        See `Prediction`.
    """

    objective_unit: str
    batch_size: int
    micro_batches: int
    schedule: str
    stages: list[StageShare]
    idle: list[str]
    period_s: float
    binding: str
    reached_s: float | None
    planned_s: float
    round_s: float
    training_s: float
    round_interval: RoundInterval | None = None
    confidence: Any = None

    def remarks(self) -> list[str]:
        """Return whether a round fills the pipeline, what it reaches, and whose state is own."""
        found, stages = [], len(self.stages)
        if self.micro_batches < stages:
            found.append(
                f"a round has {self.micro_batches} micro-batches for {stages} stages, so that "
                f"{stages - self.micro_batches} of them at least are idle at any time; "
                f"'micro_batches' of {stages} or more fill the pipeline"
            )
        replicated = [stage for stage in self.stages if len(stage.machines) > 1]
        most = max((len(stage.machines) for stage in replicated), default=1)
        if self.micro_batches < most:
            found.append(
                f"a round has {self.micro_batches} micro-batches, and a stage has {most} machines: "
                "some of them get none"
            )
        if self.reached_s is not None and self.reached_s > 1.01 * self.planned_s:
            found.append(
                f"event by event a full pipeline takes {self.reached_s / self.planned_s:.3f} times "
                "the planned seconds from one micro-batch to the next: machines with few "
                "micro-batches in flight wait for them"
            )
        for number, stage in enumerate(self.stages, 1):
            if stage.own_statistics:
                found.append(
                    f"stage {number} has batch normalization ({_few(stage.own_statistics)}) on "
                    f"{len(stage.machines)} machines, each with running statistics of its own "
                    "micro-batches, which no all-reduce of gradients brings together"
                )
        return found


def _few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])}, ..., {names[-1]}"
