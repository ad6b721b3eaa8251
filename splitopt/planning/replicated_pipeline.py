"""What a plan of `ReplicatedPipeline` promises, and what limits it."""

from __future__ import annotations

import re

import numpy as np

from splitopt.planning.explaining import Explainer
from splitopt.planning.guesses import fill_notes
from splitopt.planning.predictions.replicated_pipeline import (
    Replicas,
    ReplicatedPipelinePrediction,
    StageShare,
)
from splitopt.problems.replicated_pipeline import (
    ReplicatedPipeline,
    ReplicatedPipelineDecision,
    Stage,
)
from splitopt.problems.replicated_pipeline.tables import OPTIMIZERS, replication_of
from splitopt.simulation.replicated_pipeline import (
    closed_pace,
    full_pace,
    placed_names,
    step_seconds,
)

_BATCH_NORM = re.compile(r"batch_?norm|(^|[._/])bn\d*($|[._-])", re.IGNORECASE)
"""What layers are called that normalize by a batch; a profile does not say it otherwise."""
_KEPT = {0: "no state of the optimizer", 1: "momentum", 2: "Adam's two moments"}


class ReplicatedPipelineExplainer(
    Explainer[ReplicatedPipeline, ReplicatedPipelineDecision, ReplicatedPipelinePrediction]
):
    """Explains plans of `ReplicatedPipeline`."""

    problem = "replicated_pipeline"
    section = "replication"
    machines = ()
    needs_fleet = False
    counts_messages = False

    def predict(
        self, problem: ReplicatedPipeline, decision: ReplicatedPipelineDecision
    ) -> ReplicatedPipelinePrediction:
        """Compute what every stage takes, and how long a round is."""
        section = replication_of(self.scenario)
        stages, names = problem.stages(decision), section.names()
        placed = placed_names(problem, decision, names)
        used = {name for own in placed for name in own}
        period, seconds = problem.evaluate(decision), step_seconds(problem, decision)
        slowest = max(range(len(stages)), key=lambda m: stages[m].period_s)
        return ReplicatedPipelinePrediction(
            objective_unit="s",
            batch_size=section.batch_size,
            micro_batches=section.micro_batches,
            schedule=section.schedule,
            stages=[
                self._stage(problem, stage, own, period)
                for stage, own in zip(stages, placed, strict=True)
            ],
            idle=[name for own in names for name in own if name not in used],
            period_s=period,
            binding=f"stage {slowest + 1} ({', '.join(_few(placed[slowest]))})",
            reached_s=full_pace(problem, decision),
            planned_s=closed_pace(problem, stages),
            round_s=seconds,
            training_s=seconds * self.scenario.training.rounds,
        )

    def _stage(
        self, problem: ReplicatedPipeline, stage: Stage, machines: list[str], period: float
    ) -> StageShare:
        """Return the row of a stage."""
        section = replication_of(self.scenario)
        rows, first = [], 0
        for kind in np.flatnonzero(stage.devices).tolist():
            count = int(stage.devices[kind])
            limited = section.is_limited
            rows.append(
                Replicas(
                    type=section.types[kind].name,
                    machines=machines[first : first + count],
                    share=float(stage.shares[kind]),
                    compute_s=float(stage.compute_s[kind]),
                    transfer_s=float(stage.transfer_s[kind]),
                    held=int(stage.copies[kind]),
                    memory_bytes=float(stage.memory_bytes[kind]) if limited else None,
                    memory_limit_bytes=float(stage.room_bytes[kind]) if limited else None,
                )
            )
            first += count
        layers = list(self.profile.layers[stage.first_layer : stage.last_layer + 1])
        several = len(machines) > 1
        return StageShare(
            layers=layers,
            replicas=rows,
            recompute=stage.recompute,
            in_flight=stage.in_flight,
            dealt_s=stage.dealt_s,
            all_reduce_s=stage.all_reduce_s,
            period_s=stage.period_s,
            busy=stage.period_s / period if period > 0 else 0.0,
            input_bytes=float(problem.cut_up_bytes[stage.first_layer]),
            output_bytes=float(problem.cut_up_bytes[stage.last_layer + 1]),
            own_statistics=[name for name in layers if several and _BATCH_NORM.search(name)],
        )

    def notes(self) -> list[str]:
        """Return notes on filled counts, what the times leave out, and memory."""
        section = replication_of(self.scenario)
        found = [
            *fill_notes(self.profile, section.types),
            "reading the inputs of the model is in no time and in no count of bytes",
        ]
        if any(one.machine_model and one.machine_model.message_s > 0 for one in section.types):
            found.append("the seconds per message of a machine model are in no time")
        if not section.is_limited:
            found.append("no memory is limited: 'memory' of the types is not stated")
            return found
        kept = _KEPT[OPTIMIZERS[section.optimizer]]
        shared = section.shard_optimizer and section.optimizer != "sgd"
        found.append(
            f"memory is weights, gradients, {kept}"
            f"{' (divided among the machines of a stage)' * shared} and what the micro-batches "
            "that a machine holds keep for the backward pass"
        )
        return found

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return {"replication", "devices", "links", "model", "training.rounds"}


def _few(names: list[str]) -> list[str]:
    return names if len(names) <= 4 else [*names[:2], "...", names[-1]]


EXPLAINER = ReplicatedPipelineExplainer
