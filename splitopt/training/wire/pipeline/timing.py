"""What every task and transfer of a planned pipeline should take, as the simulator has it.

It is read from the simulator's own way of a batch, so that resources, phases and shares have its
names, and nothing about interfaces or duplexes is said twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency.pipeline import AGGREGATION, PHASES
from splitopt.planning.planner import OpenedPlan
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.simulation.fifo import EXCLUSIVE
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.pipeline_partition import system_of
from splitopt.simulation.route import Route, pipeline_route
from splitopt.simulation.system import PipelineSystem
from splitopt.timeline import FloatArray, Timeline
from splitopt.training.wire.recorder import Recorder

ACTIVATIONS, GRADIENTS = "activations", "gradients"


@dataclass(frozen=True)
class Occupied:
    """A task or transfer on one resource.

    Parameters
    ----------
    resource, kind, phase
        By the simulator's names.
    lane
        See `splitopt.simulation.fifo`: whether it needs the resource for itself.
    share
        Fraction of the resource that it takes.
    seconds
        Of the wall, for a batch as planned.
    """

    resource: str
    kind: str
    phase: str
    lane: int
    share: float
    seconds: float

    def note(
        self, recorder: Recorder, owner: str, batch: int, start_s: float, end_s: float
    ) -> None:
        """Record it under these names."""
        recorder.add(self.resource, self.kind, self.phase, owner, batch, start_s, end_s, self.share)


@dataclass(frozen=True)
class Leg:
    """The way of one owner's message over one boundary of the chain, in one direction.

    Parameters
    ----------
    phase
        `ACTIVATIONS` or `GRADIENTS`, which is also the kind of its message.
    ends
        What it occupies: nothing, a link, or what the sender and then the receiver have for it.
    delay_s
        How long it is under way besides, in s of the wall, without occupying anything.
    planned_bytes
        Of a batch as planned.
    is_shared
        Both of its ends use one link that carries one direction at a time.
    """

    phase: str
    ends: tuple[Occupied, ...]
    delay_s: float
    planned_bytes: float
    is_shared: bool = False

    def seconds(self, end: int, size: float) -> float:
        """Seconds for which a message of so many bytes occupies an end."""
        planned = self.ends[end].seconds
        return planned * size / self.planned_bytes if self.planned_bytes else planned

    @property
    def rate_bytes_per_s(self) -> float:
        """At which the sender sends; infinite if that costs nothing."""
        seconds = self.ends[0].seconds if self.ends else 0.0
        return self.planned_bytes / seconds if seconds > 0 else math.inf

    @property
    def receiver(self) -> Occupied | None:
        """What the receiver has for it, if that is something else than the sender's link."""
        return self.ends[1] if len(self.ends) > 1 else None

    def wanted_s(self, start_s: float, size: float) -> float:
        """When the receiver's end is wanted for a message that was begun at `start_s`.

        It begins as early as it can without ending before the sender's.
        """
        ahead = self.seconds(0, size) - self.seconds(1, size)
        return start_s + max(0.0, ahead) + self.delay_s


@dataclass(frozen=True)
class OwnerWay:
    """The cycle of one owner's batch: M nodes, 2 M + 3 tasks, and the legs between them."""

    tasks: tuple[Occupied, ...]
    legs: tuple[Leg, ...]

    @property
    def nodes(self) -> int:
        """M."""
        return (len(self.tasks) - 3) // 2

    def forward(self, node: int) -> int:
        """Return the number of a node's forward task; leg i leads from task i to task i + 1."""
        return 1 + node

    def backward(self, node: int) -> int:
        """Return the number of a node's backward task."""
        return 2 * self.nodes + 1 - node

    @property
    def last_part(self) -> int:
        """The number of the owner's task between forward and backward."""
        return self.nodes + 1


@dataclass(frozen=True)
class Exchange:
    """What an owner's parts of the model occupy behind its last batch, and their average.

    Parameters
    ----------
    upload, download
        To rank 0, side by side with other owners, and back, one owner after the other.
    delay_s
        How long either is under way besides, in s of the wall.
    """

    upload: Occupied
    download: Occupied
    delay_s: float


@dataclass(frozen=True, eq=False)
class PipelineTiming:
    """A planned pipeline in seconds of the wall.

    Parameters
    ----------
    owners, nodes
        Names, the nodes in the order of the chain.
    ways
        Of each owner's batches.
    exchanges
        Of each owner's parts of the model at the end of a round; none if the plan has none.
    predicted
        The simulated timeline of a round, in planned seconds.
    time_scale
        Seconds of the wall for each planned one.
    """

    owners: tuple[str, ...]
    nodes: tuple[str, ...]
    ways: tuple[OwnerWay, ...]
    predicted: Timeline
    time_scale: float
    exchanges: tuple[Exchange, ...] = ()

    @property
    def round_s(self) -> float:
        """Planned seconds of a round, before scaling."""
        return self.predicted.makespan_s


