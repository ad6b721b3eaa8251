"""CPSL over connections: clusters one after the other, the devices of one side by side.

In every step the server waits for the smashed data of all devices of the cluster, trains on all of
them at once, and sends each its gradient; a device that is dropped leaves the cluster smaller.
In vanilla split learning every device is a cluster of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import starmap

from torch import Tensor

from splitopt.training.preparing.prepare import Prepared
from splitopt.training.schemes.clustered import Clustered
from splitopt.training.schemes.tally import Round
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.private import covers_all
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.star.learning import (
    give,
    learn,
    note_batch,
    pass_over,
    step_with,
)
from splitopt.training.wire.star.private import step_fields
from splitopt.training.wire.star.server import Arrived
from splitopt.training.wire.star.shared_part import SharedPart
from splitopt.training.wire.star.timing import Timing


class ClusterServer(SharedPart):
    """One cluster at a time."""

    scheme: Clustered
    shift = 1

    def play(self, present: Sequence[int]) -> tuple[Round, Collection[int]]:
        """All clusters in turn, of the devices that are there."""
        tally, finished = Round(), set[int]()
        place = {client.name: n for n, client in enumerate(self.scheme.clients)}
        self.scheme.start_round()
        for group in self.scheme.groups(self.number):
            steps = max(self.scheme.steps(c) for c in group)
            members = [place[c.name] for c in group if place[c.name] in present]
            finished |= set(self._cluster(members, steps, tally))
        if not finished:
            self.fail()
        return tally, finished

    def _cluster(self, members: list[int], steps: int, tally: Round) -> list[int]:
        """Train one cluster, and give those who came to the end."""
        if not members:
            return []
        back = {n: self.keep(n) for n in members}
        tally.join([client.name for client in self.clients(members)])
        self.scheme.hand_out(self.clients(members), tally)
        with ExitStack() as stack:
            for n in members:
                stack.enter_context(self.resources.reserved(n, self.planned.pieces[n]))
            there = self.each(members, lambda n: self._start(n, steps))
            for batch in range(steps):
                if there:
                    there = self._step(there, batch, steps, tally)
        for n in set(members) - set(there):
            back[n]()
        for client in self.clients(list(there)):
            self.scheme.note_exchanged(client, steps, tally)
        if there:
            self.scheme.collect(self.clients(list(there)), tally)
        return list(there)

    def batches_of(self, n: int) -> int:
        """Return how many batches a client may have drawn: as many as the most of its cluster."""
        client = self.scheme.clients[n]
        return max(
            self.scheme.steps(other)
            for group in self.scheme.clusters
            if client in group
            for other in group
        )

    def _start(self, n: int, steps: int) -> Arrived | None:
        """Send a device its part, and wait for its first mini-batch."""
        self.begin(n, steps)
        return self.take(n, 0)

    def _step(
        self, there: Mapping[int, Arrived | None], batch: int, steps: int, tally: Round
    ) -> dict[int, Arrived | None]:
        """One local epoch: the server's update, and the devices' on the way to the next one."""
        if any(map(covers_all, self.clients(there))):
            return self.each(
                list(there), lambda n: self._step_covered(n, there[n], batch, steps, tally)
            )
        before = {n: self.scheme.clients[n].stream.state for n in there}
        some = {n: one for n, one in there.items() if one is not None}
        gradients = self._serve(some, batch, tally) if some else {}
        counts = {n: 0 if one is None else len(one.targets) for n, one in there.items()}
        told = self.scheme.shares_of_sum(self.clients(list(there)), list(counts.values()))
        fields = dict(zip(there, starmap(step_fields, told), strict=True)) if told else {}

        def go_on(n: int) -> Arrived | None:
            self.give(n, gradients.get(n), before[n], batch, fields.get(n))
            return self._next(n, batch, steps)

        return self.each(list(there), go_on)

    def _step_covered(
        self, n: int, one: Arrived | None, batch: int, steps: int, tally: Round
    ) -> Arrived | None:
        """Train on the batch of a device that is a cluster by itself, with noise in both parts."""
        if one is None:
            pass_over(self, n, self.scheme.server)
            self.give(n, None, self.scheme.clients[n].stream.state, batch)
        else:
            learned = learn(self, n, batch, one, self.scheme.server)
            tally.note(self.scheme.clients[n].name, learned.loss, learned.samples)
            note_batch(self, n, one, learned, tally.traffic)
            give(self, n, batch, learned)
            step_with(self, n, learned)
        return self._next(n, batch, steps)

    def _next(self, n: int, batch: int, steps: int) -> Arrived | None:
        """Wait for the next mini-batch of a device, or for the end of its round."""
        if batch + 1 < steps:
            return self.take(n, batch + 1)
        self.finish(n, steps)
        return None

    def _serve(self, there: Mapping[int, Arrived], batch: int, tally: Round) -> dict[int, Tensor]:
        """Train the server's part on what all have sent, for its planned time."""
        smashed = [one.smashed for one in there.values()]
        targets = [one.targets for one in there.values()]
        first, samples = next(iter(there)), sum(map(len, targets))
        last_s = max(one.moment_s for one in there.values())
        with self.computing(first, batch, last_s, samples), COMPUTE:
            gradients = self.scheme.serve(self.clients(list(there)), smashed, targets, tally)
        return dict(zip(there, gradients, strict=False))  # none where no device needs one


class RelayServer(ClusterServer):
    """Vanilla split learning: clusters of one, whose batches are numbered as in a star."""

    shift = 0


def lead_relay(prepared: Prepared, crew: Crew, setting: Setting) -> RelayServer:
    """Return rank 0 of vanilla split learning."""
    timing = Timing(prepared.program)
    return RelayServer(prepared.scheme, timing, crew, setting.time_scale, setting.deadline)


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> ClusterServer:
    """Return rank 0."""
    timing = Timing(prepared.program)
    return ClusterServer(prepared.scheme, timing, crew, setting.time_scale, setting.deadline)
