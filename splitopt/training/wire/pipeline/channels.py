"""The uplink and the downlink that all owners of a pipeline share: one message at a time on each.

Senders are processes of their own, so that rank 0 holds both channels. Whoever has a message for
one asks rank 0 for it, and is told when it may begin: first come, first served, each message at the
full rate. A message ends as planned once it has begun, so that nobody need give a channel back, and
a sender that dies in the middle of one keeps nobody waiting for longer than that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from splitopt.training.wire.pipeline.messages import whole_number
from splitopt.training.wire.pipeline.timing import Leg, PipelineTiming
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.clocks import SAME_CLOCK, Offset
from splitopt.training.wire.transport.errors import ChannelClosedError, FrameError

RESERVE, RESERVED = "reserve", "reserved"
CHANNEL = "channel"
"""The kind of a resource that all owners share."""


class _Wanted(NamedTuple):
    channel: str
    taken_s: float
    whole_s: float


def channel_end(leg: Leg) -> int | None:
    """Return the end of a leg with a channel of all owners, 0 the sender's; None at neither."""
    ends = [end for end, occupied in enumerate(leg.ends) if occupied.kind == CHANNEL]
    return ends[0] if ends else None


class Channels:
    """What rank 0 knows of both channels in a round.

    Parameters
    ----------
    timing
        Of the plan.
    largest
        Gives, for the index of an owner, how many times a batch as planned one of its batches may
        be; 1 by default.
    """

    def __init__(
        self, timing: PipelineTiming, largest: Callable[[int], float] = lambda _: 1.0
    ) -> None:
        self._timing, self._largest = timing, largest
        self._free_s: dict[str, float] = {}

    def clear(self) -> None:
        """Forget the messages of an earlier round."""
        self._free_s.clear()

    def reserve(
        self, fields: Mapping[str, Any], now_s: float, offset: Offset = SAME_CLOCK
    ) -> tuple[int, float]:
        """Return the owner whose message is meant, and when it may begin.

        Parameters
        ----------
        fields
            Of a `request`.
        now_s
            By the clock of rank 0; nobody wants a channel for later than a message takes from now.
        offset
            Of the clock of whoever asks.

        Raises
        ------
        FrameError
            There is no such message.
        """
        owner = whole_number(fields, "owner", 0, len(self._timing.ways))
        wanted = self._wanted(owner, fields)
        wanted_s = fields.get("wanted_s")
        if not isinstance(wanted_s, float) or not math.isfinite(wanted_s):
            raise FrameError("a channel that is wanted at no moment")
        free_s = self._free_s.get(wanted.channel, -math.inf)
        start_s = max(free_s, min(offset.own(wanted_s), now_s + wanted.whole_s))
        self._free_s[wanted.channel] = start_s + wanted.taken_s
        return owner, start_s

    def _wanted(self, owner: int, fields: Mapping[str, Any]) -> _Wanted:
        """Read for which channel and how long a message is; see `reserve` for errors."""
        legs, size = self._timing.ways[owner].legs, whole_number(fields, "bytes")
        number = whole_number(fields, "leg", 0, len(legs) + bool(self._timing.exchanges))
        if number == len(legs):
            exchange = self._timing.exchanges[owner]
            parts = exchange.upload
            if parts.kind == CHANNEL:
                return _Wanted(parts.resource, parts.seconds, parts.seconds + exchange.delay_s)
        elif (end := channel_end(leg := legs[number])) is not None:
            most = leg.planned_bytes * self._largest(owner)
            if size < most + 1:
                longest = max(float(size), leg.planned_bytes)
                whole_s = sum(leg.seconds(one, longest) for one in range(len(leg.ends)))
                whole_s += leg.delay_s
                return _Wanted(leg.ends[end].resource, leg.seconds(end, size), whole_s)
        raise FrameError("a message for a channel that the plan does not have")


def request(owner: int, leg: int, size: int, wanted_s: float) -> dict[str, Any]:
    """Return the fields of a message that asks for a channel, by one's own clock.

    The leg behind the last one is that of an owner's parts at the end of a round.
    """
    return {"owner": owner, "leg": leg, "bytes": size, "wanted_s": wanted_s}


def answer(control: Channel) -> float:
    """Wait for the answer of rank 0; return when the message may begin, by one's own clock.

    Raises
    ------
    ChannelClosedError
        The run has ended.
    FrameError
        It is no answer.
    """
    message = control.receive()
    if message.kind == "end":
        raise ChannelClosedError("the run has ended")
    return granted(message.kind, message.fields, control)


def granted(kind: str, fields: Mapping[str, Any], control: Channel) -> float:
    """Read an answer of rank 0; for result and errors see `answer`."""
    start_s = fields.get("start_s")
    if kind != RESERVED or not isinstance(start_s, float) or not math.isfinite(start_s):
        raise FrameError(f"a message {kind[:80]!r} where the word for a channel was due")
    return control.offset.own(start_s)
