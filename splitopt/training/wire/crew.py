"""Who takes part: rank 0 leads the run, every other rank joins it by one connection to rank 0."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from splitopt.errors import InputError, SplitoptError, shown
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import ChannelError
from splitopt.training.wire.transport.listener import Listener
from splitopt.training.wire.transport.threads import start_thread
from splitopt.training.wire.transport.tls import LEADER, Tls
from splitopt.training.wire.transport.tokens import Token

HELLO_S = 30.0
"""Within this time a peer that has connected must say who it is."""
_POLL_S = 0.2
_LONGEST_TEXT = 2000


Judge = Callable[[int, Mapping[str, Any]], str | None]


class JoinError(SplitoptError):
    """A run cannot begin, because somebody is missing."""


class Crew:
    """The connections of rank 0, which may come and go while the run lasts.

    Parameters
    ----------
    listener
        Where the others connect; the crew closes it.
    names
        Of ranks 1, 2, ... in this order.
    agreement
        What all have to be started with alike, as short plain values by name.
    judge
        Called with a rank and what it tells of its own data; it returns why that does not fit.
    """

    def __init__(
        self,
        listener: Listener,
        names: Sequence[str],
        agreement: Mapping[str, Any],
        judge: Judge | None = None,
    ) -> None:
        self.listener, self.names, self.agreement = listener, tuple(names), dict(agreement)
        self._judge = judge
        self._channels: dict[int, Channel] = {}
        self._lacking: dict[int, str] = {}
        self._lock = threading.Condition()
        self._closed = False
        self._thread = start_thread(self._receive, name="reception")

    def wait(self, timeout_s: float, check: Callable[[], object] | None = None) -> None:
        """Wait until everybody is there.

        Parameters
        ----------
        timeout_s
            For how long.
        check
            Called again and again meanwhile; it may raise what makes waiting useless.

        Raises
        ------
        JoinError
            Somebody has not joined in time; the message says who.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._lock:
            while len(self._channels) < len(self.names):
                if check is not None:
                    check()
                left = deadline_s - time.monotonic()
                if left <= 0:
                    raise JoinError(
                        f"{self._missing()} not joined within {timeout_s:g} s; {self._lacks()}"
                        "start them with the same command, world size and master address"
                    )
                self._lock.wait(min(left, _POLL_S))

    def channel(self, rank: int) -> Channel | None:
        """Return the connection to a rank, None if it is not there."""
        with self._lock:
            return self._channels.get(rank)

    def wait_for(self, rank: int, timeout_s: float) -> Channel | None:
        """Wait for a rank that is about to join; None if it has not, or nobody may any more."""
        with self._lock:
            self._lock.wait_for(lambda: rank in self._channels or self._closed, timeout_s)
            return self._channels.get(rank)

    def present(self) -> tuple[int, ...]:
        """Return the ranks that are there."""
        with self._lock:
            return tuple(sorted(self._channels))

    def drop(self, rank: int) -> None:
        """End the connection to a rank; it may join again."""
        with self._lock:
            channel = self._channels.pop(rank, None)
        if channel is not None:
            channel.close()

    def hang_up(self) -> None:
        """End all connections, so that whoever waits on one goes on."""
        for rank in self.present():
            self.drop(rank)

    def end(self, fields: Mapping[str, Any] | None = None) -> None:
        """Announce that the run is over, and let nobody join any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lock.notify_all()
        for rank in self.present():
            channel = self.channel(rank)
            try:
                if channel is not None:
                    channel.send("end", fields or {}, stall_s=1.0)
            except ChannelError:  # it has gone before
                pass
        self.listener.close()
        self._thread.join()
        self.hang_up()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        why = error if isinstance(error, SplitoptError) else kind and "it was interrupted"
        self.end({"error": str(why)} if why else None)

    def _missing(self) -> str:
        ranks = [rank for rank in range(1, len(self.names) + 1) if rank not in self._channels]
        shown = ", ".join(f"{rank} ({self.names[rank - 1]})" for rank in ranks)
        return f"rank {shown} has" if len(ranks) == 1 else f"ranks {shown} have"

    def _receive(self) -> None:
        while not self._closed:
            try:
                channel = self.listener.accept()
            except ChannelError:  # it is closed
                return
            start_thread(self._admit, channel)

    def _admit(self, channel: Channel) -> None:
        try:
            hello = channel.receive(HELLO_S)
            why = self._refusal(hello.kind, hello.fields, channel.name)
            if why is not None:
                self.listener.refusals.add(channel.peer, why)
                channel.send("refused", {"message": why})
                channel.close()
                return
            rank = int(hello.fields["rank"])
            with self._lock:
                if self._closed:
                    late = "the run is over"
                elif rank in self._channels:
                    late = f"rank {rank} is taken; give each its own"
                else:
                    late = None
                    channel.send("welcome")
                    self._channels[rank] = channel
                    self._lacking.pop(rank, None)
                    self._lock.notify_all()
            if late is not None:
                channel.send("refused", {"message": late})
                channel.close()
        except ChannelError as error:
            self.listener.refusals.add(channel.peer, str(error))
            channel.close()

    def _refusal(
        self, kind: str, fields: Mapping[str, Any], certified: str | None = None
    ) -> str | None:
        """Return why a party cannot take part, None if it can; `certified` is its certificate's."""
        rank, agreement = fields.get("rank"), fields.get("agreement")
        lacks = fields.get("lacks")
        knows = isinstance(agreement, dict) or isinstance(lacks, str)
        if kind != "hello" or not knows or isinstance(rank, bool):
            return "it does not say who it is"
        if not isinstance(rank, int) or not 1 <= rank <= len(self.names):
            return f"rank {shown(rank)} is not from 1 to {len(self.names)}"
        if certified not in (None, self.names[rank - 1]):
            return (
                f"rank {rank} is {shown(self.names[rank - 1])}, and its certificate is for "
                f"{shown(certified)}; give each rank its own"
            )
        party = f"rank {rank} ({self.names[rank - 1]})"
        if isinstance(lacks, str):
            self._lacking[rank] = f"{party} cannot take part: {lacks[:_LONGEST_TEXT]}"
            return self._lacking[rank]
        assert isinstance(agreement, dict)
        odd = _first_difference(agreement, self.agreement)
        if odd is not None:
            name, own, value = odd
            return (
                f"{name}: is {_plain(own)} for {party} and {_plain(value)} for rank 0; start all "
                "ranks with the same arguments, and the same packages and files of your own"
            )
        told, why = fields.get("data"), None
        if self._judge is not None:
            why = self._judge(rank, told) if isinstance(told, dict) else "it tells nothing of it"
        return None if why is None else f"data of {party}: {why}"

    def _lacks(self) -> str:
        """Return what ranks that are missing said that they lack."""
        return "".join(f"{text}; " for _, text in sorted(self._lacking.items()))


