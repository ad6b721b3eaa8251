"""A second simulator of the pipeline, written another way: processes that wait for servers.

It knows nothing of steps, lanes or carries: every owner is a generator that asks servers for time,
servers keep queues, and the clock jumps from event to event.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count

import numpy as np
import pytest

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.simulation.system import Aggregation, PipelineSystem, Ports


class Clock:
    """Calls functions when their time has come; ties in the order of `rank`."""

    def __init__(self):
        self.now, self._calls, self._number = 0.0, [], count()

    def at(self, time, rank, call):
        heapq.heappush(self._calls, (time, rank, next(self._number), call))

    def run(self):
        while self._calls:
            self.now, _, _, call = heapq.heappop(self._calls)
            call()


class Server:
    """Serves in the order of arrival; with `two_way`, receiving and sending may overlap."""

    def __init__(self, clock, two_way=False):
        self.clock, self.two_way = clock, two_way
        self.queue, self.running = deque(), []

    def ask(self, kind, seconds, started):
        self.queue.append((kind, seconds, started))
        self._start()

    def _fits(self, kind):
        if not self.running:
            return True
        return self.two_way and "compute" not in (kind, *self.running) and kind not in self.running

    def _start(self):
        while self.queue and self._fits(self.queue[0][0]):
            kind, seconds, started = self.queue.popleft()
            self.running.append(kind)
            # Whoever leaves does so before anybody who arrives at the same moment.
            self.clock.at(self.clock.now + seconds, -1, lambda kind=kind: self._leave(kind))
            started(self.clock.now)

    def _leave(self, kind):
        self.running.remove(kind)
        self._start()


class Processes:
    """The owners of a system as processes, and the servers that they ask for time."""

    def __init__(self, system):
        self.system, self.clock = system, Clock()
        self.nodes, self.half = len(system.stages.forward_s), system.duplex == "half"
        self.serial = system.ports is not None and system.ports.blocks_compute
        server, count = (lambda: Server(self.clock)), range(self.nodes)
        self.node = [Server(self.clock, two_way=self.serial and not self.half) for _ in count]
        self.line = [[server()] * 2 if self.half else [server(), server()] for _ in count]
        self.cell = {True: server(), False: server()} if system.shared else {}
        self.finished = np.zeros(len(system.batches_per_owner))

    def run(self):
        """Return the time at which each owner has finished its batches and sent its parts."""
        for k in range(len(self.finished)):
            self.clock.at(0.0, k, self.owner(k))
        self.clock.run()
        return self.finished

    def owner(self, k):
        """Return the function that goes on to an owner's next step."""
        steps = self.steps(k)

        def advance():
            self.finished[k] = self.clock.now
            step = next(steps, None)
            if step is not None:
                step(advance)

        return advance

    def steps(self, k):
        """Yield functions that take a continuation, until the owner has sent its parts."""
        system = self.system
        for _ in range(system.batches_per_owner[k]):
            yield from self.batch(k)
        if system.aggregation is not None and system.batches_per_owner[k]:
            end = (self.cell.get(True), "any", system.aggregation.upload_s[k])
            yield lambda then: self.message(k, [end], 0.0, then)

    def batch(self, k):
        """Yield the steps of one batch, there and back."""
        owners, ports, last = self.system.owners, self.system.ports, self.nodes - 1
        up, down = np.zeros((2, self.nodes + 1)) if ports is None else ports[:2]
        yield self.wait(k, owners.first_forward_s[k])
        yield self.own_link(k, 0, True, up[0], owners.to_first_s[k])
        for i in range(self.nodes):
            yield self.compute(k, i, self.system.stages.forward_s[i])
            if i < last:
                yield self.between(k, i, True)
        yield self.own_link(k, last, False, up[-1], owners.from_last_s[k])
        yield self.wait(k, owners.last_s[k])
        yield self.own_link(k, last, True, down[-1], owners.to_last_s[k])
        for i in reversed(range(self.nodes)):
            yield self.compute(k, i, self.system.stages.backward_s[i])
            if i > 0:
                yield self.between(k, i - 1, False)
        yield self.own_link(k, 0, False, down[0], owners.from_first_s[k])
        yield self.wait(k, owners.first_backward_s[k])

    def wait(self, k, seconds):
        """Return the step of an owner that computes by itself."""
        return lambda then: self.clock.at(self.clock.now + seconds, k, then)

    def compute(self, k, i, seconds):
        """Return the step of a batch on a node."""

        def step(then):
            started = lambda time: self.clock.at(time + seconds, k, then)  # noqa: E731
            self.node[i].ask("compute", seconds, started)

        return step

    def between(self, k, left, forward):
        """Return the step of a message between two neighbours."""
        hops, ports = self.system.hops, self.system.ports
        if hops is None:
            return self.sent(k, [], 0.0)
        seconds = (hops.up_s if forward else hops.down_s)[left]
        delay = (hops.up_delay_s if forward else hops.down_delay_s)[left]
        if ports is None:
            return self.sent(k, [(self.line[left][not forward], "any", seconds)], delay)
        size = (ports.up_bytes if forward else ports.down_bytes)[left + 1]
        sender, receiver = (left, left + 1) if forward else (left + 1, left)
        ends = [self.port(sender, "send", size), self.port(receiver, "receive", size)]
        return self.sent(k, ends, delay)

    def own_link(self, k, i, to_node, size, seconds):
        """Return the step of a message between an owner and a node."""
        ends = [(self.cell.get(to_node), "any", seconds)]
        if self.system.ports is not None:
            port = self.port(i, "receive" if to_node else "send", size)
            ends = [*ends, port] if to_node else [port, *ends]
        return self.sent(k, ends, self.system.owners.latency_s[k])

    def port(self, i, way, size):
        """Return the interface of a node as an end of a message."""
        seconds = size / self.system.ports.bandwidth[i]
        if self.serial:
            return self.node[i], "compute" if self.half else way, seconds
        return self.line[i][way == "send"], "any", seconds

    def sent(self, k, ends, delay):
        """Return the step of a message; one that takes no time asks nobody."""
        if delay == 0 and not any(end[2] for end in ends):
            return lambda then: then()
        return lambda then: self.message(k, ends, delay, then)

    def message(self, k, ends, delay, then):
        """Occupy each end for its seconds, the later one as soon as it need not wait for bytes."""
        (server, kind, seconds), *rest = ends

        def started(time):
            if not rest:
                self.clock.at(time + seconds + delay, k, then)
                return
            head_start = max(0.0, seconds - rest[0][2])
            onwards = lambda: self.message(k, rest, 0.0, then)  # noqa: E731
            self.clock.at(time + head_start + delay, k, onwards)

        if server is None:
            started(self.clock.now)
        else:
            server.ask(kind, seconds, started)


