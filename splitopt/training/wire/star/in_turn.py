"""SplitFedV2 over connections: one server part that serves the devices in an order.

Every device has a thread here, which takes its places in the order of service: at the server, whose
weights pass through the mini-batches in exactly this sequence, and on links that devices share, of
which a message has all. A device sends when it is told that it is its turn; the rules are those of
`splitopt.simulation.common_cut`. A device that is dropped leaves its places to the others, and what
the server has learned from it until then stays.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from splitopt.latency.served_by_batch import turns_of
from splitopt.problems.common_cut import BY_BATCH
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.schemes.splitfed_v2 import SplitFedV2
from splitopt.training.schemes.tally import Round
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.star.device import TURN
from splitopt.training.wire.star.learning import (
    Learned,
    give,
    learn,
    note_batch,
    pass_over,
    step_with,
)
from splitopt.training.wire.star.ordered import Ordered, Place
from splitopt.training.wire.star.shared_part import SharedPart
from splitopt.training.wire.star.timing import BACKWARD, MODEL_UP, UPLOAD, Timing


class Line:
    """Who is next in a round: at the server, and on each link.

    Parameters
    ----------
    members
        Indices of the devices, in the order in which they begin.
    served
        The device of every mini-batch, in the order in which the server part serves them.
    shared
        Whether the devices share a downlink and an uplink, or each has its own.
    """

    def __init__(self, members: Sequence[int], served: Sequence[Place], shared: bool) -> None:
        ends = [Place(n) for n in members]
        self.server = Ordered(served)
        self._down = self._links([*ends, *served], members, shared)
        self._up = self._links([*served, *ends], members, shared)
        self.working = Ordered(ends)
        """Devices that still train; a place is given up when one is done."""

    @staticmethod
    def _links(places: Sequence[Place], members: Sequence[int], shared: bool) -> dict[int, Ordered]:
        """Return the link of each device."""
        if shared:
            return dict.fromkeys(members, Ordered(places))
        return {n: Ordered(place for place in places if place.member == n) for n in members}

    def down(self, n: int) -> Ordered:
        """Return the downlink of a device."""
        return self._down[n]

    def up(self, n: int) -> Ordered:
        """Return the uplink of a device."""
        return self._up[n]

    def leave(self, n: int) -> None:
        """Drop all that a device would have done."""
        for queue in (self.server, self._down[n], self._up[n], self.working):
            queue.leave(n)


class TurnServer(SharedPart):
    """A thread for each client, which waits for its places in the order of service."""

    scheme: SplitFedV2
    _line: Line
    _free_s = 0.0  # when the server was done with its last mini-batch

    @property
    def is_by_batch(self) -> bool:
        """Whether a mini-batch of every device is served in turn."""
        return self.scheme.options.server_order == BY_BATCH

    @property
    def _shares_links(self) -> bool:
        return bool(self.timing.program.scenario.links.shared)

    def play(self, present: Sequence[int]) -> tuple[Round, Collection[int]]:
        """Serve those who are there in the order of the round, and average who comes to the end."""
        tally = Round()
        back = {n: self.keep(n) for n in present}
        self.scheme.begin(self.clients(present), tally)
        places = self._places(present)
        members = list(dict.fromkeys(place.member for place in places))
        self._line, self._free_s = Line(members, places, self._shares_links), 0.0
        finished = self.agreed(self.each(present, lambda n: self._take_part(n, tally)))
        for n in set(present) - set(finished):
            back[n]()
        if not finished:
            self.fail()
        self.scheme.end(self.clients(sorted(finished)), tally)
        for client in self.clients(sorted(finished)):
            self.scheme.note_exchanged(client, self.scheme.steps(client), tally)
        self.settle()
        return tally, finished

    def beginning(self, n: int, steps: int) -> dict[str, Any]:
        """Return what a device is told of a round: also when it has to wait for its turn."""
        return {**super().beginning(n, steps), "turns": self._turns(steps)}

    def _turns(self, steps: int) -> int:
        """Return with how many of its mini-batches a device waits for its turn to send."""
        if not self.is_by_batch:
            return 1
        return steps if self._shares_links else 0  # on its own link it waits for nobody

    def _places(self, present: Sequence[int]) -> list[Place]:
        """Return the mini-batches of a round in the order in which they are served."""
        served = self.scheme.served(self.number)
        steps = [self.scheme.steps(client) for client in self.scheme.clients]
        if self.is_by_batch:
            turns = turns_of(steps, served)
            found = [Place(n, turn) for turn, order in enumerate(turns) for n in order]
        else:
            found = [Place(n, batch) for n in served[0] for batch in range(steps[n])]
        return [place for place in found if place.member in present]

    def _take_part(self, n: int, tally: Round) -> None:
        """One client's round."""
        try:
            self._train(n, tally)
        finally:
            self._line.leave(n)

    def _train(self, n: int, tally: Round) -> None:
        client, line, end = self.scheme.clients[n], self._line, Place(n)
        steps = self.scheme.steps(client)
        self.greet(n, steps)
        with line.down(n).taking(end):
            self.hand_part(n)
        for batch in range(steps):
            self._step(Place(n, batch), steps, tally)
        planned_s = self.planned.pieces[n][BACKWARD].seconds_for(client.batches.size)
        self.receive(n, "done", BACKWARD, planned_s)
        line.working.leave(n)
        line.working.wait_for_all()  # parts of the model go up when all devices are done
        with line.up(n).taking(end):
            self.send(n, TURN, MODEL_UP, {}, {})
            model = self.part_of(n, steps)
        self.take_over(n, model)

    def _step(self, place: Place, steps: int, tally: Round) -> None:
        """One mini-batch of one client."""
        n, batch, line = place.member, place.batch or 0, self._line
        with self._sending(place, steps):
            one = self.take(n, batch)
        learned = None
        with line.server.taking(place):
            if one is None:
                pass_over(self, n, self.scheme.server)
            else:
                learned = learn(self, n, batch, one, self.scheme.server)
                tally.note(self.scheme.clients[n].name, learned.loss, learned.samples)
                note_batch(self, n, one, learned, tally.traffic)
                if learned.pending is not None:  # nobody is served before this step is made
                    self._give(place, learned)
                    step_with(self, n, learned)
                    return
        self._give(place, learned)

    def _give(self, place: Place, learned: Learned | None) -> None:
        """Send a device what is due for a mini-batch, when it is its turn on the link."""
        n, batch = place.member, place.batch or 0
        with self._line.down(n).taking(place):
            if learned is None:
                self.give(n, None, self.scheme.clients[n].stream.state, batch)
            else:
                give(self, n, batch, learned)

    @contextmanager
    def _sending(self, place: Place, steps: int) -> Iterator[None]:
        """Have a device send a mini-batch when it is its turn, and keep its link until the end."""
        n, line = place.member, self._line
        if place.batch == 0 and not self.is_by_batch:
            line.server.wait(place)  # a turn begins with the upload of its first mini-batch
        with line.up(n).taking(place):
            if (place.batch or 0) < self._turns(steps):
                self.send(n, TURN, UPLOAD, {}, {})
            yield

    @contextmanager
    def computing(self, n: int, batch: int, arrival_s: float, samples: int) -> Iterator[None]:
        """Wait for the server's planned time, since it was free for what had arrived."""
        with super().computing(n, batch, max(arrival_s, self._free_s), samples):
            yield
        self._free_s = time.monotonic()


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> TurnServer:
    """Return rank 0."""
    timing = Timing(prepared.program)
    return TurnServer(prepared.scheme, timing, crew, setting.time_scale, setting.deadline)
