"""Rank 0's connections to the other servers: what they are sent of a round, and what they say.

They are stateless between rounds. A server that dies takes its devices with it until both are
started again; nothing else is lost, since rank 0 has the state of every device before the round.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, NamedTuple

from splitopt.documents.checks import is_number, is_whole
from splitopt.errors import SplitoptError, TrainingError
from splitopt.training.schemes.tally import Traffic
from splitopt.training.wire.crew import Crew
from splitopt.training.wire.dropping import LateError
from splitopt.training.wire.recorder import Row, read_rows
from splitopt.training.wire.star.timing import SERVER
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message, expect_kind
from splitopt.training.wire.transport.inbox import listen_to

ALIVE_S = 5.0
"""How often a server says that it is there."""
SILENT_S = 120.0
"""A server that says nothing for so long is gone."""


class Over(NamedTuple):
    """What a server says at the end of a round: tasks, and bytes by kind of message."""

    rows: Sequence[Row]
    sent: Mapping[str, int]
    received: Mapping[str, int]


class ServerLink:
    """The connection to one server, until it ends.

    Parameters
    ----------
    name
        Of the server.
    channel
        To it.
    """

    def __init__(self, name: str, channel: Channel) -> None:
        self.name, self.channel = name, channel
        self.devices: dict[int, Channel] = {}
        """The connections to devices that have been told where the server listens."""
        self.has_common = False
        self.place: Mapping[str, Any] = {}
        self._answers: dict[int, Message | LateError] = {}
        self._words: dict[str, Message] = {}
        self._failed: TrainingError | None = None
        self._gone: str | None = None
        self._heard_s = time.monotonic()
        self._changed = threading.Condition()
        listen_to(channel, self._hear, self._end)

    def begin_round(self) -> None:
        """Forget the round before."""
        with self._changed:
            self._answers = {}

    def send(self, kind: str, fields: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        """Send it a message; where it is gone, whoever waits for it hears so."""
        try:
            self.channel.send(kind, fields, tensors)
        except ChannelError as error:
            self._end(error)

    def served(self, n: int) -> Message:
        """Wait until a device is served.

        Raises
        ------
        LateError
            It has been dropped there, or the server is gone.
        TrainingError
            The server says that training cannot go on.
        """
        self._wait(lambda: n in self._answers)
        found = self._answers[n]
        if isinstance(found, LateError):
            raise found
        return found

    def word(self, kind: str) -> Message:
        """Wait for a word of the server; errors are those of `served`."""
        self._wait(lambda: kind in self._words)
        return self._words.pop(kind)

    def over(self) -> Over:
        """Wait for the end of the round; errors are those of `served`."""
        found = self.word("over").fields
        try:
            rows = read_rows(found.get("rows"), self.channel.offset.seconds)
            return Over(rows, counted(found.get("sent")), counted(found.get("received")))
        except SplitoptError as error:
            self._end(FrameError(f"it sent {error}"))
            raise self._late() from None

    def lose(self, error: ChannelError) -> LateError:
        """Go on without the server, which sent what cannot be; return what its devices hear."""
        self._end(error)
        return self._late()

    def _late(self) -> LateError:
        return LateError(SERVER, f"its server {self.name} is gone ({self._gone})")

    def _wait(self, is_there: Callable[[], bool]) -> None:
        with self._changed:
            while not is_there():
                if self._failed is not None:
                    raise self._failed
                if self._gone is not None:
                    raise self._late()
                left = self._heard_s + SILENT_S - time.monotonic()
                if left <= 0:
                    self._gone = f"it has said nothing for {SILENT_S:g} s"
                    self.channel.close()
                    self._changed.notify_all()
                    continue
                self._changed.wait(left)

    def _hear(self, message: Message) -> None:
        """Note what the server says."""
        with self._changed:
            self._heard_s = time.monotonic()
            if message.kind in ("served", "lost"):
                n = message.fields.get("device")
                if not is_whole(n, 0):
                    raise FrameError("a word about a device that is none")
                reason = str(message.fields.get("reason"))[:500]
                self._answers[n] = (
                    message
                    if message.kind == "served"
                    else LateError(str(message.fields.get("phase"))[:80], reason)
                )
            elif message.kind == "failed":
                self._failed = TrainingError(str(message.fields.get("message"))[:500])
            elif message.kind != "alive":
                expect_kind(message, "listening", "ready", "over")
                self._words[message.kind] = message
            self._changed.notify_all()

    def _end(self, error: ChannelError) -> None:
        """Note that the server is gone."""
        with self._changed:
            self._gone = self._gone or str(error)
            self._changed.notify_all()
        self.channel.close()

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self._gone is not None


def links_to(
    crew: Crew, ranks: Mapping[str, int], known: dict[str, ServerLink]
) -> dict[str, ServerLink]:
    """Return the connections to the servers that are there; those that have ended are dropped."""
    found: dict[str, ServerLink] = {}
    for name, rank in ranks.items():
        link = known.get(name)
        if link is not None and link.is_gone:
            if crew.channel(rank) is link.channel:
                crew.drop(rank)
            link = None
        channel = crew.channel(rank)
        if channel is None:
            continue
        if link is None or link.channel is not channel:
            link = ServerLink(name, channel)
        found[name] = link
    return found


def counted(values: Any) -> Counter[str]:
    """Read bytes by kind of message."""
    if not isinstance(values, dict) or not all(is_whole(size, 0) for size in values.values()):
        raise FrameError("bytes by kind that are none")
    return Counter({str(kind): size for kind, size in values.items()})


def read_served(message: Message) -> tuple[list[tuple[float, int]], Traffic]:
    """Read the mean losses of a device, with how many samples each is of, and its bytes.

    Raises
    ------
    FrameError
        They are none.
    """
    losses, traffic = message.fields.get("losses"), message.fields.get("traffic")
    known = {field.name for field in fields(Traffic)}
    fits = (
        isinstance(losses, list)
        and all(isinstance(one, list) and len(one) == 2 for one in losses)
        and all(is_number(loss) and is_whole(samples, 1) for loss, samples in losses)
        and isinstance(traffic, dict)
        and traffic.keys() == known
        and all(is_whole(size, 0) for size in traffic.values())
    )
    if not fits:
        raise FrameError("losses or bytes of a device that are none")
    assert isinstance(losses, list)
    assert isinstance(traffic, dict)
    return [(float(loss), samples) for loss, samples in losses], Traffic(**traffic)


def served_fields(n: int, losses: Sequence[tuple[float, int]], traffic: Traffic) -> dict[str, Any]:
    """Return what `read_served` reads, of device n."""
    return {
        "device": n,
        "losses": [[loss, samples] for loss, samples in losses],
        "traffic": asdict(traffic),
    }
