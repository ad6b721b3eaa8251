"""Messages of several peers in the order in which they arrive."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import ChannelError, ChannelTimeoutError
from splitopt.training.wire.transport.frames import Message
from splitopt.training.wire.transport.threads import start_thread

Name = TypeVar("Name", bound=Hashable)


class Arrival(NamedTuple, Generic[Name]):
    """What came from a peer: a message, or the end of its connection."""

    sender: Name
    message: Message | None
    error: ChannelError | None


class Inbox(Generic[Name]):
    """A queue that a thread for each connection fills until the connection ends."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival[Name]] = queue.SimpleQueue()

    def watch(self, sender: Name, channel: Channel) -> None:
        """Receive what comes over a connection from now on."""
        listen_to(
            channel,
            lambda message: self._queue.put(Arrival(sender, message, None)),
            lambda error: self._queue.put(Arrival(sender, None, error)),
        )

    def next(self, deadline_s: float | None = None) -> Arrival[Name]:
        """Wait for what comes next, until a moment of the monotonic clock at most.

        Raises
        ------
        ChannelTimeoutError
            Nothing came until then.
        """
        left = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
        try:
            return self._queue.get(timeout=left)
        except queue.Empty:
            raise ChannelTimeoutError("nothing came in time") from None


def listen_to(
    channel: Channel,
    heard: Callable[[Message], object],
    ended: Callable[[ChannelError], object],
    begun: Callable[[Message], object] | None = None,
) -> None:
    """Call `heard` with every message of a connection in a thread of its own, and at last `ended`.

    A message on which `heard` raises `ChannelError`, such as one that makes no sense, ends the
    connection.
    """

    def receive() -> None:
        try:
            while True:
                heard(channel.receive(begun=begun))
        except ChannelError as error:
            channel.close()
            ended(error)

    start_thread(receive, name=f"from {channel.peer}")