def pipeline_timing(opened: OpenedPlan, time_scale: float = 1.0) -> PipelineTiming:
    """Read what a plan's pipeline should take.

    Parameters
    ----------
    opened
        Of `splitopt.planning.planner.open_plan`.
    time_scale
        Seconds of the wall for each planned one.

    Raises
    ------
    InputError
        The plan is of another problem, or the scale is not above 0.
    InfeasibleError
        The plan has no decision.
    """
    problem, decision = _solved(opened)
    ends = problem.load(decision).boundaries
    up, down = problem.cut_up_bytes[ends], problem.cut_down_bytes[ends]
    return timing_of(pipeline_of(opened), up, down, time_scale)


def pipeline_of(opened: OpenedPlan) -> PipelineSystem:
    """Return the pipeline of a plan as the simulator takes it; for errors see `pipeline_timing`."""
    return system_of(*_solved(opened), opened.scenario)


def _solved(opened: OpenedPlan) -> tuple[PipelinePartition, PipelinePartitionDecision]:
    problem, decision = opened.problem, opened.decision
    if problem is None or decision is None:
        raise InfeasibleError("the plan has no decision, so there is no pipeline to run")
    if not isinstance(problem, PipelinePartition):
        raise InputError(f"the plan is of {problem.name}; pipelines are of pipeline_partition")
    assert isinstance(decision, PipelinePartitionDecision)  # as its problem reads it
    return problem, decision


def timing_of(
    system: PipelineSystem, up_bytes: FloatArray, down_bytes: FloatArray, time_scale: float
) -> PipelineTiming:
    """Read what a pipeline should take.

    Parameters
    ----------
    system
        As the simulator takes it.
    up_bytes, down_bytes
        Shape (M + 1,): of a batch over each boundary, from the owner to the first node on.
    time_scale
        Seconds of the wall for each planned one.
    """
    if not 0 < time_scale < math.inf:
        raise InputError.at("time_scale", f"is {time_scale!r}, it must be above 0")
    boundaries = (len(system.node_names) + 1,)
    if up_bytes.shape != boundaries or down_bytes.shape != boundaries:
        raise InputError.at("up_bytes, down_bytes", f"must have {boundaries[0]} entries")
    # Outwards over all boundaries, and back in the reverse order.
    sizes = [*map(float, up_bytes), *map(float, down_bytes[::-1])]
    inner = range(1, len(system.node_names))
    is_shared = system.duplex == "half" and system.ports is None and system.hops is not None
    last = len(sizes) - 1
    shared = [is_shared and min(leg, last - leg) in inner for leg in range(len(sizes))]
    route = pipeline_route(system)
    ways = tuple(
        _way(route, owner, sizes, shared, time_scale) for owner in range(len(system.owner_names))
    )
    return PipelineTiming(
        system.owner_names,
        system.node_names,
        ways,
        run_pipeline(system),
        float(time_scale),
        _exchanges(system, route, float(time_scale)),
    )


def _exchanges(system: PipelineSystem, route: Route, scale: float) -> tuple[Exchange, ...]:
    if (found := system.aggregation) is None:
        return ()
    sent, _, received = AGGREGATION

    def occupied(owner: int, way: int, phase: str, seconds: float) -> Occupied:
        resource = route.resources[route.channels[way, owner]]
        return Occupied(resource.name, resource.kind, phase, EXCLUSIVE, 1.0, seconds * scale)

    return tuple(
        Exchange(
            occupied(owner, 0, sent, float(found.upload_s[owner])),
            occupied(owner, 1, received, float(found.download_s[owner])),
            float(system.owners.latency_s[owner]) * scale,
        )
        for owner in range(len(system.owner_names))
    )


def _way(
    route: Route, owner: int, sizes: list[float], shared: list[bool], scale: float
) -> OwnerWay:
    """Put the steps of an owner's cycle together: tasks, and the transfers between them."""
    tasks: list[Occupied] = []
    ends: list[list[Occupied]] = [[] for _ in sizes]
    delays = [0.0 for _ in sizes]
    for step, number in enumerate(route.phase[: len(route.phase) - route.steps.final]):
        phase = PHASES[number]
        resource = route.resources[route.resource[owner, step]]
        found = Occupied(
            resource.name,
            resource.kind,
            phase,
            int(route.steps.lane[step]),
            float(route.share[step]),
            float(route.steps.seconds[owner, step]) * scale,
        )
        if phase in (ACTIVATIONS, GRADIENTS):
            ends[len(tasks) - 1].append(found)
            delays[len(tasks) - 1] += float(route.steps.delay[owner, step]) * scale
        else:
            tasks.append(found)
    half = len(sizes) // 2
    legs = tuple(
        Leg(ACTIVATIONS if leg < half else GRADIENTS, tuple(own), delay, size, both)
        for leg, (own, delay, size, both) in enumerate(
            zip(ends, delays, sizes, shared, strict=True)
        )
    )
    return OwnerWay(tuple(tasks), legs)
