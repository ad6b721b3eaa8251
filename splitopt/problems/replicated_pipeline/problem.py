"""`ReplicatedPipeline`: a training pipeline whose stages may be replicated, with its memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.inputs import as_profile, as_scenario, profile_of
from splitopt.problems.linear_program import LinearProgram, StatedOnce, Values
from splitopt.problems.replicated_pipeline.bounds import cheap_bound
from splitopt.problems.replicated_pipeline.data import ReplicatedPipelineData
from splitopt.problems.replicated_pipeline.decision import ReplicatedPipelineDecision
from splitopt.problems.replicated_pipeline.program import pipeline_program, read_stages
from splitopt.problems.replicated_pipeline.reasons import obvious_reason
from splitopt.problems.replicated_pipeline.stages import Stage, stage_of

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike
    from splitopt.problems.replicated_pipeline.tables import Machines


@dataclass(frozen=True, eq=False, repr=False)
class ReplicatedPipeline(ReplicatedPipelineData, StatedOnce[ReplicatedPipelineDecision]):
    """Which devices train which run of layers, and how many share a stage.

    One model is trained on micro-batches that pass a chain of stages forward and backward. A stage
    is a run of layers on one device or on several of any types, each with all weights of the
    stage; these are averaged by all-reduce. See the module `stages` for the formulas.

    Parameters
    ----------
    forward_s, backward_s
        Shape (T, S): seconds of a micro-batch in each layer on a device of each type.
    devices
        Shape (T,): how many devices there are of each type.
    micro_batches
        Of a step: n, after which the weights are updated. ``"pipedream"`` updates them all the
        time and takes no account of n.
    weight_bytes
        Shape (S,): weights of each layer; their gradients take as much. None for none.
    activation_bytes
        Shape (S,): what each layer keeps of a micro-batch for its backward pass, its input
        included. None for none.
    optimizer_bytes
        Shape (S,): states of the optimizer of each layer. None for none.
    cut_up_bytes, cut_down_bytes
        Shape (S + 1,): bytes per micro-batch over each boundary, forward (activations) and
        backward (gradients). Boundary c is before layer c; 0 and S are the ends of the pipeline.
        None for no bytes.
    bandwidth_bytes_per_s
        Shape (T,): rate of the one interface of a device of each type; None for transfers that
        cost nothing.
    duplex
        ``"full"``: an interface sends and receives at the same time; ``"half"``: in turn.
    memory_bytes
        Shape (T,): memory of a device of each type; None for no limit.
    reserve_bytes
        Shape (T,): what is kept free of it, for buffers and the libraries. None for nothing.
    schedule
        ``"1f1b"``: one forward, one backward, with a flush at the end of a step; ``"gpipe"``: all
        forward passes of a step before its backward passes; ``"pipedream"``: 1F1B without a flush,
        with a version of the weights for every micro-batch in flight.
    recompute
        ``"never"``, ``"always"``, or ``"choose"`` stage by stage whether activations are computed
        again in the backward pass.
    shard_optimizer
        Whether the devices of a stage divide the states of the optimizer among themselves.
    overlap
        Whether transfers and all-reduce run beside computing and beside each other, so that the
        longest counts; otherwise they add up.
    max_replicas
        Most devices of a stage, 1 for a plain pipeline; None for no limit.
    use_all_devices
        Whether no device may stay idle.
    objective
        ``"period"``: seconds from one micro-batch to the next when the pipeline is full.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "period"
    ) -> ReplicatedPipeline:
        """Build the problem of a scenario with the section ``replication``.

        Parameters
        ----------
        scenario, profile
            The types of machines and their model; the scenario's own model by default.
        objective
            ``"period"``.

        Raises
        ------
        InputError
            The scenario has no such section, a machine has layers that were not measured, or memory
            is limited and the profile does not say what its layers keep.
        """
        from splitopt.problems.replicated_pipeline.tables import tables_from_scenario

        read = as_scenario(scenario, fleet=False)
        tables = tables_from_scenario(read, as_profile(profile, read))
        return cls(**tables, objective=objective)

    @classmethod
    def from_profile(
        cls,
        profile: ProfileLike,
        machines: Machines,
        *,
        batch_size: int,
        micro_batches: int,
        optimizer: str = "adam",
        **fields: Any,
    ) -> ReplicatedPipeline:
        """Build the problem of a whole model on types of machines.

        Parameters
        ----------
        profile
            A `ModelProfile`, the path of its file, a shipped name, or its plain data. All weights
            are taken to be trained; what the input of the first layer takes is not known.
        machines
            Machine to number of devices, or pairs of these; a machine is one that the profile was
            measured on, FLOP/s, or a machine model.
        batch_size
            Samples of a micro-batch.
        micro_batches
            Of a step.
        optimizer
            ``"sgd"``, ``"momentum"`` or ``"adam"``: none, one or two numbers for each weight.
        **fields
            Other fields of the problem, such as ``memory_bytes``.

        Raises
        ------
        InputError
            A machine that the profile does not know, limited memory where the profile does not
            say what layers keep, or a value that does not fit.
        """
        from splitopt.problems.replicated_pipeline.tables import check_saved, tables_from_profile

        found = profile_of(profile)
        check_saved(found, fields.get("memory_bytes"))
        tables = tables_from_profile(found, machines, batch_size, optimizer)
        return cls(**tables | {"micro_batches": micro_batches} | fields)

    def stages(self, decision: ReplicatedPipelineDecision) -> list[Stage]:
        """Return the stages of a decision with their seconds and their memory.

        Raises
        ------
        InputError
            The decision is about other layers or types, or has a stage without a device.
        """
        decision = self._of_this_size(decision)
        if (empty := np.flatnonzero(decision.devices.sum(axis=1) == 0)).size:
            raise InputError.at(f"decision.devices[{empty[0]}]", "has no device for its stage")
        return self._stages(decision)

    def _stages(self, decision: ReplicatedPipelineDecision) -> list[Stage]:
        behind = decision.devices.sum(axis=1)[::-1].cumsum()[::-1].tolist()
        starts, ends = decision.starts.tolist(), decision.ends.tolist()
        return [
            stage_of(self, start, end, row, count, again)
            for start, end, row, count, again in zip(
                starts, ends, decision.devices, behind, decision.recompute.tolist(), strict=True
            )
        ]

    def evaluate(self, decision: ReplicatedPipelineDecision) -> float:
        """Seconds from one micro-batch to the next, infinite where a stage has no device.

        Raises
        ------
        InputError
            The decision is about other layers or other types of devices.
        """
        decision = self._of_this_size(decision)
        if (decision.devices.sum(axis=1) == 0).any():
            return math.inf
        return max(stage.period_s for stage in self._stages(decision))

    def violations(self, decision: ReplicatedPipelineDecision) -> dict[str, float]:
        """Measure what a decision violates.

        ``stages_without_devices``; ``devices``: devices that there are not; ``idle_devices`` where
        all must be used; ``replicas``: devices of stages beyond ``max_replicas``;
        ``recompute``: stages that do the opposite of what all must do; ``memory_bytes``: bytes
        that a device lacks, the largest of all.
        """
        decision = self._of_this_size(decision)
        sizes, used = decision.devices.sum(axis=1), decision.devices.sum(axis=0)
        again, stages = int(decision.recompute.sum()), len(decision.ends)
        wrong = {"never": again, "always": stages - again, "choose": 0}[self.recompute]
        idle = int(np.maximum(self.devices - used, 0).sum()) if self.use_all_devices else 0
        counts = {
            "stages_without_devices": int((sizes == 0).sum()),
            "devices": int(np.maximum(used - self.devices, 0).sum()),
            "idle_devices": idle,
            "replicas": int(np.maximum(sizes - self.most_replicas, 0).sum()),
            "recompute": wrong,
        }
        found = {name: float(count) for name, count in counts.items() if count}
        if not counts["stages_without_devices"]:
            excess = max(float(s.excess_bytes.max()) for s in self._stages(decision))
            if excess > 0:
                found["memory_bytes"] = excess
        return found

    def complete(self, ends: Any, devices: Any) -> ReplicatedPipelineDecision:
        """Return the decision of given stages, with recompute where memory asks for it.

        Parameters
        ----------
        ends
            Shape (M,): where the stages end, the last at S.
        devices
            Shape (M, T): devices of each type in each stage.

        Raises
        ------
        InputError
            A shape or value that does not fit; the message names the entry.
        """
        shape = np.shape(ends)[:1]
        again = np.full(shape, self.recompute == "always")
        decision = ReplicatedPipelineDecision(ends, devices, again)
        if self.recompute != "choose":
            self._of_this_size(decision)
            return decision
        needed = np.array([not stage.fits.all() for stage in self.stages(decision)])
        return ReplicatedPipelineDecision(ends, devices, needed)

    def _of_this_size(
        self, decision: ReplicatedPipelineDecision | Mapping[str, Any]
    ) -> ReplicatedPipelineDecision:
        """Return a decision about this problem's layers and types; else raise `InputError`."""
        found: ReplicatedPipelineDecision = self.taken(decision)
        if found.ends[-1] != self.layers:
            raise InputError.at(
                f"decision.ends[{len(found.ends) - 1}]",
                f"is {found.ends[-1]}, the last stage must end with layer {self.layers}",
            )
        if found.devices.shape[1] != self.types:
            raise InputError.at(
                "decision.devices",
                f"is about {found.devices.shape[1]} types of devices, the problem has {self.types}",
            )
        return found

    def infeasibility(self) -> str | None:
        """Name what can be seen without a search, see `obvious_reason`."""
        return obvious_reason(self)

    def bound(self) -> float:
        """Return the larger of two lower bounds in s, see `cheap_bound`."""
        return cheap_bound(self)

    def integer_program(
        self, unit_s: float
    ) -> tuple[LinearProgram, Callable[[Values], ReplicatedPipelineDecision]]:
        """Return the program, see the module `program`, and what reads a decision from values."""
        return pipeline_program(self, unit_s), lambda values: read_stages(self, values)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> ReplicatedPipelineDecision:
        """Read a decision from plain data."""
        return self._of_this_size(ReplicatedPipelineDecision.from_dict(document, source))
