"""SplitFedV1 over connections: every client and its copy of the server's part, side by side.

The clients' shares of links and server are their own all the time, so nobody waits for anybody.
Federated learning is the same, of devices that keep all layers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from splitopt.training.model_parts.copies import Copy
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.program import Program
from splitopt.training.rounds.clock import VirtualClock
from splitopt.training.schemes.parallel_copies import ParallelCopies
from splitopt.training.schemes.tally import Round, Traffic
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.dropping import late_on_failure
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.star.device import RECUT
from splitopt.training.wire.star.examples import Examples
from splitopt.training.wire.star.learning import (
    give,
    learn,
    note_batch,
    pass_over,
    step_with,
)
from splitopt.training.wire.star.resources import Resources
from splitopt.training.wire.star.server import Server
from splitopt.training.wire.star.timing import Timing
from splitopt.training.wire.transport.channel import Channel


@dataclass
class Served:
    """What serving one client came to: mean losses with numbers of samples, and bytes."""

    losses: list[tuple[float, int]] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)


class SplitFedServer(Server):
    """A thread for each client; its real work takes turns, its planned times overlap."""

    scheme: ParallelCopies
    _follows = False

    @cached_property
    def _cut_at(self) -> dict[int, tuple[Channel, tuple[int, ...]]]:
        """Where devices have been told to cut, and over which connection."""
        return {}

    def copy(self, n: int) -> Copy:
        """Return the client's copy of the whole model."""
        return self.scheme.copy_of(self.scheme.clients[n])

    def play(self, present: Sequence[int]) -> tuple[Round, Collection[int]]:
        """Serve all at once, and average those who come to the end."""
        tally = Round()
        back = {n: self.keep(n) for n in present}
        self.scheme.begin(self.clients(present), tally)
        self.hand_out(present)
        served = self.each(present, self.serve)
        self.gather()
        served = self.agreed(served)
        for n in set(present) - set(served):
            back[n]()
        if not served:
            self.fail()
        place = {client.name: n for n, client in enumerate(self.scheme.clients)}
        for client in self.scheme.order(self.number):  # sums as they are in one process
            one = served.get(place[client.name])
            if one is None:
                continue
            for loss, samples in one.losses:
                tally.note(client.name, loss, samples)
            tally.traffic.smashed += one.traffic.smashed
            tally.traffic.gradient += one.traffic.gradient
            tally.traffic.label += one.traffic.label
            tally.traffic.tied_down += one.traffic.tied_down
            tally.traffic.tied_up += one.traffic.tied_up
        self.scheme.end(self.clients(sorted(served)), tally)
        self.settle()
        return tally, served

    def follow(self, program: Program) -> None:
        """Read cuts, shares and pace of the next round from a program that replaces the plan's."""
        self.timing = Timing(program)
        self.resources = Resources(self.timing, self.time_scale)
        self.examples = Examples(self.scheme, self.copy)
        self._clock = VirtualClock(program, scheme=self.scheme)
        self._follows = True

    def greet(self, n: int, steps: int) -> None:
        """Send a device what it needs for the round, first where it is cut if that changes."""
        if self._follows:
            with late_on_failure(self.timing.model_down):
                channel = self._channel(n)
            cuts = self.scheme.clients[n].cuts
            if self._cut_at.get(n) != (channel, cuts):
                self.send(n, RECUT, self.timing.model_down, {"cuts": list(cuts)}, {})
                self._cut_at[n] = channel, cuts
                self._set_up.pop(n, None)  # another part may have others that never change
        super().greet(n, steps)

    def hand_out(self, present: Sequence[int]) -> None:
        """Send other servers what their devices begin the round with; there are none here."""

    def gather(self) -> None:
        """Read what other servers have to say of the round; there are none here."""

    def serve(self, n: int) -> Served:
        """One client's round."""
        client, found = self.scheme.clients[n], Served()
        steps = self.scheme.steps(client)
        with self.resources.reserved(n, self.planned.pieces[n]):
            self.begin(n, steps)
            for batch in range(steps if client.cuts else 0):
                self._step(n, batch, found)
            noted = self.finish(n, steps)
        if not client.cuts:
            found.losses = noted
        self.scheme.note_tied(self.copy(n), steps, found.traffic)
        return found

    def _step(self, n: int, batch: int, found: Served) -> None:
        """One mini-batch of one client."""
        one, part = self.take(n, batch), self.copy(n).parts[1]
        if one is None:
            pass_over(self, n, part)
            self.give(n, None, self.scheme.clients[n].stream.state, batch)
            return
        learned = learn(self, n, batch, one, part)
        found.losses.append((learned.loss, learned.samples))
        give(self, n, batch, learned)
        step_with(self, n, learned)
        note_batch(self, n, one, learned, found.traffic)


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> SplitFedServer:
    """Return rank 0."""
    timing = Timing(prepared.program)
    return SplitFedServer(prepared.scheme, timing, crew, setting.time_scale, setting.deadline)
