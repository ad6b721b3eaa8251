"""The bytes of a connection, both ways: plain, or within TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from splitopt.training.wire.transport.errors import BusyError, FrameError, RefusedError

ENDED = "it ended the connection without an answer"
_LINGER_S = 0.5
_PIECE = 1 << 18  # of what is encrypted or read at once


class Line:
    """A connected socket whose two directions have time limits of their own.

    One thread may send while another one receives.

    Attributes
    ----------
    peer
        The peer's address as ``HOST:PORT``.
    name
        Of the party that the peer's certificate is for; None without TLS.
    """

    name: str | None = None

    def __init__(self, sock: socket.socket) -> None:
        self.peer = address_of(sock)
        with contextlib.suppress(OSError):  # of one who is gone already, as the first read tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._in = self._out = sock

    @property
    def out(self) -> socket.socket:
        """The socket that is sent on."""
        return self._out

    def split(self) -> None:
        """Make a socket object of each direction, so that their time limits are their own."""
        self._out = self._in.dup()

    def send(self, data: memoryview, timeout_s: float) -> int:
        """Send some of it, and return how many bytes; what sockets raise is raised."""
        self._out.settimeout(timeout_s)
        return self._out.send(data)

    def receive(self, room: memoryview, timeout_s: float) -> int:
        """Read some bytes into a place, and return how many; 0 at the end of the connection.

        Raises
        ------
        OSError
            What sockets raise, such as `TimeoutError`.
        FrameError, RefusedError
            What came cannot be of the peer, or says why it has refused.
        """
        self._in.settimeout(timeout_s)
        return self._in.recv_into(room)

    def close(self) -> None:
        """End the connection, whoever waits on it."""
        for sock in {self._in, self._out}:
            shut(sock)
            sock.close()

    def end_after(self, data: bytes = b"", *, plain: bool = False) -> None:
        """End the connection with a last word, and leave the peer a moment to read it.

        A socket that is closed while something has not been read loses what it has sent.

        Parameters
        ----------
        data
            The word.
        plain
            Leave it out of TLS, if the line has that.
        """
        until_s = time.monotonic() + _LINGER_S
        word = memoryview(data)
        with contextlib.suppress(OSError):  # the peer was faster
            if plain:
                Line.send(self, word, _LINGER_S)
            elif word:
                self.send(word, _LINGER_S)
            self._out.shutdown(socket.SHUT_WR)
            while (left := until_s - time.monotonic()) > 0:
                self._in.settimeout(left)
                if not self._in.recv(_PIECE):
                    break
        self.close()


class TlsLine(Line):
    """A line within TLS. `TlsLine.shake_hands` comes first.

    The record layer works in memory, under a lock, and never waits for the network: one thread
    may send while another one receives, which a socket of Python's `ssl` does not promise.

    Parameters
    ----------
    sock
        Connected.
    context
        With one's own certificate and the authority that the peer's must be signed by.
    server_side
        Whether the peer has connected.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_side: bool) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._records = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._lock = threading.Lock()

    def shake_hands(self, deadline_s: float, look: Callable[[bytes], object]) -> None:
        """Agree on keys, and check the peer's certificate.

        Parameters
        ----------
        deadline_s
            By the monotonic clock.
        look
            Called with the peer's first bytes; it raises if they are none of TLS.

        Raises
        ------
        RefusedError
            A certificate is not accepted, or the peer does not speak TLS.
        OSError
            What sockets raise.
        """
        is_first = True
        while not self._is_agreed(deadline_s):
            piece = self._read_raw(_left_s(deadline_s))
            if not piece:
                raise BusyError(ENDED)
            if is_first:
                look(piece)
            is_first = False
            self._incoming.write(piece)
        self.name = common_name(self._records)

    def _is_agreed(self, deadline_s: float) -> bool:
        """Go on with the handshake as far as what has come allows, and say whether it is over."""
        try:
            self._records.do_handshake()
        except ssl.SSLWantReadError:
            self._flush(deadline_s)
            return False
        except ssl.SSLError as error:
            with contextlib.suppress(OSError):  # the alert, by which the peer hears why
                self._flush(deadline_s)
                self.end_after()
            raise meaning(error) from None
        self._flush(deadline_s)
        return True

    def send(self, data: memoryview, timeout_s: float) -> int:
        """Encrypt and hand over some of it; see `Line.send`."""
        piece = data[:_PIECE]
        left = piece
        with self._lock:
            while left:
                left = left[self._records.write(left) :]
            sealed = memoryview(self._outgoing.read())
        self._out.settimeout(timeout_s)
        while sealed:
            sealed = sealed[self._out.send(sealed) :]
        return len(piece)

    def receive(self, room: memoryview, timeout_s: float) -> int:
        """Read and decrypt some bytes into a place; see `Line.receive`."""
        deadline_s, left_s = time.monotonic() + timeout_s, timeout_s
        while True:
            with self._lock:
                try:
                    count: Any = self._records.read(len(room), room)
                    return int(count)
                except ssl.SSLWantReadError:
                    pass
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return 0
                except ssl.SSLError as error:
                    raise meaning(error) from None
            piece = self._read_raw(left_s)
            with self._lock:
                if piece:
                    self._incoming.write(piece)
                else:
                    self._incoming.write_eof()
            left_s = _left_s(deadline_s)

    def end_after(self, data: bytes = b"", *, plain: bool = False) -> None:
        """End the connection with a last word behind what TLS has to say; see `Line.end_after`."""
        with contextlib.suppress(OSError):  # the peer was faster
            self._flush(time.monotonic() + _LINGER_S)
        super().end_after(data, plain=plain)

    def _read_raw(self, timeout_s: float) -> bytes:
        self._in.settimeout(timeout_s)
        return self._in.recv(_PIECE)

    def _flush(self, deadline_s: float) -> None:
        """Send what the record layer has to say."""
        if self._outgoing.pending:
            self._out.settimeout(_left_s(deadline_s))
            self._out.sendall(self._outgoing.read())


