"""A server other than rank 0: it serves its own devices for a round, and says what became of them.

Between rounds it has nothing that rank 0 has not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from splitopt.documents.checks import is_number
from splitopt.errors import SplitoptError
from splitopt.training.two_servers import SERVER as MAIN
from splitopt.training.wire.addresses import CONNECT_S
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.dropping import Dropped
from splitopt.training.wire.private import PLANNED
from splitopt.training.wire.star.device import GoneError
from splitopt.training.wire.star.fed.half import SERVER_PART, keep_half
from splitopt.training.wire.star.fed.hearing import members_of, whole_of
from splitopt.training.wire.star.fed.main import WithoutClientPart
from splitopt.training.wire.star.several.links import ALIVE_S, served_fields
from splitopt.training.wire.star.several.states import load_before, state_after
from splitopt.training.wire.star.splitfed import Served, SplitFedServer
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.inbox import listen_to
from splitopt.training.wire.transport.threads import start_thread

Make = Callable[[float, Deadline], "OtherServer"]


class OtherServer(SplitFedServer):
    """Serves the devices of one server; arguments are those of `SplitFedServer`.

    Attributes
    ----------
    control
        The connection to rank 0.
    """

    control: Channel

    def begin_at(self, control: Channel, members: Sequence[int]) -> None:
        """Keep the copies of these clients alone, for rank 0 at the other end of a connection."""
        self.control = control
        self.told: dict[int, Mapping[str, Any]] = {}
        self.scheme.keep_copies_of(self.clients(members))

    def train(self, number: int, members: Sequence[int]) -> None:
        """Serve these clients in a round, and report of each to rank 0 what became of it."""
        self.number, self.planned = number, self.timing.round(number)
        sent, received = dict(self.sent_bytes), dict(self.received_bytes.get(MAIN, {}))
        for n in members:
            self.copy(n).begin_round(number)
        self.each(members, self.serve)
        fields = {
            "rows": [list(row) for row in self.recorder.take()],
            "sent": _since(self.sent_bytes, sent),
            "received": _since(self.received_bytes.get(MAIN, {}), received),
        }
        self.control.send("over", fields)

    def serve(self, n: int) -> Served:
        """One client's round, from when it has come here."""
        self.crew.wait_for(n + 1, CONNECT_S)
        found = super().serve(n)
        client, own = self.scheme.clients[n], self.copy(n)
        fields = served_fields(n, found.losses, found.traffic)
        self.control.send("served", fields, state_after(client, own))
        return found

    def drop(self, n: int, phase: str, reason: str) -> Dropped:
        """Go on without a client, and report it to rank 0."""
        self.control.send("lost", {"device": n, "phase": phase, "reason": reason})
        return super().drop(n, phase, reason)

    def beginning(self, n: int, steps: int) -> dict[str, Any]:
        """Return what a device is told of a round, with what rank 0 knows of its noise."""
        return {**super().beginning(n, steps), **self.told.get(n, {})}


class OtherMainServer(WithoutClientPart, OtherServer):
    """The same beside a fed server: it has server parts alone."""

    def begin_at(self, control: Channel, members: Sequence[int]) -> None:
        """Keep the server parts of these clients, and what their parts make of one sample."""
        super().begin_at(control, members)
        for n in members:
            self.examples.smashed(n)
        keep_half(self.scheme, SERVER_PART, [self.copy(n) for n in members])


