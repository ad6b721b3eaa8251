"""Rank 0 of a pipeline: it begins the rounds, averages what comes back, and keeps the state.

In a round the owners' copies travel to the owners and nodes (which no plan pays for), are trained
there, and come back, so that averages, the options' policies and the state between rounds are the
scheme's own. What the plan pays for is the exchange at the end of a round: what an owner sends when
it is done takes as long as its parts of the model are planned to, and the average goes to one owner
after the other at that pace.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.training.model_parts.copies import Copy, tensor_bytes
from splitopt.training.schemes.base import TrainingError, under
from splitopt.training.schemes.multihop import Multihop
from splitopt.training.schemes.tally import Round
from splitopt.training.wire.addresses import place_of
from splitopt.training.wire.client_state import prefixed
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.deadlines import Deadline
from splitopt.training.wire.leader import TESTS_S, Leader, Question, RoundOutcome
from splitopt.training.wire.own_parts import names_in, parts_of
from splitopt.training.wire.pipeline.answers import wrong_state
from splitopt.training.wire.pipeline.channels import RESERVE, RESERVED, Channels
from splitopt.training.wire.pipeline.errors import NodeGoneError
from splitopt.training.wire.pipeline.exchange import Link, give_back
from splitopt.training.wire.pipeline.held import load_held, state_of
from splitopt.training.wire.pipeline.messages import (
    senders_of_node,
    senders_of_owner,
    sent_bytes,
    whole_number,
)
from splitopt.training.wire.pipeline.timing import (
    ACTIVATIONS,
    PipelineTiming,
    pipeline_timing,
)
from splitopt.training.wire.private import count_lost, largest_batch, planned_field
from splitopt.training.wire.recorder import Row, read_rows
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import (
    ChannelError,
    ChannelTimeoutError,
    FrameError,
)
from splitopt.training.wire.transport.frames import Message
from splitopt.training.wire.transport.inbox import Inbox

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.wire.setting import Setting

PREPARE_S = 60.0
"""For so long a party may take to connect, which no plan pays for."""
SLOWEST = 10e6
"""Byte/s at which a state, which no plan pays for either, is given out and taken back at least."""

_SOON_S = 0.05  # a round begins so long after everybody has been told


class Pipeline(Leader):
    """Rank 0 of a pipeline.

    Parameters
    ----------
    scheme, deadline
        As for `Leader`.
    timing
        What the plan's tasks and transfers take.
    crew
        The owners as ranks 1, 2, ... in the order of the clients, then the nodes in that of the
        chain.
    """

    scheme: Multihop
    client_word = "owner"

    def __init__(
        self,
        scheme: Multihop,
        timing: PipelineTiming,
        crew: Crew,
        deadline: Deadline | None = None,
    ) -> None:
        super().__init__(scheme, crew, PipelinePartition.name, timing.time_scale, deadline)
        self.timing = timing
        self.owners, self.nodes = len(timing.owners), len(timing.nodes)
        self._inbox: Inbox[tuple[int, Channel]] = Inbox()
        self._known: dict[int, Channel] = {}
        self._addresses: dict[int, list[Any]] = {}
        self._channels = Channels(timing, lambda n: largest_batch(scheme.clients[n]))
        self._set_up: dict[tuple[int, int], Channel] = {}

    def copy(self, n: int) -> Copy:
        """Return the owner's copy of the whole model."""
        return self.scheme.copies()[n]

    def train_round(self) -> RoundOutcome:
        """Train with the owners that are there.

        Raises
        ------
        NodeGoneError
            A node is not there, or no longer.
        """
        tally, rows = Round(), list[Row]()
        for rank in self._node_ranks:
            self._channel(rank)
        present = self._introduce(self.present())
        back = {n: self.keep(n) for n in present}
        self.scheme.begin(self.clients(present), tally)
        ready = self._begin(present)
        messages = self._play(ready)
        done = sorted(messages)
        for n in set(present) - set(done):
            back[n]()
        if not done:
            self.fail()
        self._finish(done, messages, tally, rows)
        self.scheme.end(self.clients(done), tally)
        rows += self._exchange(done, messages)
        return RoundOutcome(tally, done, rows, self.timing.predicted)

    @property
    def _node_ranks(self) -> range:
        """The ranks of the nodes, in the order of the chain."""
        return range(self.owners + 1, self.owners + self.nodes + 1)

    def _introduce(self, present: Sequence[int]) -> list[int]:
        """Send those who are new where the nodes are, and wait until they have connected."""
        nodes: Sequence[int] = self._node_ranks
        for ranks in (nodes, [n + 1 for n in present]):  # owners connect to nodes that are at work
            new = [rank for rank in ranks if self._is_new(rank)]
            for rank in new:
                self._send(rank, "pace", {"time_scale": self.timing.time_scale})
            if ranks is nodes:
                listening = self._gather(new, "listening", "beginning", PREPARE_S)
                for rank, message in listening.items():
                    self._addresses[rank] = self._address(rank, message)
            fields = {"nodes": [self._addresses[rank] for rank in nodes]}
            for rank in new:
                self._send(rank, "peers", fields)
            self._gather(new, "connected", "connecting", PREPARE_S)
        return [n for n in present if self.crew.channel(n + 1) is not None]

    def _is_new(self, rank: int) -> bool:
        """Report whether a rank has joined since the last look; listen to it from now on."""
        channel = self.crew.channel(rank)
        if channel is None or self._known.get(rank) is channel:
            return False
        self._known[rank] = channel
        self._inbox.watch((rank, channel), channel)
        return True

    def _address(self, rank: int, message: Message) -> list[Any]:
        """Return where the others find a node."""
        try:
            return [*place_of(message.fields, self._known[rank].peer)]
        except ChannelError as error:
            self._drop(rank, "beginning", str(error))
            return []

    def _begin(self, present: Sequence[int]) -> list[int]:
        """Send everybody the state to begin from; return who has it."""
        for n in present:
            client = self.scheme.clients[n]
            tensors = {
                **prefixed("held.", self._state(n + 1, n, (0, -1))),
                **prefixed("batches.", client.batches.state_dict()),
                **prefixed("stream.", client.stream.state_dict()),
                **prefixed("crossing.", client.crossing.state_dict(senders_of_owner(self.nodes))),
            }
            fields = {"round": self.number, "steps": self.scheme.steps(client)}
            self._send(n + 1, "begin", {**fields, **planned_field(client)}, tensors)
        for j, rank in enumerate(self._node_ranks):
            tensors = {}
            for n in present:
                state = prefixed("held.", self._state(rank, n, (j + 1,)))
                client = self.scheme.clients[n]
                state |= prefixed("stream.", client.stream.state_dict())
                left_out = client.crossing.state_dict(senders_of_node(j))
                state |= prefixed("crossing.", left_out)
                tensors |= prefixed(f"{n}.", state)
            self._send(rank, "begin", {"round": self.number, "owners": list(present)}, tensors)
        ranks = [*(n + 1 for n in present), *self._node_ranks]
        ready = self._gather(ranks, "set", "beginning", self._state_s(present))
        return [n for n in present if n + 1 in ready]

    def _play(self, present: Sequence[int]) -> dict[int, Message]:
        """Start the owners at the same moment, and return what those send who finish."""
        start_s = time.monotonic() + _SOON_S
        self._channels.clear()
        for n in present:
            self._send(n + 1, "go", {"start_s": start_s})
        planned_s = self.timing.round_s * self.timing.time_scale
        wait_s = _SOON_S + self.deadline.wait_s(planned_s) + self._state_s(present)
        found = self._gather([n + 1 for n in present], "state", "training", wait_s)
        return {rank - 1: message for rank, message in found.items()}

    def _finish(
        self, done: list[int], messages: dict[int, Message], tally: Round, rows: list[Row]
    ) -> None:
        """Collect the state of those who came to the end, from the nodes as well."""
        nodes = self._node_ranks
        for rank in nodes:
            self._send(rank, "finish", {"owners": done})
        states = self._gather(nodes, "state", "ending", self._state_s(done))
        losses: dict[str, Any] = {}
        for n in done:
            client, tensors = self.scheme.clients[n], dict(messages[n].tensors)
            losses[client.name] = tensors["losses"]
            load_held(self._part(n, (0, -1)), under(tensors, "held."))
            client.batches.load_state_dict(under(tensors, "batches."))
            client.stream.load_state_dict(under(tensors, "stream."))
            left_out = under(tensors, "crossing.")
            client.crossing.load_state_dict(left_out, senders_of_owner(self.nodes))
            for j, rank in enumerate(nodes):
                state = under(dict(states[rank].tensors), f"{n}.")
                left_out = under(state, "crossing.")
                client.crossing.load_state_dict(left_out, senders_of_node(j))
                state = {k: v for k, v in state.items() if not k.startswith("crossing.")}
                load_held(self._part(n, (j + 1,)), state)
        for rank, message in [*((n + 1, messages[n]) for n in done), *states.items()]:
            rows += read_rows(message.fields.get("rows"), self._known[rank].offset.seconds)
            for kind, size in sent_bytes(message).items():
                self.sent_bytes[kind] += size
                if kind == ACTIVATIONS:
                    tally.traffic.smashed += size
                else:
                    tally.traffic.gradient += size
        for client in self.scheme.order(self.number):  # sums as they are in one process
            for loss, samples in losses.get(client.name, torch.empty(0, 2)).tolist():
                value = torch.tensor(loss, dtype=torch.float64)
                self.scheme.note_loss(value, int(samples), client, tally)

    def _exchange(self, done: Sequence[int], messages: Mapping[int, Message]) -> Sequence[Row]:
        """Send the owners their parts of the average, and return how long both ways took."""
        state = self.scheme.model.state_dict()
        return give_back(
            self.timing,
            {n: self.scheme.steps(self.scheme.clients[n]) - 1 for n in done},
            {n: messages[n].transfer for n in done},
            lambda n: {
                name: state[name]
                for part in (self._part(n, (0, -1)),)
                for name in names_in(part)
                if name not in part.fixed
            },
            lambda n, average, link: self._send(n + 1, "average", {}, average, link),
        )

    def asked(self, rank: int, what: Question) -> Message:
        """Send an owner something between two rounds, and wait for its answer."""
        self._send(rank, what.kind, what.fields, what.tensors)
        found = self._gather([rank], what.answer, "testing", TESTS_S + self.deadline.wait_s(0.0))
        if rank not in found:
            raise self.without_tests(rank, self.dropped[-1].reason if self.dropped else "it left")
        return found[rank]

    def _state_s(self, indices: Sequence[int]) -> float:
        """Return for how long to wait for the state of these owners' copies on its way."""
        copies = [self.copy(n) for n in indices]
        size = sum(tensor_bytes(value) for own in copies for value in own.state().values())
        return self.deadline.wait_s(0.0) + size / SLOWEST

    def _gather(
        self, ranks: Sequence[int], kind: str, phase: str, wait_s: float
    ) -> dict[int, Message]:
        """Wait for one message of each of these ranks.

        An owner that is gone, late or sends what cannot be used is dropped; a node ends the run.
        """
        deadline_s = time.monotonic() + wait_s
        found = dict[int, Message]()  # whoever is not there went while it was sent to
        waiting = {rank for rank in ranks if self.crew.channel(rank) is not None}
        while waiting:
            try:
                arrival = self._inbox.next(deadline_s)
            except ChannelTimeoutError:
                for rank in sorted(waiting):
                    self._drop(rank, phase, f"nothing came within {wait_s:.3g} s")
                break
            (rank, channel), message = arrival.sender, arrival.message
            if self.crew.channel(rank) is not channel:
                continue  # of a connection that was dropped
            if message is None and rank not in waiting and rank <= self.owners:
                self.crew.drop(rank)  # it has done its round; the next one is without it
            elif message is None:
                self._drop(rank, phase, str(arrival.error))
            elif message.kind == RESERVE:
                if not self._reserve(rank, phase, message):
                    waiting.discard(rank)
                continue
            elif message.kind == "refused" and rank > self.owners:
                if message.fields.get("round") == self.number:  # or it is of a batch given up
                    waiting.discard(self._refused(rank, phase, message))
                continue
            elif message.kind == "failed" and rank <= self.owners:
                raise TrainingError(str(message.fields.get("message"))[:500])
            elif rank not in waiting or message.kind != kind:
                self._drop(rank, phase, f"it sent {message.kind[:80]!r} where {kind!r} was due")
            elif kind == "state" and (why := self._wrong(rank, message)):
                self._drop(rank, phase, f"it sent {why}")
            else:
                found[rank] = message
            waiting.discard(rank)
        return {rank: found[rank] for rank in ranks if rank in found}

    def _reserve(self, rank: int, phase: str, message: Message) -> bool:
        """Schedule a party's message over a channel of all owners; drop it if it asks for none."""
        offset = self._known[rank].offset
        try:
            owner, start_s = self._channels.reserve(message.fields, time.monotonic(), offset)
        except FrameError as error:
            self._drop(rank, phase, f"it sent {error}")
            return False
        self._send(rank, RESERVED, {"owner": owner, "start_s": start_s})
        return True

    def _refused(self, rank: int, phase: str, message: Message) -> int:
        """Drop an owner that a node cannot serve, and return its rank."""
        name, fields = self.timing.nodes[rank - self.owners - 1], message.fields
        owner = whole_number(fields, "owner", 0, self.owners)
        if fields.get("ends") is True:
            raise TrainingError(str(fields.get("message"))[:500])
        if self.crew.channel(owner + 1) is not None:
            self._drop(owner + 1, phase, f"{name} says {str(fields.get('message'))[:500]}")
        return owner + 1

    def _drop(self, rank: int, phase: str, reason: str) -> None:
        """Go on without an owner; without a node nothing goes on."""
        if rank > self.owners:
            self.crew.drop(rank)
            name = self.timing.nodes[rank - self.owners - 1]
            raise NodeGoneError.at(name, phase, reason)
        client = self.scheme.clients[rank - 1]
        count_lost(client, self.scheme.steps(client))
        self.drop(rank - 1, phase, reason)
        for node in self._node_ranks:
            if node in self._known:
                self._send(node, "drop", {"owner": rank - 1})

    def _send(
        self,
        rank: int,
        kind: str,
        fields: Mapping[str, Any],
        tensors: Mapping[str, Tensor] | None = None,
        bucket: Link = None,
    ) -> None:
        channel = self.crew.channel(rank)
        if channel is None:
            return  # it was dropped a moment ago
        try:
            stall_s = self.deadline.wait_s(0.0)
            channel.send(kind, fields, tensors or {}, bucket=bucket, stall_s=stall_s)
        except ChannelError as error:
            self._drop(rank, kind, str(error))

    def _channel(self, rank: int) -> Channel:
        channel = self.crew.channel(rank)
        if channel is None:
            self._drop(rank, "beginning", "it is not there")
        assert channel is not None  # a node that is not there ends the run
        return channel

    def _state(self, rank: int, n: int, places: tuple[int, ...]) -> dict[str, Tensor]:
        """Return what a rank needs of an owner's copy: the first time all, then what can change."""
        channel, known = self._known[rank], self._set_up.get((rank, n))
        self._set_up[rank, n] = channel
        return state_of(self._part(n, places), whole=known is not channel)

    def _part(self, n: int, places: tuple[int, ...]) -> Copy:
        return parts_of(self.copy(n), places)

    def _wrong(self, rank: int, message: Message) -> str | None:
        """Report what is wrong with a state that a party has sent, None if it can be used."""
        n = rank - 1
        owner = (self.scheme.clients[n], self._part(n, (0, -1))) if n < self.owners else None
        return wrong_state(message, owner)


def lead(prepared: Prepared, crew: Crew, setting: Setting) -> Pipeline:
    """Return rank 0 of a pipeline."""
    assert isinstance(prepared.scheme, Multihop)  # the scheme of these plans
    timing = pipeline_timing(prepared.program.opened, setting.time_scale)
    return Pipeline(prepared.scheme, timing, crew, setting.deadline)
