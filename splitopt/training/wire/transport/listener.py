"""Where peers connect: whoever cannot prove the token is refused, and counted in the log."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import queue
import selectors
import socket
import threading
import time

from splitopt.errors import InputError
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.connecting import check_port
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    RefusedError,
)
from splitopt.training.wire.transport.frames import USUAL_LIMITS, Limits
from splitopt.training.wire.transport.handshake import (
    FULL,
    HANDSHAKE_S,
    expects_tls,
    shake_hands,
    welcome,
)
from splitopt.training.wire.transport.lines import Line, TlsLine, shut
from splitopt.training.wire.transport.refusals import Refusals
from splitopt.training.wire.transport.slots import MOST, Slots
from splitopt.training.wire.transport.threads import start_thread
from splitopt.training.wire.transport.tls import Tls
from splitopt.training.wire.transport.tokens import Token

LOOPBACK = "127.0.0.1"
_BACKLOG = 1024
_PAUSE_S = 0.2
"""After a connection could not be accepted, such as for too many open files."""
SAFER = (
    "give --tls-cert, --tls-key and --tls-ca ('splitopt certificates' makes a set), or --no-tls "
    "on a network that you trust"
)


class Listener:
    """A port on which peers are welcomed, each in a thread, so that none can hold up the others.

    Attributes
    ----------
    host, port
        Where it listens.
    refusals
        Who has been refused so far.
    """

    def __init__(
        self,
        sock: socket.socket,
        token: Token,
        limits: Limits = USUAL_LIMITS,
        tls: Tls | None = None,
        slots: int = MOST,
    ) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.refusals = Refusals(f"{self.host}:{self.port}")
        self._sock, self._token, self._limits, self._tls = sock, token, limits, tls
        self._welcome: queue.SimpleQueue[Channel | None] = queue.SimpleQueue()  # None: closed
        self._slots: Slots[socket.socket] = Slots(slots)
        self._closed = threading.Event()
        self._awake, self._alarm = socket.socketpair()  # so that closing need not wait
        self._thread = start_thread(self._listen, name="listener")

    def accept(self, timeout_s: float | None = None) -> Channel:
        """Wait for the next peer that knows the token.

        Raises
        ------
        ChannelTimeoutError
            None came in time.
        ChannelClosedError
            The listener was closed.
        """
        closed = ChannelClosedError(f"the listener on {self.host}:{self.port} was closed")
        if self._closed.is_set():
            raise closed
        try:
            channel = self._welcome.get(timeout=timeout_s)
        except queue.Empty:
            raise ChannelTimeoutError(
                f"nobody connected to {self.host}:{self.port} within {timeout_s:g} s"
            ) from None
        if channel is None:
            self._welcome.put(None)  # for whoever waits too
            raise closed
        return channel

    def close(self) -> None:
        """Stop listening, and end the connections that nobody has taken."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._alarm.close()
        self._thread.join()
        self._sock.close()
        self._awake.close()
        self.refusals.close()
        for guest in self._slots.clear():
            shut(guest)
        self._send_home()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        self._sock.setblocking(False)
        with selectors.DefaultSelector() as ready:
            ready.register(self._sock, selectors.EVENT_READ)
            ready.register(self._awake, selectors.EVENT_READ)
            while not self._closed.is_set():
                ready.select()
                self._let_in()

    def _let_in(self) -> None:
        """Begin to greet who has connected."""
        try:
            sock, address = self._sock.accept()
        except BlockingIOError:  # it has gone again, or the listener is being closed
            return
        except OSError as error:  # such as too many open files: others may still come
            self.refusals.add("somebody", f"cannot accept ({error.strerror or error})")
            self._closed.wait(_PAUSE_S)
            return
        sock.setblocking(True)
        number, gone = self._slots.enter(str(address[0]), sock)
        if gone is not None:
            _send_away(gone)
        start_thread(self._greet, sock, number)

    def _greet(self, sock: socket.socket, number: int) -> None:
        is_stranger = True

        def proved() -> None:
            nonlocal is_stranger
            is_stranger = False
            self._slots.leave(number)

        deadline_s, tls = time.monotonic() + HANDSHAKE_S, self._tls
        line = Line(sock) if tls is None else TlsLine(sock, tls.listening, server_side=True)
        try:
            shake_hands(line, deadline_s, expects_tls(line))
            agreed = welcome(line, self._token, deadline_s, proved)
            channel = Channel(line, agreed, self._limits)
        except (RefusedError, OSError) as error:
            line.close()
            if self._closed.is_set():
                return
            if is_stranger and not self._slots.leave(number):
                self.refusals.add(line.peer, "it had not said who it is when too many others came")
            else:
                self.refusals.add(line.peer, str(error))
            return
        self._welcome.put(channel)
        if self._closed.is_set():
            self._send_home()

    def _send_home(self) -> None:
        """End the connections that nobody has taken; `accept` raises from now on."""
        with contextlib.suppress(queue.Empty):
            while True:
                channel = self._welcome.get_nowait()
                if channel is not None:
                    channel.close()
        self._welcome.put(None)


def _send_away(sock: socket.socket) -> None:
    """Make somebody go who has not said who it is; its thread does the rest."""
    with contextlib.suppress(OSError, ValueError):  # it has gone already, or takes no more
        sock.send(FULL, getattr(socket, "MSG_DONTWAIT", 0))
    shut(sock)


def listen(
    host: str | None,
    port: int,
    token: Token,
    limits: Limits = USUAL_LIMITS,
    *,
    tls: Tls | None = None,
    no_tls: bool = False,
    slots: int = MOST,
) -> Listener:
    """Listen on a port.

    Parameters
    ----------
    host
        Address of this machine; None for the loopback interface, which nobody else can reach.
    port
        0 for any that is free.
    token
        What peers must know.
    limits
        Of what they may send.
    tls
        This party's certificate; None to listen without TLS.
    no_tls
        Listen without TLS even where other machines can connect.
    slots
        So many may be about to prove who they are at a time.

    Raises
    ------
    InputError
        The port is in use or not allowed, the address is not one of this machine, or others can
        reach it and there is neither a certificate nor ``no_tls``.
    """
    place = LOOPBACK if host is None else host
    check_port(port)
    sock = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if tls is None and not no_tls and not is_loopback(str(address[0])):
            raise InputError.at("listen", f"{place} can be reached from other machines; {SAFER}")
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise InputError(_why_not(place, port, error)) from None
    return Listener(sock, token, limits, tls, slots)


def is_loopback(address: str) -> bool:
    """Report whether nobody on another machine can reach an address, a number and no name."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def is_of_this_machine(host: str) -> bool:
    """Report whether an address is one of this machine's own: whether one may listen on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _why_not(host: str, port: int, error: OSError) -> str:
    code = error.errno
    if code == errno.EADDRINUSE:
        return f"port: {port} on {host} is in use; end what listens there, or take another port"
    if code == errno.EACCES:
        return f"port: {port} may not be used by this user; take one of 1024 or more"
    if code == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"host: {host!r} is not an address of this machine"
    return f"port: {port} on {host} cannot be listened on ({error})"
