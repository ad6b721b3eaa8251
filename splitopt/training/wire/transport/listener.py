"""Where peers connect: whoever cannot prove the token is refused and logged."""

from __future__ import annotations

import errno
import logging
import queue
import socket
import threading
import time

from splitopt.errors import InputError
from splitopt.training.wire.transport.channel import Channel, address_of, check_port
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    RefusedError,
)
from splitopt.training.wire.transport.frames import USUAL_LIMITS, Limits
from splitopt.training.wire.transport.handshake import welcome
from splitopt.training.wire.transport.tokens import Token

LOOPBACK = "127.0.0.1"
_BACKLOG = 256
_HANDSHAKES = 64
_POLL_S = 0.2

_LOG = logging.getLogger(__name__)


class Listener:
    """A port on which peers are welcomed, each in a thread, so that none can hold up the others.

    Attributes
    ----------
    host, port
        Where it listens.
    refused
        How many have been refused so far.
    """

    def __init__(self, sock: socket.socket, token: Token, limits: Limits = USUAL_LIMITS) -> None:
        self.host, self.port = sock.getsockname()[:2]
        self.refused = 0
        self._sock, self._token, self._limits = sock, token, limits
        self._welcome: queue.SimpleQueue[Channel] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(_HANDSHAKES)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()

    def accept(self, timeout_s: float | None = None) -> Channel:
        """Wait for the next peer that knows the token.

        Raises
        ------
        ChannelTimeoutError
            None came in time.
        ChannelClosedError
            The listener was closed.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed.is_set():
            left = _POLL_S if deadline_s is None else deadline_s - time.monotonic()
            try:
                return self._welcome.get(timeout=max(0.0, min(left, _POLL_S)))
            except queue.Empty:
                if left <= 0:
                    raise ChannelTimeoutError(
                        f"nobody connected to {self.host}:{self.port} within {timeout_s:g} s"
                    ) from None
        raise ChannelClosedError(f"the listener on {self.host}:{self.port} was closed")

    def close(self) -> None:
        """Stop listening, and end the connections that nobody has taken."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        self._sock.close()
        while not self._welcome.empty():
            self._welcome.get().close()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        self._sock.settimeout(_POLL_S)
        while not self._closed.is_set():
            try:
                sock, _ = self._sock.accept()
            except TimeoutError:
                continue
            except OSError as error:  # such as too many open files: others may still come
                _LOG.warning("%s:%s: cannot accept: %s", self.host, self.port, error)
                self._closed.wait(_POLL_S)
                continue
            if not self._room.acquire(blocking=False):
                self._refuse(sock, "too many connect at once")
                continue
            threading.Thread(target=self._greet, args=(sock,), daemon=True).start()

    def _greet(self, sock: socket.socket) -> None:
        try:
            offset = welcome(sock, self._token)
            channel = Channel(sock, offset, self._limits)
        except (RefusedError, OSError) as error:
            self._refuse(sock, str(error))
            return
        finally:
            self._room.release()
        if self._closed.is_set():
            channel.close()
        else:
            self._welcome.put(channel)

    def _refuse(self, sock: socket.socket, why: str) -> None:
        """Log and hang up, without a word to the peer."""
        self.refused += 1
        _LOG.warning("refused a connection from %s: %s", address_of(sock), why)
        sock.close()


def listen(host: str | None, port: int, token: Token, limits: Limits = USUAL_LIMITS) -> Listener:
    """Listen on a port.

    Parameters
    ----------
    host
        Address of this machine; None for the loopback interface, which nobody else can reach.
    port
        0 for any that is free.
    token
        What peers must know.

    Raises
    ------
    InputError
        The port is in use or not allowed, or the address is not one of this machine.
    """
    place = LOOPBACK if host is None else host
    check_port(port)
    sock = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise InputError(_why_not(place, port, error)) from None
    return Listener(sock, token, limits)


def is_of_this_machine(host: str) -> bool:
    """Say whether an address is one of this machine's own: whether one may listen on it."""
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