def _left_s(deadline_s: float) -> float:
    """Return how long is left; raise `TimeoutError` if nothing is, whatever else may come."""
    left = deadline_s - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


def shut(sock: socket.socket) -> None:
    """End a connection in both directions, so that a thread that waits on it goes on."""
    with contextlib.suppress(OSError):  # the peer was faster
        sock.shutdown(socket.SHUT_RDWR)


def address_of(sock: socket.socket) -> str:
    """Return the address of a socket's peer as ``HOST:PORT``."""
    try:
        host, port = sock.getpeername()[:2]
    except (OSError, ValueError):  # it is gone, or has no address of this kind
        return "a peer"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def common_name(records: ssl.SSLObject) -> str:
    """Return the name that the peer's certificate is for; raise `RefusedError` if it has not one.

    It is the common name of the certificate's subject.
    """
    subject: Any = (records.getpeercert() or {}).get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    if len(names) != 1:
        raise RefusedError("its certificate must have one common name, that of its party")
    return str(names[0])


def meaning(error: ssl.SSLError) -> FrameError | RefusedError:
    """Return what an error of TLS means, as the end of a sentence about the peer."""
    reason = (error.reason or "").replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        return RefusedError(
            f"its certificate is not accepted here ({error.verify_message}); all certificates of "
            "a run must be signed by the authority in --tls-ca, and in force"
        )
    if "peer did not return a certificate" in reason:
        return RefusedError("it has no certificate")
    if "alert" in reason and any(word in reason for word in ("certificate", "unknown ca")):
        return RefusedError(f"it does not accept the certificate of this side ({reason})")
    if any(word in reason for word in ("wrong version", "http request", "unknown protocol")):
        return RefusedError("it does not speak TLS")
    return FrameError(f"what TLS does not let through ({reason or error}): changed on the way")