def simulate_by_processes(system):
    """Compute the time at which each owner has finished all of its batches, shape (K,)."""
    finished, owners = Processes(system).run(), system.owners
    if system.aggregation is None:
        return finished
    there = system.batches_per_owner > 0
    now = (finished + owners.latency_s)[there].max() + system.aggregation.aggregate_s
    for k in np.flatnonzero(there):
        now += system.aggregation.download_s[k]
        finished[k] = now + owners.latency_s[there].max()
    return finished


def draw_system(rng, model="none", duplex="full", owners=None, nodes=None, batches=4):
    """Draw a system with any link model; owners, links and nodes all differ."""
    owners = int(rng.integers(1, 9)) if owners is None else owners
    nodes = int(rng.integers(1, 5)) if nodes is None else nodes
    stages = Stages(*rng.uniform(0.1, 1.0, (2, nodes)))
    parts = OwnerParts(*rng.uniform(0.05, 2.0, (7, owners)), rng.uniform(0, 0.1, owners))
    hops, ports = None, None
    if model == "links":
        hops = Hops(*rng.uniform(0.05, 1.0, (4, nodes - 1)))
    elif model in ("interfaces", "serial"):
        up, down = rng.uniform(0.1, 1.0, (2, nodes + 1))
        bandwidth = rng.uniform(0.5, 4.0, nodes)
        slower = np.minimum(bandwidth[1:], bandwidth[:-1])
        delay = rng.uniform(0, 0.1, (2, nodes - 1))
        hops = Hops(up[1:-1] / slower, down[1:-1] / slower, *delay)
        ports = Ports(up, down, bandwidth, blocks_compute=model == "serial")
    counts = rng.integers(0, batches + 1, owners)
    counts[int(rng.integers(owners))] = batches
    more = {"shared": bool(rng.integers(2)), "aggregation": None}
    if rng.integers(2):
        sent, back = rng.uniform(0.05, 2.0, (2, owners))
        more["aggregation"] = Aggregation(sent, back, float(rng.integers(2)))
    return PipelineSystem(stages, parts, counts, hops, ports, duplex, **more)


@pytest.fixture(scope="session")
def by_processes():
    """Return the second simulator."""
    return simulate_by_processes


@pytest.fixture(scope="session")
def random_system():
    """Return the function that draws systems."""
    return draw_system
