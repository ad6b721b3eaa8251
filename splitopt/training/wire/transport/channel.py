"""Authenticated connections over TCP that carry tensors, at the pace of a planned link."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import Any

from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.wire.transport.clocks import SAME_CLOCK, Offset
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    FrameError,
    RefusedError,
)
from splitopt.training.wire.transport.frames import (
    MAGIC,
    PREFIX,
    USUAL_LIMITS,
    Limits,
    Message,
    Transfer,
    decode_header,
    decode_prefix,
    encode_header,
    room_for,
    values_of,
)
from splitopt.training.wire.transport.handshake import HANDSHAKE_S, greet
from splitopt.training.wire.transport.links import KernelLink
from splitopt.training.wire.transport.pacing import Bucket, Lease, pad_until
from splitopt.training.wire.transport.tokens import Token

STALL_S = 60.0
"""For so long a peer may take nothing of what is sent to it."""

_RETRY_S = 0.1
_SLICE_S = 3600.0  # a wait without end is made of these: the sockets always have a timeout
Begun = Callable[[Message], object]
_NOTHING: Mapping[str, Any] = {}


class Channel:
    """A connection to a peer that has proved to know the token.

    One thread may send while another one receives; several may send, whose messages follow one
    another.

    Attributes
    ----------
    peer
        The peer's address as ``HOST:PORT``.
    offset
        Of the peer's clock, measured when the connection was made.
    sent_bytes, received_bytes
        Bytes of the values of tensors, by the kind of message.
    overhead_bytes
        Bytes of prefixes and headers, both ways.
    """

    def __init__(
        self, sock: socket.socket, offset: Offset = SAME_CLOCK, limits: Limits = USUAL_LIMITS
    ) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.peer = address_of(sock)
        self.offset = offset
        self.limits = limits
        self.sent_bytes: Counter[str] = Counter()
        self.received_bytes: Counter[str] = Counter()
        self.overhead_bytes = 0
        self._in, self._out = sock, sock.dup()  # one object for each direction: own timeouts
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._frame = self._read_frame()
        self._wanted = next(self._frame)
        self._begun: Begun | None = None
        self._closed = False

    def send(
        self,
        kind: str,
        fields: Mapping[str, Any] = _NOTHING,
        tensors: Mapping[str, Tensor] = _NOTHING,
        *,
        bucket: Bucket | KernelLink | None = None,
        stall_s: float = STALL_S,
    ) -> Transfer:
        """Send a message and wait until all of it is on its way.

        Parameters
        ----------
        kind
            What it is.
        fields
            Plain data: what JSON can hold.
        tensors
            Their values travel bit for bit, in their shapes and dtypes.
        bucket
            The link whose pace the values keep; as fast as can be if None.
        stall_s
            For how long the peer may take nothing.

        Raises
        ------
        InputError
            Something that does not travel.
        ChannelClosedError
            The peer is gone, or has taken nothing for too long.
        """
        header = encode_header(kind, fields, tensors)
        parts = [values_of(tensor) for tensor in tensors.values()]
        size = sum(len(part) for part in parts)
        for length, limit in (
            (len(header), self.limits.header_bytes),
            (size, self.limits.payload_bytes),
        ):
            if length > limit:
                raise InputError.at(kind, f"has {length} bytes, a message may have {limit}")
        kernel = bucket if isinstance(bucket, KernelLink) else None
        own = bucket.shared if isinstance(bucket, KernelLink) else bucket
        with self._sending:
            lease = own.lease(size) if own is not None and size else None
            if own is not None and lease is not None:
                own.wait_until(lease.start_s)
            start_s = time.monotonic()
            self._write(PREFIX.pack(MAGIC, len(header), size, start_s) + header, stall_s)
            if kernel is not None:
                kernel.hold(start_s, size)
            for piece in _paced(parts, own, lease, passes_on=kernel is not None):
                self._write(piece, stall_s)
            if kernel is not None and size:
                self._drain(kernel, stall_s)
            end_s = time.monotonic()
            self.sent_bytes[kind] += size
            self.overhead_bytes += PREFIX.size + len(header)
        return Transfer(start_s, end_s, size)

    def receive(self, timeout_s: float | None = None, begun: Begun | None = None) -> Message:
        """Wait for the next message and give it once all of it is there.

        Parameters
        ----------
        timeout_s
            For how long; None for ever. What has come of a message until then is kept: a later
            call goes on with it.
        begun
            Called once the header of a message is there, while its tensors are still coming, with
            the message without them; its transfer ends when it begins.

        Raises
        ------
        ChannelTimeoutError
            There is no whole message yet.
        ChannelClosedError
            The peer is gone.
        FrameError
            What came is no message of this protocol; the connection is closed.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._receiving:
            self._begun = begun
            while True:
                if not len(self._wanted):
                    message = self._advance()
                    if message is not None:
                        return message
                    continue
                self._wanted = self._wanted[self._read(self._wanted, deadline_s) :]

    def close(self) -> None:
        """End the connection; a thread that waits on it gets `ChannelClosedError`."""
        self._closed = True
        for sock in (self._in, self._out):
            with contextlib.suppress(OSError):  # the peer was faster
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes | memoryview, stall_s: float) -> None:
        """Hand all of it over, as long as the peer takes some of it now and then."""
        left = memoryview(data)
        while left:
            try:
                self._out.settimeout(stall_s)
                left = left[self._out.send(left) :]
            except TimeoutError:
                self.close()  # half of a frame is out: nothing can follow it
                raise ChannelClosedError(
                    f"{self.peer} has taken nothing for {stall_s:g} s"
                ) from None
            except OSError as error:
                raise self._gone(error) from None

    def _drain(self, link: KernelLink, stall_s: float) -> None:
        """Wait until a link that somebody else paces has taken all of it."""
        try:
            link.drain(self._out, stall_s)
        except TimeoutError:
            self.close()
            raise ChannelClosedError(f"{self.peer} has taken nothing for {stall_s:g} s") from None
        except OSError as error:
            raise self._gone(error) from None
        except ValueError:  # it was closed here meanwhile: a closed socket has no number
            raise self._gone(None) from None

    def _read(self, room: memoryview, deadline_s: float | None) -> int:
        """Read some bytes into a place."""
        left = _SLICE_S if deadline_s is None else max(0.0, deadline_s - time.monotonic())
        try:
            self._in.settimeout(max(left, 1e-6))
            count = self._in.recv_into(room)
        except TimeoutError:
            if deadline_s is None:
                return 0
            raise ChannelTimeoutError(f"nothing came from {self.peer} in time") from None
        except OSError as error:
            raise self._gone(error) from None
        if not count:
            raise self._gone(None)
        return count

    def _gone(self, error: OSError | None) -> ChannelClosedError:
        if self._closed:
            return ChannelClosedError(f"the connection to {self.peer} was closed here")
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return ChannelClosedError(f"{self.peer} has closed the connection{why}")

    def _advance(self) -> Message | None:
        """Go on with the frame once a part of it is complete."""
        try:
            self._wanted = next(self._frame)
        except StopIteration as stop:
            self._frame = self._read_frame()
            self._wanted = next(self._frame)
            message: Message = stop.value
            return message
        except FrameError as error:
            self.close()
            raise FrameError(f"{self.peer} sent {error}") from None
        return None

    def _read_frame(self) -> Generator[memoryview, None, Message]:
        """Yield the places to be filled, one after the other, and return the message."""
        prefix = bytearray(PREFIX.size)
        yield memoryview(prefix)
        length, payload, sent_s = decode_prefix(prefix, self.limits)
        raw = bytearray(length)
        yield memoryview(raw)
        header = decode_header(raw, payload, self.limits)
        start_s = self.offset.own(sent_s)
        if self._begun is not None:
            self._begun(
                Message(header.kind, header.fields, {}, Transfer(start_s, start_s, payload))
            )
        tensors = room_for(header)
        for tensor in tensors.values():
            yield values_of(tensor)
        transfer = Transfer(start_s, time.monotonic(), payload)
        self.received_bytes[header.kind] += payload
        self.overhead_bytes += PREFIX.size + length
        return Message(header.kind, header.fields, tensors, transfer)


