"""The thread that goes with one owner's batch through a node of a pipeline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from splitopt.errors import TrainingError
from splitopt.training.codecs.crossing import DOWN, UP, Encoded
from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Part, Pass
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.pipeline.channels import RESERVE, channel_end, request
from splitopt.training.wire.pipeline.held import load_held
from splitopt.training.wire.pipeline.messages import (
    ASK,
    GO,
    arrived_values,
    check_crossing,
    packed,
    senders_of_node,
    whole_number,
)
from splitopt.training.wire.pipeline.private import NodeSteps
from splitopt.training.wire.pipeline.stations import Station
from splitopt.training.wire.pipeline.streams import STREAM, StreamLink, take_stream
from splitopt.training.wire.pipeline.timing import ACTIVATIONS, GRADIENTS, Leg, OwnerWay
from splitopt.training.wire.private import FACTORS, NORMS, covers_all
from splitopt.training.wire.recorder import Recorder
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.links import link_from, link_of
from splitopt.training.wire.transport.pacing import pad_until
from splitopt.training.wire.transport.threads import start_thread


class _DroppedError(Exception):
    """The owner is gone; its batch is forgotten."""


class _Event(NamedTuple):
    """A message for the owner: only announced, or complete."""

    message: Message
    is_complete: bool


@dataclass(frozen=True, eq=False)
class NodeResources:
    """What the workers of a node share.

    Parameters
    ----------
    index
        Of the node in the chain.
    stations
        The queues for the node and its interfaces, by resource.
    recorder
        Of what is done when.
    control
        The connection to the coordinator.
    channel
        Returns the connection to the next party on an owner's way: that forward, or that back.
    refuse
        Reports to the coordinator that an owner cannot be served in a round, why, and whether that
        ends the run.
    """

    index: int
    stations: MutableMapping[str, Station]
    recorder: Recorder
    control: Channel
    channel: Callable[[int, bool], Channel]
    refuse: Callable[[int, int, str, bool], None]


class BatchWorker:
    """Passes one owner's batches through a node: the way in, the computing, and the way out.

    Parameters
    ----------
    node
        What it shares with the workers of the other owners.
    owner
        The owner's place among all.
    client
        Of whom only the random numbers count.
    held
        The owner's copy of the node's part.
    way
        The owner's way through the chain, as planned.
    """

    def __init__(
        self, node: NodeResources, owner: int, client: Client, held: Copy, way: OwnerWay
    ) -> None:
        self.node, self.owner, self.client, self.held, self.way = node, owner, client, held, way
        self._box: queue.SimpleQueue[_Event | None] = queue.SimpleQueue()
        self._granted: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._links: dict[bool, StreamLink] = {}
        self._pass: Pass | None = None
        self._private: NodeSteps | None = None
        if covers_all(client):
            self._private = NodeSteps(client, held.parts[0], node.index + 1)
        self._is_dropped, self._is_stopped = True, False
        self._round = -1
        self._serving = threading.Lock()
        start_thread(self._work_off, name=self.client.name)

    def put(self, message: Message, is_complete: bool) -> None:
        """Pass on a message for the owner, or announce that one is coming."""
        if message.fields.get("round") == self._round:  # or it is of a batch that was given up
            self._box.put(_Event(message, is_complete))

    def grant(self, start_s: float) -> None:
        """Announce when a message may begin for which a channel was asked."""
        self._granted.put(start_s)

    def begin(self, number: int, tensors: dict[str, Tensor]) -> None:
        """Begin a round, from the states of the owner's part and stream."""
        with self._serving:  # what is left of an owner that was dropped comes to its end first
            self._round = number
            load_held(self.held, under(tensors, "held."))
            self.client.stream.load_state_dict(under(tensors, "stream."))
            senders = senders_of_node(self.node.index)
            self.client.crossing.load_state_dict(under(tensors, "crossing."), senders)
            for box in (self._box, self._granted):
                while not box.empty():
                    box.get()
            self._links = {
                is_outward: StreamLink(self.client.stream) for is_outward in (True, False)
            }
            self._pass, self._is_dropped = None, False
            if self._private is not None:
                self._private.forget()

    def drop(self) -> None:
        """Forget the owner until a round begins with it again."""
        self._is_dropped = True
        self._box.put(None)
        self._granted.put(None)

    def stop(self) -> None:
        """End the thread."""
        self._is_stopped = True
        self.drop()

    def _work_off(self) -> None:
        while True:
            event = self._box.get()
            if self._is_stopped:
                return
            with self._serving:
                if event is None or self._is_dropped:
                    self._pass = None
                    continue
                try:
                    self._serve(event)
                except FrameError as error:
                    self._give_up(f"it was sent {error}")
                except TrainingError as error:
                    self._give_up(str(error), ends=True)
                except (_DroppedError, ChannelError):
                    self._pass, self._is_dropped = None, True
                except Exception as error:  # layers raise what they like at values not for them
                    self._give_up(f"it cannot take a batch: {type(error).__name__}: {error}")

    def _give_up(self, why: str, ends: bool = False) -> None:
        """Go on without the owner, and tell the coordinator, which may have to end the run."""
        self._pass, self._is_dropped = None, True
        self.node.refuse(self.owner, self._round, why, ends)

    def _serve(self, event: _Event) -> None:
        """Do what the next thing that came asks for."""
        message, kind = event.message, event.message.kind
        if kind == STREAM:
            take_stream(message, self.client.stream)
            return
        if kind in (NORMS, FACTORS):
            self._hear_privately(message)
            return
        if kind == ASK:
            kind = str(message.fields.get("for"))
        if kind not in (ACTIVATIONS, GRADIENTS):
            raise FrameError(f"a message {kind[:80]!r} at a wrong time")
        is_outward = kind == ACTIVATIONS
        node = self.node.index
        task = self.way.forward(node) if is_outward else self.way.backward(node)
        leg = self.way.legs[task - 1]
        if message.kind == ASK:
            whole = self._grant(leg)
        elif not event.is_complete:
            if leg.receiver is None:
                return  # nothing is to be done before it is there
            whole = self._through_interface(leg, message)
        else:
            whole = self._checked(message)
            self._note(leg, 0, whole, whole.transfer.start_s, whole.transfer.end_s)
        pad_until(whole.transfer.end_s + leg.delay_s)
        result = self._work(task, whole, is_outward)
        self._send(task, is_outward, whole.fields["batch"], result)

    def _hear_privately(self, message: Message) -> None:
        """Receive the norms behind this part, or make the step of the batch that came back."""
        steps, batch = self._private, whole_number(message.fields, "batch")
        if steps is None:
            raise FrameError(f"a message {message.kind!r} where only owners clip")
        if message.kind == NORMS:
            steps.hear_norms(message)
            return
        with COMPUTE:
            told = steps.step(message)
        fields = {**self._fields(batch), **told.fields()}
        self.node.channel(self.owner, True).send(FACTORS, fields, told.tensors())

    def _through_interface(self, leg: Leg, begun: Message) -> Message:
        """Wait for the node's interface, and let a message that has begun come through it."""
        port, transfer = leg.receiver, begun.transfer
        assert port is not None  # the caller looked
        pad_until(leg.wanted_s(transfer.start_s, transfer.payload_bytes))
        with self.node.stations[port.resource].turn(port.lane):
            start_s = time.monotonic()
            whole = self._next(leg.phase)
            own_end_s = start_s + leg.seconds(1, transfer.payload_bytes)
            pad_until(max(own_end_s, whole.transfer.end_s + leg.delay_s))
            end_s = time.monotonic()
        self._note(leg, 0, whole, whole.transfer.start_s, whole.transfer.end_s)
        self._note(leg, 1, whole, start_s, end_s)
        return whole

    def _grant(self, leg: Leg) -> Message:
        """Grant the node after this one the link that both share, for one message."""
        link = leg.ends[0]
        with self.node.stations[link.resource].turn(link.lane):
            self.node.channel(self.owner, True).send(GO, self._fields(-1))
            whole = self._next(leg.phase)
        self._note(leg, 0, whole, whole.transfer.start_s, whole.transfer.end_s)
        return whole

    def _work(self, task: int, message: Message, is_outward: bool) -> Encoded | None:
        """Wait for the node, compute, and wait until the planned time is over."""
        what = self.way.tasks[task]
        (part,) = self.held.parts
        with self.node.stations[what.resource].turn(what.lane):
            start_s = time.monotonic()
            with COMPUTE:
                cut = self.node.index + (0 if is_outward else 1)
                values = arrived_values(message, self.client.crossing, cut)
                result = self._forward(part, values) if is_outward else self._backward(part, values)
            pad_until(start_s + what.seconds)
            end_s = time.monotonic()
        what.note(self.node.recorder, self.client.name, message.fields["batch"], start_s, end_s)
        return result

    def _forward(self, part: Part, values: Tensor | None) -> Encoded:
        if values is None:
            raise FrameError("a batch without values")
        self._pass = part.forward(values, self.client.stream)
        if self._private is not None:
            self._private.begin(len(self._pass.result))
        return self.client.crossing.encode(UP, self.node.index + 1, self._pass.sent)

    def _backward(self, part: Part, values: Tensor | None) -> Encoded | None:
        held, self._pass = self._pass, None
        if held is None:
            raise FrameError("gradients without a batch")
        wanted = held.result
        if values is None and not wanted.requires_grad:
            return None  # nothing up to here is trained: only the word goes on
        if values is None or (values.shape, values.dtype) != (wanted.shape, wanted.dtype):
            raise FrameError("gradients of another shape or type than what they are of")
        if self._private is None:
            held.backward(values)
            part.step()
            gradient = held.gradient
        else:
            gradient = self._private.backward(held, values)
        if gradient is None:
            return None
        return self.client.crossing.encode(DOWN, self.node.index, gradient)

    def _fields(self, batch: int) -> dict[str, int]:
        return {"owner": self.owner, "round": self._round, "batch": batch}

    def _send(self, number: int, is_outward: bool, batch: int, encoded: Encoded | None) -> None:
        """Wait for the way out, and send at its pace."""
        leg = self.way.legs[number]
        channel, fields = self.node.channel(self.owner, is_outward), self._fields(batch)
        self._links[is_outward].send(channel, fields)
        if self._private is not None and not is_outward:
            channel.send(NORMS, fields, self._private.norms())
        bucket = link_of(leg.rate_bytes_per_s)
        with ExitStack() as stack:
            if leg.is_shared and not is_outward:
                channel.send(ASK, {**fields, "for": leg.phase})
                self._next(GO)
            elif channel_end(leg) == 0:
                size = 0 if encoded is None else encoded.size
                bucket = link_from(leg.rate_bytes_per_s, self._reserved(number, size))
            elif leg.ends:
                end = leg.ends[0]
                stack.enter_context(self.node.stations[end.resource].turn(end.lane))
            more, tensors = packed(encoded)
            channel.send(leg.phase, {**fields, **more}, tensors, bucket=bucket)

    def _reserved(self, number: int, size: int) -> float:
        """Request a channel that all owners share of rank 0; return when the message may begin."""
        fields = request(self.owner, number, size, time.monotonic())
        self.node.control.send(RESERVE, fields)
        start_s = self._granted.get()
        if start_s is None:
            raise _DroppedError
        return start_s

    def _next(self, kind: str) -> Message:
        """Wait for a complete message of a kind."""
        while True:
            event = self._box.get()
            if event is None:
                raise _DroppedError
            if event.is_complete:
                return self._checked(expect_kind(event.message, kind))

    def _checked(self, message: Message) -> Message:
        if message.kind in (ACTIVATIONS, GRADIENTS):
            whole_number(message.fields, "batch")
            check_crossing(message)
        return message

    def _note(self, leg: Leg, end: int, message: Message, start_s: float, end_s: float) -> None:
        if leg.ends:
            leg.ends[end].note(
                self.node.recorder, self.client.name, message.fields["batch"], start_s, end_s
            )
