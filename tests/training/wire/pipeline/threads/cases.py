"""All parties of a pipeline as threads of one process."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from torch import nn

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.simulation.system import PipelineSystem, Ports
from splitopt.training.schemes import Multihop
from splitopt.training.wire.crew import Crew, join
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.pipeline.coordinator import Pipeline
from splitopt.training.wire.pipeline.parties import take_part
from splitopt.training.wire.pipeline.timing import timing_of
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.tokens import Token

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


SIZES, BATCH, CUTS = (10, 16, 7), 5, (2, 4, 6)


UP = DOWN = np.array([4 * 64, 4 * 16, 4 * 16]) * 4.0 * BATCH  # bytes of a batch at the cuts


MS = 1e-3


def timing(planned, scale=1.0):
    """Compute the timing of a pipeline, with one size per boundary."""
    count = len(planned.node_names) + 1
    return timing_of(planned, np.resize(UP, count), np.resize(DOWN, count), scale)


def system(links="uniform", duplex="full", nodes=2):
    """Make a pipeline of three owners whose every task takes a few milliseconds."""
    hops = ports = None
    if links != "none":
        hops = Hops(*(np.full(nodes - 1, value * MS) for value in (3, 2, 1, 1)))
    if links in ("nic", "serial"):
        # 5 ms for the largest message, so that the owners' links are sometimes the slower ones.
        bandwidth = np.full(nodes, UP[0] / (5 * MS))
        ports = Ports(UP[: nodes + 1], DOWN[: nodes + 1], bandwidth, links == "serial")
    owners = OwnerParts(*(np.array([1, 2, 3]) * value * MS for value in (1, 1, 1, 2, 1, 1, 2, 1)))
    stages = Stages(np.array([2, 3, 2][:nodes]) * MS, np.array([3, 2, 3][:nodes]) * MS)
    batches = np.array([-(-size // BATCH) for size in SIZES])
    names = tuple(f"d{k}" for k in range(len(SIZES)))
    return PipelineSystem(
        stages, owners, batches, hops, ports, duplex, ("one", "two", "three")[:nodes], names
    )


def scheme_of(make, options, cuts=CUTS, criterion=nn.functional.cross_entropy, **model):
    clients = make.clients(SIZES, cuts, BATCH)
    return Multihop(make.cnn(**model), clients, options, make.split, criterion)


class Threads:
    """All parties but rank 0, each with a scheme of its own; errors are kept."""

    def __init__(self, scheme_for, planned, port, token, timed=timing, tls=None):
        self.errors = {}
        count = len(planned.owner_names) + len(planned.node_names)

        def follow(rank, scheme_for=scheme_for):
            try:
                own = tls and tls[rank]
                with join("127.0.0.1", port, token, rank, {}, 120.0, own) as channel:
                    timing_at = lambda s: timed(planned, s)  # noqa: E731
                    take_part(scheme_for(rank), rank, channel, timing_at, token, tls=own)
            except Exception as error:
                self.errors[rank] = error

        self.follow, self.threads = follow, []
        for rank in range(1, count + 1):
            self.start(rank)

    def start(self, *arguments):
        thread = threading.Thread(target=self.follow, args=arguments)
        self.threads.append(thread)
        thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def run(
    make,
    options,
    planned,
    rounds=2,
    scale=0.1,
    cuts=CUTS,
    criteria=None,
    again=(),
    timed=timing,
    tls=None,
    **model,
):
    """Train over connections; return the scheme, the leader and the tallies.

    ``tls`` are the certificates of all ranks.

    ``timed`` says what the pipeline takes at a scale, a tenth unless times are looked at.

    ``criteria`` are losses of single ranks, which then may end as they like; the ranks ``again``
    are started anew, and without such a loss, after the first round.
    """
    token, criteria = Token.new(), criteria or {}
    listener = listen(None, 0, token, tls=tls and tls[0])
    names = (*planned.owner_names, *planned.node_names)

    def scheme_for(rank):
        usual = nn.functional.cross_entropy
        other_weights = model | {"seed": 9}
        return scheme_of(make, options, cuts, criteria.get(rank) or usual, **other_weights)

    threads = Threads(scheme_for, planned, listener.port, token, timed, tls)
    scheme = scheme_of(make, options, cuts, **model)
    try:
        with Crew(listener, names, {}) as crew:
            crew.wait(120.0)
            deadline = Deadline(None, 120.0)
            leader = Pipeline(scheme, timed(planned, scale), crew, deadline)
            tallies = []
            for number in range(rounds):
                tallies.append(leader.round(number))
                for rank in again if number == 0 else ():
                    threads.start(rank, lambda _: scheme_of(make, options, cuts, **model))
                if again:
                    crew.wait(120.0)
    finally:
        threads.join()
    assert threads.errors.keys() <= criteria.keys()
    return scheme, leader, tallies


def assert_same_state(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