def connect(
    host: str, port: int, token: Token, timeout_s: float = 30.0, limits: Limits = USUAL_LIMITS
) -> Channel:
    """Connect to a listener, and wait for it if it is not there yet.

    Raises
    ------
    ChannelTimeoutError
        There is no listener within the time.
    RefusedError
        It has another token, or is none of splitopt.
    InputError
        There is no such host.
    """
    check_port(port)
    deadline_s = time.monotonic() + timeout_s
    while True:
        left = max(deadline_s - time.monotonic(), 1e-3)
        try:
            sock = socket.create_connection((host, port), timeout=left)
            break
        except socket.gaierror as error:
            raise InputError.at("host", f"{host!r} is not known ({error.strerror})") from None
        except OSError as error:
            if time.monotonic() + _RETRY_S >= deadline_s:
                raise ChannelTimeoutError(
                    f"nothing listens on {host}:{port} after {timeout_s:g} s ({error})"
                ) from None
        pad_until(time.monotonic() + _RETRY_S)
    try:
        offset = greet(sock, token, min(HANDSHAKE_S, timeout_s))
    except RefusedError as error:
        sock.close()
        raise RefusedError(
            f"{host}:{port} refused the connection: {error}; both sides need the same token and "
            "the same version of splitopt"
        ) from None
    return Channel(sock, offset, limits)


def check_port(port: int) -> None:
    """Raise `InputError` if a number is no port."""
    if not 0 <= port < 2**16:
        raise InputError.at("port", f"is {port}, it must be between 0 and 65535")


def address_of(sock: socket.socket) -> str:
    """Give the address of a socket's peer as ``HOST:PORT``."""
    try:
        host, port = sock.getpeername()[:2]
    except (OSError, ValueError):  # it is gone, or has no address of this kind
        return "a peer"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _paced(
    parts: list[memoryview], bucket: Bucket | None, lease: Lease | None, passes_on: bool = False
) -> Generator[memoryview, None, None]:
    """Yield pieces of the parts, each when it has passed the link.

    With ``passes_on`` a piece is given when it may begin: the kernel's link takes the time.
    """
    if bucket is None or lease is None:
        yield from parts
        return
    waiting = iter(parts)
    part = memoryview(b"")
    for first, last in lease.chunks():
        bucket.wait_until(lease.due_s(first if passes_on else last))
        left = last - first
        while left:
            while not part:
                part = next(waiting)
            piece, part = part[:left], part[left:]
            left -= len(piece)
            yield piece