class Station:
    """The process (or thread) of a server: it obeys rank 0 until the end of the run.

    Parameters
    ----------
    name
        Of the server.
    members
        Indices of its clients.
    control
        The connection to rank 0.
    crew
        Where its devices connect.
    make
        Makes the server, of a time scale and a deadline.
    """

    def __init__(
        self, name: str, members: Sequence[int], control: Channel, crew: Crew, make: Make
    ) -> None:
        self.name, self.members, self.control, self.crew = name, tuple(members), control, crew
        self._make = make
        self._server: OtherServer | None = None
        self._common: dict[str, Tensor] = {}
        self._heard: list[Message] = []
        self._broken: ChannelError | None = None
        self._changed = threading.Condition()

    def run(self) -> None:
        """Serve in the rounds that rank 0 begins, until it ends the run.

        Raises
        ------
        GoneError
            Rank 0 has ended the connection.
        SplitoptError
            Training cannot go on; rank 0 has been told.
        """
        listener = self.crew.listener
        self.control.send("listening", {"host": listener.host, "port": listener.port})
        listen_to(self.control, self._hear, self._lose)
        obey = {
            "pace": self._begin,
            "common": self._take_common,
            "state": self._take_state,
            "prepare": self._answer,
            "begin": self._train,
            "drop": self._let_go,
        }
        try:
            while (message := self._next()).kind != "end":
                obey[expect_kind(message, *obey).kind](message)
        except ChannelClosedError as error:
            raise self._gone(error) from None
        except SplitoptError as error:
            self.control.send("failed", {"message": f"{self.name}: {error}"})
            raise
        self.crew.end(message.fields)

    def _gone(self, error: ChannelError) -> GoneError:
        return GoneError(
            f"{self.name}: rank 0 has ended the connection before the end of the run ({error}); "
            "its messages say why"
        )

    def _begin(self, message: Message) -> None:
        """Learn how the run is run."""
        scale, deadline = message.fields.get("time_scale"), message.fields.get("deadline")
        if not isinstance(scale, float) or not scale > 0 or not isinstance(deadline, dict):
            raise FrameError("a pace that is none")
        given = {name: deadline.get(name) for name in ("factor", "seconds")}
        if not all(value is None or is_number(value) for value in given.values()):
            raise FrameError("a deadline that is none")
        self._server = self._make(scale, Deadline(**given))
        self._server.begin_at(self.control, self.members)
        match message.fields.get("fed"):
            case [str() as host, int() as port] if isinstance(self._server, WithoutClientPart):
                self._server.fed_place = host, port

    def _take_common(self, message: Message) -> None:
        """Receive the common model of the round; what does not change comes once."""
        self._common |= message.tensors

    def _take_state(self, message: Message) -> None:
        """Receive the state of a device before the round."""
        server = self._made()
        n = whole_of(message.fields, "device", 0, len(server.scheme.clients))
        if n not in self.members:
            raise FrameError("the state of a device of another server")
        load_before(message.tensors, self._common, server.scheme.clients[n], server.copy(n))
        planned = message.fields.get(PLANNED)
        server.told[n] = {} if planned is None else {PLANNED: planned}

    def _let_go(self, message: Message) -> None:
        """End the connection to a device that rank 0 goes on without."""
        self.crew.drop(whole_of(message.fields, "device", 0) + 1)

    def _answer(self, message: Message) -> None:  # noqa: ARG002
        """Report that all that was sent for the round is there."""
        self.control.send("ready")

    def _train(self, message: Message) -> None:
        """Serve the devices of a round."""
        server = self._made()
        members = members_of(message, len(server.scheme.clients))
        if not set(members) <= set(self.members):
            raise FrameError("a round of devices of another server")
        with self._said():
            server.train(whole_of(message.fields, "round"), members)

    def _made(self) -> OtherServer:
        if self._server is None:
            raise FrameError("a round before its pace")
        return self._server

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Report to rank 0 now and then that this server is there."""
        over = threading.Event()

        def say() -> None:
            while not over.wait(ALIVE_S):
                try:
                    self.control.send("alive")
                except ChannelError:  # whoever serves finds that out
                    return

        start_thread(say, name="alive")
        try:
            yield
        finally:
            over.set()

    def _hear(self, message: Message) -> None:
        """Note what rank 0 says; the end of the run ends whatever its devices are at."""
        with self._changed:
            self._heard.append(message)
            self._changed.notify_all()
        if message.kind == "end":
            self.crew.end(message.fields)

    def _lose(self, error: ChannelError) -> None:
        """Note that rank 0 is gone."""
        with self._changed:
            self._broken = error
            self._changed.notify_all()
        self.crew.end({"error": f"{self.name} has lost rank 0 ({error})"})

    def _next(self) -> Message:
        """Wait for the next word of rank 0."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard or self._broken is not None)
            if self._heard:
                return self._heard.pop(0)
            assert self._broken is not None
            raise ChannelClosedError(str(self._broken))


def _since(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much counts have grown."""
    return {kind: size - before.get(kind, 0) for kind, size in now.items()}
