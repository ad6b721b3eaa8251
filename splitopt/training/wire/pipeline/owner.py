"""The data owner of a pipeline: it holds the first and the last part, the data and the labels.

One batch is on its way at a time: forward through the first part, out to the nodes, the loss at the
last part, and the gradient back the same way.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from splitopt.training.copies import Copy
from splitopt.training.schemes.base import Client, Criterion, under
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.pipeline.exchange import link_for
from splitopt.training.wire.pipeline.held import load_held, load_values, state_of
from splitopt.training.wire.pipeline.messages import (
    FIRST,
    LAST,
    addresses_of,
    begin_moment,
    payloads,
    values_in,
    whole_number,
)
from splitopt.training.wire.pipeline.streams import STREAM, StreamLink, take_stream
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS, Leg, PipelineTiming
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.transport.channel import Channel, connect
from splitopt.training.wire.transport.errors import ChannelClosedError, ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.links import link_of
from splitopt.training.wire.transport.pacing import pad_until
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
    timeout_s
        For how long to wait for a node when connecting.
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
        timeout_s: float = 30.0,
    ) -> None:
        self.client, self.held, self.criterion = client, held, criterion
        self.control, self.timing, self.index = control, timing, index
        self.token, self.timeout_s = token, timeout_s
        self.way = timing.ways[index]
        self.recorder = Recorder()
        self._ends: dict[str, Channel] = {}
        self._round = 0

    def run(self) -> None:
        """Train in the rounds that the coordinator begins, until it ends the run.

        Raises
        ------
        ChannelError
            The coordinator, or a node, has ended the connection.
        """
        try:
            while (message := self.control.receive()).kind != "end":
                if message.kind == "peers":
                    self._connect(message)
                elif message.kind == "average":
                    load_values(self.held, dict(message.tensors))
                else:
                    self.round(expect_kind(message, "begin"))
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
        load_held(self.held, under(dict(begin.tensors), "held."))
        self.client.batches.load_state_dict(under(dict(begin.tensors), "batches."))
        self.client.stream.load_state_dict(under(dict(begin.tensors), "stream."))
        self._links = {end: StreamLink(self.client.stream) for end in (FIRST, LAST)}
        before = payloads(self._ends.values())
        self.control.send("set")
        go = expect_kind(self.control.receive(), "go")
        pad_until(self.control.offset.own(begin_moment(go.fields)))
        losses: list[list[float]] = []
        for batch in range(steps):
            losses.append(self._train(batch))
            if not torch.isfinite(torch.tensor(losses[-1][0])):
                break  # the coordinator will stop the run
        rows = [list(row) for row in self.recorder.take()]
        sent = payloads(self._ends.values()) - before
        state = {
            "losses": torch.tensor(losses, dtype=torch.float64),
            **values_in("held.", state_of(self.held)),
            **values_in("batches.", self.client.batches.state_dict()),
            **values_in("stream.", self.client.stream.state_dict()),
        }
        plans = self.timing.exchanges
        link = link_for(state, plans[self.index].upload.seconds) if plans else None
        self.control.send("state", {"rows": rows, "sent": sent}, state, bucket=link)

    def _connect(self, message: Message) -> None:
        """Connect to the node at each end of the chain."""
        nodes = addresses_of(message.fields)
        for channel in self._ends.values():
            channel.close()
        for end, (host, port) in ((FIRST, nodes[0]), (LAST, nodes[-1])):
            channel = connect(host, port, self.token, self.timeout_s)
            channel.send("hello", {"owner": self.index, "end": end})
            expect_kind(channel.receive(self.timeout_s), "welcome")
            self._ends[end] = channel
        self.control.send("connected")

    def _is_over(self) -> bool:
        """Say whether a connection ended because the coordinator has ended the run."""
        try:
            return self.control.receive(_LAST_WORD_S).kind == "end"
        except ChannelError:
            return False

    def _train(self, batch: int) -> list[float]:
        """Send one batch through the chain and back; give its mean loss and its samples."""
        first, last = self.held.parts
        stream, way, start_s = self.client.stream, self.way, time.monotonic()
        inputs, targets = self.client.batches.draw()
        with COMPUTE:
            held = first.forward(inputs, stream, first=True)
        self._work(0, batch, start_s)
        self._send(FIRST, way.legs[0], batch, held.sent)
        entered, start_s = self._receive(LAST, ACTIVATIONS, way.legs[way.nodes], batch)
        with COMPUTE:
            ending = last.forward(entered, stream)
            loss = self.criterion(ending.result, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            gradient = ending.gradient
            last.step()
        self._work(way.last_part, batch, start_s)
        self._send(LAST, way.legs[way.last_part], batch, gradient)
        gradient, start_s = self._receive(FIRST, GRADIENTS, way.legs[-1], batch)
        with COMPUTE:
            held.backward(gradient)
            first.step()
        self._work(len(way.tasks) - 1, batch, start_s)
        return [float(loss.detach()), float(len(targets))]

    def _work(self, task: int, batch: int, start_s: float) -> None:
        """Let the rest of a task's planned time pass, and record it."""
        what = self.way.tasks[task]
        pad_until(start_s + what.seconds)
        what.note(self.recorder, self.client.name, batch, start_s, time.monotonic())

    def _send(self, end: str, leg: Leg, batch: int, values: Tensor) -> None:
        fields = {"owner": self.index, "round": self._round, "batch": batch}
        self._links[end].send(self._ends[end], fields)
        link = link_of(leg.rate_bytes_per_s)
        self._ends[end].send(leg.phase, fields, {"values": values}, bucket=link)

    def _receive(self, end: str, kind: str, leg: Leg, batch: int) -> tuple[Tensor, float]:
        """Wait for what a node sends; give it, and since when it is there."""
        message = self._ends[end].receive()
        if message.kind == STREAM:
            take_stream(message, self.client.stream)
            message = self._ends[end].receive()
        expect_kind(message, kind)
        due = {"owner": self.index, "round": self._round, "batch": batch}
        if message.fields != due or list(message.tensors) != ["values"]:
            raise FrameError(f"{kind} of another batch than {batch}")
        sent = message.transfer
        there_s = sent.end_s + leg.delay_s
        self._note(leg, 0, batch, sent.start_s, sent.end_s)
        if leg.receiver is not None:
            wanted_s = leg.wanted_s(sent.start_s, sent.payload_bytes)
            there_s = max(there_s, wanted_s + leg.seconds(1, sent.payload_bytes))
            self._note(leg, 1, batch, wanted_s, there_s)
        pad_until(there_s)
        return message.tensors["values"], time.monotonic()

    def _note(self, leg: Leg, end: int, batch: int, start_s: float, end_s: float) -> None:
        if leg.ends:
            leg.ends[end].note(self.recorder, self.client.name, batch, start_s, end_s)
