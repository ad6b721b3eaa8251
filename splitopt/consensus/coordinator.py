"""The coordinator in a process of its own: it sees what comes over connections, and no more."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitopt.consensus.keys import PUBLIC_KEYS
from splitopt.consensus.packing import WIRE_KINDS, as_frame, bytes_in, tensor_of, unpack
from splitopt.errors import SplitoptError
from splitopt.results import StopReason, relative_gap
from splitopt.secure_sum.keys import KEY_BYTES
from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Message
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus
from splitopt.solvers.cut_and_resources.price_consensus.coordinator import Plan
from splitopt.solvers.cut_and_resources.price_consensus.messages import Channel
from splitopt.solvers.cut_and_resources.price_consensus.run import CoordinatorRun
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.transport.channel import Channel as Link
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message as Frame
from splitopt.training.wire.transport.frames import expect_kind

ANSWER_S = 60.0
"""Within this time a device must answer."""
_REPLIES = {
    **dict.fromkeys(("start", "quote", "mix"), "answer"),
    "exclude": "left",
    "reveal": "cuts",
    "adopt": "plan",
}
"""Kind of message -> that of the reply; there is none to others."""


class PartyGoneError(SplitoptError):
    """A party has left, and there is no plan without it."""


@dataclass
class Account:
    """What a run has come to, as far as the coordinator knows.

    Parameters
    ----------
    rel_gap
        At which it may end.
    time_limit_s
        For how long; None for no limit.
    objective
        At least the sum of latencies of the plan that was adopted.
    bound
        A lower bound on the sum of every plan.
    """

    rel_gap: float = 1e-9
    time_limit_s: float | None = None
    objective: float = math.inf
    bound: float = -math.inf
    iterations: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    _start: float = field(default_factory=time.monotonic)

    @property
    def gap(self) -> float:
        """The relative gap so far."""
        return relative_gap(self.objective, self.bound)

    def stop(self) -> StopReason | None:
        """Return why to stop, None to go on."""
        if self.time_limit_s is not None and time.monotonic() - self._start >= self.time_limit_s:
            return "time"
        return None

    def prove(self, bound: float) -> None:
        """Record the best bound."""
        self.bound = max(self.bound, bound)


class WireChannel(Channel):
    """Carries the messages of the protocol over connections.

    Parameters
    ----------
    crew
        The devices as ranks 1 to N, and the server as the last one.
    """

    def __init__(self, crew: Crew) -> None:
        self.crew, self.devices = crew, len(crew.names) - 1
        super().__init__((), kinds=WIRE_KINDS)

    def exchange_keys(self) -> None:
        """Send the public keys of all parties to each.

        Raises
        ------
        PartyGoneError
            One has left.
        """
        ranks = range(1, self.devices + 2)
        keys = [bytes_in(self._hear(rank, PUBLIC_KEYS).tensors) for rank in ranks]
        if any(len(key) != KEY_BYTES for key in keys):
            raise PartyGoneError("a party sent a public key that is none; start all anew")
        for rank in ranks:
            self._tell(rank, PUBLIC_KEYS, {"devices": self.devices}, b"".join(keys))

    def ask(self, device: int, kind: str, fields: Mapping[str, Any]) -> Message | None:
        """Send a message to one device and return its reply."""
        return next(iter(self._ask([device], kind, fields)), None)

    def ask_all(self, kind: str, fields: Mapping[str, Any]) -> list[Message]:
        """Send a message to all devices, then wait for the replies of all."""
        return self._ask(range(self.devices), kind, fields)

    def travelled(self) -> Counter[str]:
        """Return the bytes of numbers to and from devices by kind of message, without frames."""
        found = Counter[str]()
        for rank in range(1, self.devices + 1):
            if (channel := self.crew.channel(rank)) is not None:
                found.update(channel.sent_bytes)
                found.update(channel.received_bytes)
        return found

    def _ask(self, devices: Sequence[int], kind: str, fields: Mapping[str, Any]) -> list[Message]:
        for device in devices:
            sent = self.log.record(Message(kind, CENTRE, device, fields))
            self._tell(device + 1, *as_frame(sent, WIRE_KINDS))
        if kind not in _REPLIES:
            return []
        replies = [self._reply(device, _REPLIES[kind]) for device in devices]
        if kind == "adopt":
            for reply in replies:
                _, told, raw = as_frame(reply, WIRE_KINDS)
                place = {"sender": reply.sender, "round": fields["round"]}
                self._tell(self.devices + 1, reply.kind, {**told, **place}, raw)
        return replies

    def _reply(self, device: int, kind: str) -> Message:
        frame = self._hear(device + 1, kind)
        try:
            found = unpack(WIRE_KINDS[kind], frame.fields.get("counts"), bytes_in(frame.tensors))
            if kind == "answer" and len(found["masked"]) != 4:
                raise FrameError("an answer of another length")
        except FrameError as error:
            raise self._gone(device + 1, f"it sent {error}") from None
        return self.log.record(Message(kind, device, CENTRE, found))

    def _tell(self, rank: int, kind: str, fields: Mapping[str, Any], raw: bytes) -> None:
        channel = self.crew.channel(rank)
        if channel is None:
            raise self._gone(rank, "it has left")
        try:
            channel.send(kind, fields, tensor_of(raw))
        except ChannelError as error:
            raise self._gone(rank, _last_words(channel) or str(error)) from None

    def _hear(self, rank: int, kind: str) -> Frame:
        channel = self.crew.channel(rank)
        if channel is None:
            raise self._gone(rank, "it has left")
        try:
            frame = channel.receive(ANSWER_S)
            if frame.kind == "failed":
                raise self._gone(rank, _words(frame))
            return expect_kind(frame, kind)
        except ChannelError as error:
            raise self._gone(rank, str(error)) from None

    def _gone(self, rank: int, why: str) -> PartyGoneError:
        return PartyGoneError(
            f"{self.crew.names[rank - 1]} is lost ({why}), and a plan of the others is another "
            "problem; start all parties again, or the others without it"
        )


def _words(frame: Frame) -> str:
    """Return why a party says that it cannot go on."""
    return f"it {str(frame.fields.get('message'))[:300]}"


def _last_words(link: Link) -> str | None:
    """Return what a party that is gone said before, if it said why."""
    try:
        frame = link.receive(0.0)
    except ChannelError:
        return None
    return _words(frame) if frame.kind == "failed" else None


class WireRun(CoordinatorRun):
    """One run of the coordinator over connections."""

    channel: WireChannel

    def __init__(self, solver: PriceConsensus, account: Account, channel: WireChannel) -> None:
        super().__init__(solver, account, channel, channel.devices)
        self.account = account

    def accept(self, plan: Plan) -> None:
        """Record what a plan is worth; cuts and shares are the server's to know."""
        self.account.objective = plan.value

    def _report(self) -> None:
        super()._report()
        travelled = self.channel.travelled()
        self.account.details["key_bytes"] = travelled.pop(PUBLIC_KEYS, 0)
        self.account.details["payload_bytes"] = travelled.total()
