"""The way of a batch through a pipeline: what it occupies at each step, and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from splitopt.latency.pipeline import AGGREGATION, PHASES
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.simulation.fifo import EXCLUSIVE, RECEIVE, SEND, Steps
from splitopt.simulation.system import PipelineSystem
from splitopt.timeline import FloatArray, IntArray, Resource, Timeline

EVERY_PHASE = (*PHASES, *AGGREGATION)
UPLOAD, AVERAGING, DOWNLOAD = range(len(PHASES), len(EVERY_PHASE))


@dataclass(frozen=True, eq=False)
class Route:
    """The cycle of steps of every owner, with the resources that stand behind them.

    Parameters
    ----------
    steps
        The cycle for the event loop; a station's number is that of its resource.
    resources
        The shared ones, then those of the owners.
    resource
        Shape (K, S): the resource of each step of each owner.
    phase
        Shape (S,): index into `EVERY_PHASE`.
    share
        Shape (S,): the fraction of the resource that the step takes.
    channels
        Shape (2, K): the resources that each owner sends and receives over.
    """

    steps: Steps
    resources: tuple[Resource, ...]
    resource: IntArray
    phase: IntArray
    share: FloatArray
    channels: IntArray

    def timeline(
        self,
        owners: tuple[str, ...],
        owner: IntArray,
        batch: IntArray,
        start_s: FloatArray,
        end_s: FloatArray,
        origin: Mapping[str, Any],
        more: Sequence[tuple[Any, ...]] = (),
    ) -> Timeline:
        """Return the table of tasks by start.

        Parameters
        ----------
        owner, batch
            Shape (cycles,).
        start_s, end_s
            Shape (cycles, S).
        more
            Tasks beside the cycles: resource, phase, owner, batch, start, end, share.
        """
        shape = start_s.shape
        done = np.ones(shape, dtype=np.bool_)
        if final := self.steps.final:  # they belong to the last batch
            done[~np.append(np.diff(owner) > 0, True), -final:] = False
        columns = {
            "resource": self.resource[owner],
            "phase": np.broadcast_to(self.phase, shape),
            "owner": np.broadcast_to(owner[:, None], shape),
            "batch": np.broadcast_to(batch[:, None], shape),
            "start_s": start_s,
            "end_s": end_s,
            "share": np.broadcast_to(self.share, shape),
        }
        flat = {name: column[done] for name, column in columns.items()}
        for name, added in zip(flat, zip(*more, strict=True), strict=False):
            flat[name] = np.concatenate((flat[name], np.array(added, dtype=flat[name].dtype)))
        order = np.lexsort((flat["resource"], flat["start_s"]))
        ordered: dict[str, Any] = {name: column[order] for name, column in flat.items()}
        return Timeline(
            self.resources,
            EVERY_PHASE,
            owners,
            **ordered,
            origin={"source": "simulation", "problem": PipelinePartition.name, **origin},
        )


class _Port(NamedTuple):
    """One end of a transfer: the station that it occupies, how, and for how many s."""

    station: int
    lane: int
    seconds: Any
    own: int = -1
    """For an owner's link: where the owners' links start among the resources."""


class _Builder:
    """The steps of a cycle, collected in order."""

    def __init__(self, owners: int) -> None:
        self.owners = owners
        self.rows: list[tuple[Any, ...]] = []
        self.factors = 0

    def task(self, port: _Port, phase: str) -> None:
        """Add computing."""
        self._add(port, port.seconds, 0.0, phase)
        self.factors += 1

    def transfer(self, ends: list[_Port], delay: Any, phase: str) -> None:
        """Add a message that occupies one link, or two ends at the same time.

        With two ends, the second begins as early as it can without ending before the first. A
        message of no time and no delay is left out.
        """
        delay = np.asarray(delay)
        if not delay.any() and not any(np.any(end.seconds) for end in ends):
            return
        for index, end in enumerate(ends):
            carry = end.seconds
            if index + 1 < len(ends):
                carry = np.maximum(0.0, end.seconds - np.asarray(ends[index + 1].seconds))
            self._add(end, carry, delay if index == 0 else 0.0, phase)
        self.factors += 1

    def _add(self, port: _Port, carry: Any, delay: Any, phase: str) -> None:
        self.rows.append((port, carry, delay, EVERY_PHASE.index(phase), self.factors))

    def route(self, resources: list[Resource], channels: IntArray, final: int) -> Route:
        """Build the arrays of the steps."""
        ports = [row[0] for row in self.rows]

        def wide(values: list[Any]) -> FloatArray:
            spread = [np.broadcast_to(np.asarray(v, float), (self.owners,)) for v in values]
            return np.ascontiguousarray(np.array(spread).reshape(-1, self.owners).T)

        lane = np.array([port.lane for port in ports], dtype=np.int64)
        steps = Steps(
            station=np.array([port.station for port in ports], dtype=np.int64),
            lane=lane,
            seconds=wide([port.seconds for port in ports]),
            carry=wide([row[1] for row in self.rows]),
            delay=wide([row[2] for row in self.rows]),
            factor=np.array([row[4] for row in self.rows], dtype=np.int64),
            final=final,
        )
        first = np.array([port.own if port.station < 0 else port.station for port in ports])
        private = (steps.station < 0).astype(np.int64)
        resource = first + private * np.arange(self.owners)[:, None]
        phase = np.array([row[3] for row in self.rows], dtype=np.int64)
        share = np.where(lane == EXCLUSIVE, 1.0, 0.5)
        return Route(steps, tuple(resources), resource, phase, share, channels)


def pipeline_route(system: PipelineSystem) -> Route:
    """Lay out the steps of a batch: forward through the chain, the last part, and back.

    Behind its last batch an owner sends its parts of the model, if they are averaged.
    """
    places, builder = _Places(system), _Builder(len(system.owner_names))
    parts, last = system.owners, len(system.node_names) - 1

    def hop(boundary: int, forward: bool) -> None:
        """Add a transfer over an inner boundary, where transfers cost anything."""
        if system.hops is not None:
            delays = system.hops.up_delay_s if forward else system.hops.down_delay_s
            ends = places.between_nodes(boundary, forward)
            builder.transfer(ends, delays[boundary], _moved(forward))

    def fringe(node: int, outward: bool, seconds: Any, forward: bool) -> None:
        """Add a transfer between the owner and a node; `outward` is from the node to the owner."""
        ends = places.at_fringe(node, outward, seconds, forward)
        builder.transfer(ends, parts.latency_s, _moved(forward))

    builder.task(places.owner(parts.first_forward_s), "first part forward")
    fringe(0, False, parts.to_first_s, True)
    for node in range(last + 1):
        builder.task(_Port(node, EXCLUSIVE, system.stages.forward_s[node]), "forward")
        if node < last:
            hop(node, True)
    fringe(last, True, parts.from_last_s, True)
    builder.task(places.owner(parts.last_s), "last part")
    fringe(last, False, parts.to_last_s, False)
    for node in reversed(range(last + 1)):
        builder.task(_Port(node, EXCLUSIVE, system.stages.backward_s[node]), "backward")
        if node > 0:
            hop(node - 1, False)
    fringe(0, True, parts.from_first_s, False)
    builder.task(places.owner(parts.first_backward_s), "first part backward")
    if system.aggregation is not None:
        builder.task(places.channel(system.aggregation.upload_s, False), AGGREGATION[0])
    final = int(system.aggregation is not None)
    return builder.route(places.resources, places.channels, final)


def _moved(forward: bool) -> str:
    return "activations" if forward else "gradients"


class _Places:
    """Which station each node, link, interface and owner is.

    Attributes
    ----------
    resources
        Nodes, what is between them, shared channels, owners, their links, the aggregator.
    channels
        Shape (2, K): the resources that each owner sends and receives over.
    """

    def __init__(self, system: PipelineSystem) -> None:
        owners = system.owner_names
        self.system = system
        self.resources = [*(Resource(name, "node") for name in system.node_names), *_inner(system)]
        self._cells = len(self.resources)
        if system.shared:
            self.resources += [Resource(name, "channel") for name in ("uplink", "downlink")]
        self._own = len(self.resources)
        self.resources += [Resource(name, "owner") for name in owners]
        if system.shared:
            self.channels = np.repeat([[self._cells], [self._cells + 1]], len(owners), axis=1)
        else:
            self.resources += [Resource(f"{name} link", "owner link") for name in owners]
            links = self._own + len(owners) + np.arange(len(owners))
            self.channels = np.tile(links, (2, 1))
        if system.aggregation is not None and system.aggregation.aggregate_s > 0:
            self.resources.append(Resource("aggregator", "aggregator"))

    def owner(self, seconds: Any) -> _Port:
        """Return the owner itself."""
        return _Port(-1, EXCLUSIVE, seconds, self._own)

    def channel(self, seconds: Any, outward: bool) -> _Port:
        """Return the owner's link, or the shared channel to the owner (`outward`) or from it."""
        if self.system.shared:
            return _Port(self._cells + outward, EXCLUSIVE, seconds)
        return _Port(-1, EXCLUSIVE, seconds, self._own + len(self.system.owner_names))

    def between_nodes(self, boundary: int, forward: bool) -> list[_Port]:
        """Return what a message over an inner boundary occupies: a link, or two interfaces."""
        hops, nodes = self.system.hops, len(self.system.node_names)
        assert hops is not None  # the caller asks only then
        if self.system.ports is None:
            seconds = (hops.up_s if forward else hops.down_s)[boundary]
            if self.system.duplex == "half":
                return [_Port(nodes + boundary, EXCLUSIVE, seconds)]
            return [_Port(nodes + 2 * boundary + (not forward), EXCLUSIVE, seconds)]
        left, right = boundary, boundary + 1
        sender, receiver = (left, right) if forward else (right, left)
        return [
            self._interface(sender, SEND, right, forward),
            self._interface(receiver, RECEIVE, right, forward),
        ]

    def at_fringe(self, node: int, outward: bool, seconds: Any, forward: bool) -> list[_Port]:
        """Return what a message between a node and the owner occupies, the sender first."""
        ends = [self.channel(seconds, outward)]
        if self.system.ports is None:
            return ends
        boundary = 0 if forward != outward else len(self.system.node_names)
        port = self._interface(node, SEND if outward else RECEIVE, boundary, forward)
        return [port, *ends] if outward else [*ends, port]

    def _interface(self, node: int, lane: int, boundary: int, forward: bool) -> _Port:
        """Return the interface of a node for a message over a boundary (0..M)."""
        ports, nodes = self.system.ports, len(self.system.node_names)
        assert ports is not None  # the callers ask for interfaces only then
        seconds = ports.seconds(boundary, node, forward)
        half = self.system.duplex == "half"
        if ports.blocks_compute:
            return _Port(node, EXCLUSIVE if half else lane, seconds)
        station = nodes + node if half else nodes + 2 * node + (lane == SEND)
        return _Port(station, EXCLUSIVE, seconds)


def _inner(system: PipelineSystem) -> list[Resource]:
    """Return the interfaces of the nodes or the links between them, where there are any."""
    names, half = system.node_names, system.duplex == "half"
    if system.ports is not None:
        if system.ports.blocks_compute:
            return []
        ways = ("interface",) if half else ("in", "out")
        return [Resource(f"{name} {way}", "interface") for name in names for way in ways]
    if system.hops is None:
        return []
    arrows = ("{0} <-> {1}",) if half else ("{0} -> {1}", "{1} -> {0}")
    return [Resource(arrow.format(*pair), "link") for pair in pairwise(names) for arrow in arrows]
