"""The data owner of a pipeline: it holds the first and the last part, the data and the labels.

One batch is on its way at a time: forward through the first part, out to the nodes, the loss at the
last part, and the gradient back the same way.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.errors import TrainingError
from splitopt.training.codecs.crossing import DOWN, UP, Encoded
from splitopt.training.data.named import Inputs
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Client, Criterion, under
from splitopt.training.wire.client_state import prefixed
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.pipeline.channels import (
    CHANNEL,
    RESERVE,
    answer,
    channel_end,
    request,
)
from splitopt.training.wire.pipeline.exchange import Link, link_for
from splitopt.training.wire.pipeline.held import load_held, load_values, state_of
from splitopt.training.wire.pipeline.messages import (
    CONNECT_S,
    ENCODED,
    FIRST,
    LAST,
    addresses_of,
    arrived_values,
    begin_moment,
    packed,
    payloads,
    senders_of_owner,
    whole_number,
)
from splitopt.training.wire.pipeline.private import OwnerSteps
from splitopt.training.wire.pipeline.streams import STREAM, StreamLink, take_stream
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS, Leg, PipelineTiming
from splitopt.training.wire.private import FACTORS, NORMS, Told, covers_all, plan_noise
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.links import link_from, link_of
from splitopt.training.wire.transport.pacing import pad_until
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

_LAST_WORD_S = 5.0


class Owner:
    """One data owner in a process of its own.

    Parameters
    ----------
    client
        With its data.
    held
        Its first and last part.
    criterion
        The mean loss of a batch.
    control
        The connection to the coordinator.
    timing
        Of the plan.
    index
        Of the owner in the plan.
    token
        Which nodes ask for.
    tls
        One's own certificate; None for connections without TLS.
    """

    def __init__(
        self,
        client: Client,
        held: Copy,
        criterion: Criterion,
        control: Channel,
        timing: PipelineTiming,
        index: int,
        token: Token,
        tls: Tls | None = None,
    ) -> None:
        self.client, self.held, self.criterion = client, held, criterion
        self.control, self.timing, self.index = control, timing, index
        self.token, self.tls = token, tls
        self.way = timing.ways[index]
        self.recorder = Recorder()
        self._ends: dict[str, Channel] = {}
        self._round = 0
        self._private = None if client.guard is None else OwnerSteps(client, held)
        self._under_way = 0  # words to the nodes on their way round the chain

    def run(self) -> None:
        """Train in the rounds that the coordinator begins, until it ends the run.

        Raises
        ------
        ChannelError
            The coordinator, or a node, has ended the connection.
        TrainingError
            A value cannot be sent; the coordinator has been told.
        """
        try:
            while (message := self.control.receive()).kind != "end":
                if message.kind == "peers":
                    self._connect(message)
                elif message.kind == "average":
                    load_values(self.held, dict(message.tensors))
                else:
                    self.round(expect_kind(message, "begin"))
        except TrainingError as error:
            self.control.send("failed", {"message": str(error)})
            raise
        except ChannelClosedError:
            if not self._is_over():
                raise
        finally:
            for channel in self._ends.values():
                channel.close()

    def round(self, begin: Message) -> None:
        """Train in one round, from the message with which the coordinator begins it."""
        self._round = whole_number(begin.fields, "round")
        steps = whole_number(begin.fields, "steps", 1)
        plan_noise(self.client, begin.fields)
        self.held.begin_round(self._round)
        load_held(self.held, under(dict(begin.tensors), "held."))
        self.client.batches.load_state_dict(under(dict(begin.tensors), "batches."))
        self.client.stream.load_state_dict(under(dict(begin.tensors), "stream."))
        senders = senders_of_owner(self.way.nodes)
        left_out = under(dict(begin.tensors), "crossing.")
        self.client.crossing.load_state_dict(left_out, senders)
        self._links = {end: StreamLink(self.client.stream) for end in (FIRST, LAST)}
        before = payloads(self._ends.values())
        self.control.send("set")
        go = expect_kind(self.control.receive(), "go")
        pad_until(self.control.offset.own(begin_moment(go.fields)))
        losses: list[list[float]] = []
        for batch in range(steps):
            inputs, targets = self.client.batches.draw()
            if not len(targets):
                self._train_on_noise(batch)
                continue
            losses.append(self._train(batch, inputs, targets))
            if not torch.isfinite(torch.tensor(losses[-1][0])):
                break  # the coordinator will stop the run
        while self._under_way:
            self._hear_back(expect_kind(self._ends[LAST].receive(), FACTORS))
        rows = [list(row) for row in self.recorder.take()]
        sent = payloads(self._ends.values()) - before
        state = {
            "losses": torch.tensor(losses, dtype=torch.float64).reshape(-1, 2),
            **prefixed("held.", state_of(self.held)),
            **prefixed("batches.", self.client.batches.state_dict()),
            **prefixed("stream.", self.client.stream.state_dict()),
            **prefixed("crossing.", self.client.crossing.state_dict(senders)),
        }
        link = self._upload(state) if self.timing.exchanges else None
        self.control.send("state", {"rows": rows, "sent": sent}, state, bucket=link)

    def _upload(self, state: Mapping[str, Tensor]) -> Link:
        """Wait for the uplink if all owners share it; return the link for the parts' upload."""
        planned = self.timing.exchanges[self.index].upload
        if planned.kind == CHANNEL:
            self._ask(len(self.way.legs), 0, time.monotonic())
            pad_until(answer(self.control))
        return link_for(state, planned.seconds)

    def _connect(self, message: Message) -> None:
        """Connect to the node at each end of the chain."""
        nodes = addresses_of(message.fields)
        for channel in self._ends.values():
            channel.close()
        names = self.timing.nodes
        for end, place, name in ((FIRST, nodes[0], names[0]), (LAST, nodes[-1], names[-1])):
            channel = connect(*place, self.token, CONNECT_S, tls=self.tls, party=name)
            channel.send("hello", {"owner": self.index, "end": end})
            expect_kind(channel.receive(CONNECT_S), "welcome")
            self._ends[end] = channel
        self.control.send("connected")

    def _is_over(self) -> bool:
        """Report whether a connection ended because the coordinator has ended the run."""
        try:
            return self.control.receive(_LAST_WORD_S).kind == "end"
        except ChannelError:
            return False

    def _train(self, batch: int, inputs: Inputs, targets: Tensor) -> list[float]:
        """Send one batch through the chain and back; return its mean loss and its samples."""
        first, last = self.held.parts
        stream, way, start_s = self.client.stream, self.way, time.monotonic()
        crossing = self.client.crossing
        with COMPUTE:
            held = first.forward(inputs, stream, first=True)
            sent = crossing.encode(UP, 0, held.sent)
        self._work(0, batch, start_s)
        self._send(FIRST, 0, batch, sent)
        entered, start_s = self._receive(LAST, ACTIVATIONS, way.nodes, batch, len(targets))
        if entered is None:
            raise FrameError(f"{ACTIVATIONS} without values")
        with COMPUTE:
            ending = last.forward(entered, stream)
            loss = self.criterion(ending.result, targets)
            if self._private is None:
                loss.backward()  # type: ignore[no-untyped-call]
                gradient = ending.gradient
                last.step()
            else:
                gradient = self._private.at_last(ending, loss)
            back = None if gradient is None else crossing.encode(DOWN, way.nodes, gradient)
        self._work(way.last_part, batch, start_s)
        self._send(LAST, way.last_part, batch, back)
        number, samples = len(way.legs) - 1, len(targets)
        gradient, start_s = self._receive(FIRST, GRADIENTS, number, batch, samples)
        if gradient is None and held.result.requires_grad:
            raise FrameError(f"{GRADIENTS} without values, and layers here are trained")
        told: Told | None = None
        with COMPUTE:
            if self._private is None:
                held.backward(gradient)
                first.step()
            else:
                told = self._private.at_first(held, gradient)
        self._work(len(way.tasks) - 1, batch, start_s)
        self._tell(batch, told)
        return [float(loss.detach()), float(len(targets))]

    def _train_on_noise(self, batch: int) -> None:
        """Update the parts for a batch that has no sample, of which no node hears but of noise."""
        assert self._private is not None  # such batches are drawn with privacy alone
        with COMPUTE:
            told = self._private.on_noise()
        self._tell(batch, told)

    def _tell(self, batch: int, told: Told | None) -> None:
        """Send the nodes what they need for their own step, where their parts are covered."""
        if told is None or not covers_all(self.client):
            return
        fields = {**self._fields(batch), **told.fields()}
        self._ends[FIRST].send(FACTORS, fields, told.tensors())
        self._under_way += 1

    def _hear_back(self, message: Message) -> None:
        """Note that all nodes have made the step of a batch."""
        self._under_way -= 1
        if message.fields.get("round") != self._round or self._under_way < 0:
            raise FrameError("a word on a batch that is none of this round")

    def _fields(self, batch: int) -> dict[str, int]:
        return {"owner": self.index, "round": self._round, "batch": batch}

    def _work(self, task: int, batch: int, start_s: float) -> None:
        """Wait until a task's planned time is over, and record it."""
        what = self.way.tasks[task]
        pad_until(start_s + what.seconds)
        what.note(self.recorder, self.client.name, batch, start_s, time.monotonic())

    def _send(self, end: str, number: int, batch: int, encoded: Encoded | None) -> None:
        leg = self.way.legs[number]
        fields = self._fields(batch)
        self._links[end].send(self._ends[end], fields)
        if channel_end(leg) == 0:
            self._ask(number, 0 if encoded is None else encoded.size, time.monotonic())
            link = link_from(leg.rate_bytes_per_s, answer(self.control))
        else:
            link = link_of(leg.rate_bytes_per_s)
        more, tensors = packed(encoded)
        self._ends[end].send(leg.phase, {**fields, **more}, tensors, bucket=link)

    def _ask(self, number: int, size: int, wanted_s: float) -> None:
        """Request a channel that all owners share of rank 0, whose answer is awaited elsewhere."""
        self.control.send(RESERVE, request(self.index, number, size, wanted_s))

    def _receive(
        self, end: str, kind: str, number: int, batch: int, samples: int
    ) -> tuple[Tensor | None, float]:
        """Wait for what a node sends of a batch; return it, and since when it is there."""
        leg, asked = self.way.legs[number], list[bool]()

        def begun(message: Message) -> None:
            if message.kind == kind and channel_end(leg) == 1:
                size = message.transfer.payload_bytes
                self._ask(number, size, leg.wanted_s(message.transfer.start_s, size))
                asked.append(True)

        message = self._ends[end].receive(begun=begun)
        while message.kind in (STREAM, NORMS, FACTORS):
            if message.kind == STREAM:
                take_stream(message, self.client.stream)
            elif message.kind == FACTORS:
                self._hear_back(message)
            elif self._private is not None:
                self._private.hear_norms(message, samples)
            message = self._ends[end].receive(begun=begun)
        granted_s = answer(self.control) if asked else None
        expect_kind(message, kind)
        due = self._fields(batch)
        if {name: value for name, value in message.fields.items() if name != ENCODED} != due:
            raise FrameError(f"{kind} of another batch than {batch}")
        cut = 0 if end == FIRST else self.way.nodes
        values = arrived_values(message, self.client.crossing, cut)
        sent = message.transfer
        there_s = sent.end_s + leg.delay_s
        self._note(leg, 0, batch, sent.start_s, sent.end_s)
        if leg.receiver is not None:
            wanted_s = granted_s or leg.wanted_s(sent.start_s, sent.payload_bytes)
            there_s = max(there_s, wanted_s + leg.seconds(1, sent.payload_bytes))
            self._note(leg, 1, batch, wanted_s, there_s)
        pad_until(there_s)
        return values, time.monotonic()

    def _note(self, leg: Leg, end: int, batch: int, start_s: float, end_s: float) -> None:
        if leg.ends:
            leg.ends[end].note(self.recorder, self.client.name, batch, start_s, end_s)
