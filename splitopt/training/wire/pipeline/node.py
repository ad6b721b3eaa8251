"""The compute node of a pipeline: it serves the owners' batches in the order in which they arrive.

A node has the copies of its part of all owners. For every owner there is a thread, which goes with
the owner's one batch through the node: it waits for the interface, for the node and for the way out
as the plan has them, so that order and contention are those of the simulator's event loop.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from torch import Tensor

from splitopt.errors import shown
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.client_state import prefixed
from splitopt.training.wire.pipeline.batch_worker import BatchWorker, NodeResources
from splitopt.training.wire.pipeline.channels import RESERVED, granted
from splitopt.training.wire.pipeline.held import state_of
from splitopt.training.wire.pipeline.messages import (
    ASK,
    CONNECT_S,
    FIRST,
    GO,
    LAST,
    addresses_of,
    payloads,
    senders_of_node,
    whole_number,
)
from splitopt.training.wire.pipeline.stations import Station
from splitopt.training.wire.pipeline.streams import STREAM
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS, PipelineTiming
from splitopt.training.wire.private import FACTORS, NORMS
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.inbox import listen_to
from splitopt.training.wire.transport.listener import Listener
from splitopt.training.wire.transport.threads import start_thread
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

_LOG = logging.getLogger(__name__)
_LEFT, _RIGHT = "left", "right"
_LONGEST_TEXT = 500


class Node:
    """One node of the chain in a process of its own.

    Parameters
    ----------
    clients
        All owners; of their streams only.
    held
        For each owner its copy of this node's part.
    control
        The connection to the coordinator.
    listener
        Where the owners and the node before connect.
    timing
        Of the plan.
    index
        Of the node in the chain.
    token
        Which the next node asks for.
    tls
        One's own certificate; None for connections without TLS.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        held: Sequence[Copy],
        control: Channel,
        listener: Listener,
        timing: PipelineTiming,
        index: int,
        token: Token,
        tls: Tls | None = None,
    ) -> None:
        self.clients, self.held = list(clients), list(held)
        self.control, self.listener = control, listener
        self.timing, self.index = timing, index
        self.token, self.tls = token, tls
        self.recorder = Recorder()
        self.stations: defaultdict[str, Station] = defaultdict(Station)
        self._neighbours: dict[str, Channel] = {}
        self._ends: dict[tuple[int, str], Channel] = {}
        self._lock = threading.Condition()
        self._sent = payloads(())
        own = NodeResources(index, self.stations, self.recorder, control, self.channel, self.refuse)
        self.workers = [
            BatchWorker(own, owner, client, part, way)
            for owner, (client, part, way) in enumerate(
                zip(self.clients, self.held, timing.ways, strict=True)
            )
        ]

    def run(self) -> None:
        """Serve in the rounds that the coordinator begins, until it ends the run.

        Raises
        ------
        ChannelError
            The coordinator has ended the connection.
        """
        start_thread(self._reception, name="reception")
        self.control.send("listening", {"host": self.listener.host, "port": self.listener.port})
        try:
            while (message := self.control.receive()).kind != "end":
                self._obey(message)
        finally:
            for worker in self.workers:
                worker.stop()
            for channel in (*self._neighbours.values(), *self._ends.values()):
                channel.close()
            self.listener.close()

    def _obey(self, message: Message) -> None:
        """Execute a command of the coordinator."""
        if message.kind == "peers":
            self._connect(message)
        elif message.kind == "begin":
            self._begin(message)
        elif message.kind == "drop":
            owner = whole_number(message.fields, "owner", 0, len(self.clients))
            self._forget(owner)
        elif message.kind == RESERVED:
            owner = whole_number(message.fields, "owner", 0, len(self.clients))
            self.workers[owner].grant(granted(message.kind, message.fields, self.control))
        else:
            expect_kind(message, "finish")
            self._finish(message)

    def _connect(self, message: Message) -> None:
        """Connect to the next node, once the one before may do so too."""
        nodes = addresses_of(message.fields)
        after = self.index + 1
        if after < len(self.timing.nodes):
            name = self.timing.nodes[after]
            channel = connect(*nodes[after], self.token, CONNECT_S, tls=self.tls, party=name)
            channel.send("hello", {"node": self.index})
            expect_kind(channel.receive(CONNECT_S), "welcome")
            self._add_neighbour(_RIGHT, channel)
        if self.index > 0:
            with self._lock:
                if not self._lock.wait_for(lambda: _LEFT in self._neighbours, CONNECT_S):
                    raise ChannelClosedError(
                        f"{self.timing.nodes[self.index - 1]} has not connected to "
                        f"{self.timing.nodes[self.index]}"
                    )
        self.control.send("connected")

    def _begin(self, message: Message) -> None:
        """Load the state of a round's owners."""
        number = whole_number(message.fields, "round")
        for owner in _owners_in(message, len(self.clients)):
            self.held[owner].begin_round(number)
            self.workers[owner].begin(number, under(dict(message.tensors), f"{owner}."))
        self.recorder.take()
        self._sent = payloads(self._channels())
        self.control.send("set")

    def _finish(self, message: Message) -> None:
        """Send the state of those owners who came to the end of the round."""
        tensors: dict[str, Tensor] = {}
        for owner in _owners_in(message, len(self.clients)):
            left_out = self.clients[owner].crossing.state_dict(senders_of_node(self.index))
            state = {**state_of(self.held[owner]), **prefixed("crossing.", left_out)}
            tensors |= prefixed(f"{owner}.", state)
        rows = [list(row) for row in self.recorder.take()]
        sent = payloads(self._channels()) - self._sent
        self.control.send("state", {"rows": rows, "sent": sent}, tensors)

    def _reception(self) -> None:
        """Admit owners and the node before, as often as they connect."""
        while True:
            try:
                channel = self.listener.accept()
            except ChannelClosedError:
                return
            try:
                self._admit(channel, expect_kind(channel.receive(CONNECT_S), "hello"))
            except ChannelError as error:
                self.listener.refusals.add(channel.peer, str(error))
                channel.close()

    def _admit(self, channel: Channel, hello: Message) -> None:
        if "node" in hello.fields:
            if self.index == 0 or hello.fields["node"] != self.index - 1:
                raise FrameError("a node that is not the one before")
            _check_certificate(channel, self.timing.nodes[self.index - 1])
            channel.send("welcome")
            self._add_neighbour(_LEFT, channel)
            return
        owner = whole_number(hello.fields, "owner", 0, len(self.clients))
        end = hello.fields.get("end")
        ends = {FIRST: 0, LAST: len(self.timing.nodes) - 1}
        if end not in ends or ends[end] != self.index:
            raise FrameError("an owner that is at no end of the chain")
        _check_certificate(channel, self.timing.owners[owner])
        channel.send("welcome")
        with self._lock:
            old = self._ends.pop((owner, end), None)
            self._ends[owner, end] = channel
        if old is not None:
            old.close()
        self._listen(channel, owner)

    def _add_neighbour(self, side: str, channel: Channel) -> None:
        with self._lock:
            self._neighbours[side] = channel
            self._lock.notify_all()
        self._listen(channel, None)

    def _listen(self, channel: Channel, owner: int | None) -> None:
        """Pass what comes over a connection to the thread of the owner whom it is for."""

        def worker_for(message: Message) -> BatchWorker:
            found = whole_number(message.fields, "owner", 0, len(self.clients))
            if owner not in (None, found):
                raise FrameError("a message for another owner")
            return self.workers[found]

        def heard(message: Message) -> None:
            expect_kind(message, ACTIVATIONS, GRADIENTS, STREAM, ASK, GO, NORMS, FACTORS)
            worker_for(message).put(message, True)

        def begun(message: Message) -> None:
            if message.kind in (ACTIVATIONS, GRADIENTS):
                worker_for(message).put(message, False)

        def ended(error: ChannelError) -> None:
            if owner is None:
                _LOG.info("%s: %s", self.timing.nodes[self.index], error)
            else:
                self.workers[owner].drop()

        listen_to(channel, heard, ended, begun)

    def _forget(self, owner: int) -> None:
        with self._lock:
            gone = [self._ends.pop((owner, end), None) for end in (FIRST, LAST)]
        for channel in gone:
            if channel is not None:
                channel.close()
        self.workers[owner].drop()

    def _channels(self) -> list[Channel]:
        with self._lock:
            return [*self._neighbours.values(), *self._ends.values()]

    def channel(self, owner: int, is_outward: bool) -> Channel:
        """Return the connection to the next party on an owner's way forward, or to the one before.

        Raises
        ------
        ChannelClosedError
            It is gone.
        """
        at_end = self.index == (len(self.timing.nodes) - 1 if is_outward else 0)
        with self._lock:
            if at_end:
                found = self._ends.get((owner, LAST if is_outward else FIRST))
            else:
                found = self._neighbours.get(_RIGHT if is_outward else _LEFT)
        if found is None:
            raise ChannelClosedError(f"there is no way on for {self.clients[owner].name}")
        return found

    def refuse(self, owner: int, number: int, why: str, ends: bool) -> None:
        """Report that an owner cannot be served in a round, why, and if it ends, to rank 0."""
        text = why[:_LONGEST_TEXT]
        fields = {"owner": owner, "round": number, "message": text, "ends": ends}
        with suppress(ChannelError):  # nobody is left to be told
            self.control.send("refused", fields)


def _check_certificate(channel: Channel, party: str) -> None:
    """Check that a peer's certificate, if there is TLS, is for the party that it says it is."""
    if channel.name not in (None, party):
        raise FrameError(
            f"that it is {shown(party)}, and its certificate is for {shown(channel.name)}"
        )


def _owners_in(message: Message, owners: int) -> list[int]:
    """Read for which owners a message is."""
    found = message.fields.get("owners")
    if not isinstance(found, list) or not all(
        type(owner) is int and 0 <= owner < owners for owner in found
    ):
        raise FrameError("a message for owners that are none")
    return found