def _first_difference(
    theirs: Mapping[str, Any], own: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the name of the first value that is not the same, theirs and one's own."""
    for name in (*own, *(name for name in theirs if name not in own)):
        one, other = theirs.get(name), own.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            inner = _first_difference(one, other)
            if inner is not None:
                return (f"{name}.{inner[0]}", *inner[1:])
        return name, one, other
    return None


def _plain(value: Any) -> str:
    return "nothing" if value is None else str(value)[:80]


def say_absent(
    host: str, port: int, token: Token, rank: int, message: str, timeout_s: float, tls: Tls | None
) -> None:
    """Report to rank 0 why this rank cannot take part; the arguments are those of `join`."""
    channel = connect(host, port, token, timeout_s, tls=tls, party=LEADER)
    channel.send("hello", {"rank": rank, "lacks": message})
    channel.receive(HELLO_S)
    channel.close()


def join(
    host: str,
    port: int,
    token: Token,
    rank: int,
    agreement: Mapping[str, Any],
    timeout_s: float,
    tls: Tls | None = None,
    data: Mapping[str, Any] | None = None,
    party: str = LEADER,
) -> Channel:
    """Join the run that rank 0 leads, or the devices of another server.

    Parameters
    ----------
    rank
        One's own.
    agreement
        As rank 0 has it.
    timeout_s
        For how long to wait for rank 0.
    tls
        One's own certificate; None to connect without TLS.
    data
        What rank 0 is told of one's own data, where every party has its own.
    party
        Whose certificate is asked for: that of rank 0, or of the server that one joins.

    Raises
    ------
    InputError
        Rank 0 has been started otherwise; the message says in what.
    ChannelError
        Rank 0 is not there, or has another token or certificate.
    """
    channel = connect(host, port, token, timeout_s, tls=tls, party=party)
    told = {} if data is None else {"data": dict(data)}
    channel.send("hello", {"rank": rank, "agreement": dict(agreement), **told})
    answer = channel.receive(max(timeout_s, HELLO_S))
    if answer.kind != "welcome":
        channel.close()
        raise InputError(str(answer.fields.get("message", "rank 0 refused"))[:_LONGEST_TEXT])
    return channel
