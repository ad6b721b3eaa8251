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


def simulate_by_processes(system):
    """Compute the time at which each owner has finished all of its batches, shape (K,)."""
    clock = Clock()
    stages, owners, hops, ports = system.stages, system.owners, system.hops, system.ports
    nodes = len(stages.forward_s)
    half = system.duplex == "half"
    serial = ports is not None and ports.blocks_compute
    node = [Server(clock, two_way=serial and not half) for _ in range(nodes)]
    line = [[Server(clock)] * 2 if half else [Server(clock), Server(clock)] for _ in range(nodes)]
    cell = {True: Server(clock), False: Server(clock)} if system.shared else {}
    finished = np.zeros(len(system.batches_per_owner))

    def interface(i, way):
        if serial:
            return node[i], "compute" if half else way
        return line[i][way == "send"], "any"

    def message(k, ends, delay, then):
        """Occupy each end for its seconds, the later one as soon as it need not wait for bytes."""
        (server, kind, seconds), *rest = ends
        rank = k

        def started(time):
            if not rest:
                clock.at(time + seconds + delay, rank, then)
                return
            head_start = max(0.0, seconds - rest[0][2])
            clock.at(time + head_start + delay, rank, lambda: message(k, rest, 0.0, then))

        if server is None:
            started(clock.now)
        else:
            server.ask(kind, seconds, started)

    def between(k, left, forward, then):
        if hops is None:
            return then()
        seconds = (hops.up_s if forward else hops.down_s)[left]
        delay = (hops.up_delay_s if forward else hops.down_delay_s)[left]
        if ports is None:
            ends = [(line[left][not forward], "any", seconds)]
        else:
            size = (ports.up_bytes if forward else ports.down_bytes)[left + 1]
            sender, receiver = (left, left + 1) if forward else (left + 1, left)
            ends = [
                (*interface(sender, "send"), size / ports.bandwidth[sender]),
                (*interface(receiver, "receive"), size / ports.bandwidth[receiver]),
            ]
        if delay == 0 and not any(end[2] for end in ends):
            return then()
        return message(k, ends, delay, then)

    def own_link(k, i, to_node, size, seconds, then):
        ends = [(cell.get(to_node), "any", seconds)]
        if ports is not None:
            port = (*interface(i, "receive" if to_node else "send"), size / ports.bandwidth[i])
            ends = [*ends, port] if to_node else [port, *ends]
        if owners.latency_s[k] == 0 and not any(end[2] for end in ends):
            return then()
        return message(k, ends, owners.latency_s[k], then)

    def compute(k, i, seconds, then):
        def started(time):
            clock.at(time + seconds, k, then)

        node[i].ask("compute", seconds, started)

    def batch(k):
        """Yield functions that take a continuation, step by step."""
        last = nodes - 1
        sizes = np.zeros((2, nodes + 1)) if ports is None else (ports.up_bytes, ports.down_bytes)
        wait = lambda s: lambda then: clock.at(clock.now + s, k, then)  # noqa: E731
        yield wait(owners.first_forward_s[k])
        yield lambda then: own_link(k, 0, True, sizes[0][0], owners.to_first_s[k], then)
        for i in range(nodes):
            yield lambda then, i=i: compute(k, i, stages.forward_s[i], then)
            if i < last:
                yield lambda then, i=i: between(k, i, True, then)
        yield lambda then: own_link(k, last, False, sizes[0][nodes], owners.from_last_s[k], then)
        yield wait(owners.last_s[k])
        yield lambda then: own_link(k, last, True, sizes[1][nodes], owners.to_last_s[k], then)
        for i in reversed(range(nodes)):
            yield lambda then, i=i: compute(k, i, stages.backward_s[i], then)
            if i > 0:
                yield lambda then, i=i: between(k, i - 1, False, then)
        yield lambda then: own_link(k, 0, False, sizes[1][0], owners.from_first_s[k], then)
        yield wait(owners.first_backward_s[k])

    def owner(k):
        def steps():
            for _ in range(system.batches_per_owner[k]):
                yield from batch(k)
            if system.aggregation is not None and system.batches_per_owner[k]:
                end = (cell.get(True), "any", system.aggregation.upload_s[k])
                yield lambda then: message(k, [end], 0.0, then)

        walk = steps()

        def advance():
            finished[k] = clock.now
            step = next(walk, None)
            if step is not None:
                step(advance)

        return advance

    for k in range(len(finished)):
        clock.at(0.0, k, owner(k))
    clock.run()
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
