"""Authenticated connections over TCP that carry tensors, at the pace of a planned link."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelError,
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
from splitopt.training.wire.transport.handshake import Agreed
from splitopt.training.wire.transport.lines import Line
from splitopt.training.wire.transport.links import KernelLink
from splitopt.training.wire.transport.pacing import Bucket, Lease
from splitopt.training.wire.transport.seals import TAG_BYTES, Seal

STALL_S = 60.0
"""For so long a peer may take nothing of what is sent to it."""

UNREAD = "unread"
"""The last message of who could not read what came, with the reason: the peer can still hear it."""

_LAST_S = 1.0  # for so long the last words of a peer that takes no more are waited for
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
    name
        Of the party that the peer's certificate is for; None without TLS.
    offset
        Of the peer's clock, measured when the connection was made.
    sent_bytes, received_bytes
        Bytes of the values of tensors, by the kind of message; a message counts as sent from its
        first byte.
    overhead_bytes
        Bytes of prefixes, headers and tags, both ways.
    """

    def __init__(self, line: Line, agreed: Agreed, limits: Limits = USUAL_LIMITS) -> None:
        line.split()
        self.peer, self.name = line.peer, line.name
        self.offset = agreed.offset
        self.limits = limits
        self.sent_bytes: Counter[str] = Counter()
        self.received_bytes: Counter[str] = Counter()
        self.overhead_bytes = 0
        self._line, self._keys = line, agreed.keys
        self._sent = self._received = 0  # frames: each tag has the number of its own
        self._seal: Seal | None = None  # of the values that are being received
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        self._frame = self._read_frame()
        self._wanted = next(self._frame)
        self._begun: Begun | None = None
        self.aside: Callable[[Message], bool] | None = None  # answers messages of some kinds
        self._closed = False
        self._why: str | None = None  # the peer has ended the connection, if it has said so
        self._kept: deque[Message] = deque()  # came while something was sent that was not taken

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
            The peer is gone, or has taken nothing for too long; the message has the reason that
            the peer has sent, if there is one.
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
            seal = Seal(self._keys.sending, self._sent)
            self._sent += 1
            head = PREFIX.pack(MAGIC, len(header), size, start_s) + header
            seal.add(head)
            # counted first: who has received all of it may ask for the counts before we go on here
            self.sent_bytes[kind] += size
            self.overhead_bytes += overhead(len(header), size)
            self._write(head + seal.tag(), stall_s)
            if kernel is not None:
                kernel.hold(start_s, size)
            for piece in _paced(parts, own, lease, passes_on=kernel is not None):
                seal.add(piece)
                self._write(piece, stall_s)
            if size:
                self._write(seal.tag(), stall_s)
            if kernel is not None and size:
                self._drain(kernel, stall_s)
            end_s = time.monotonic()
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
        while True:
            with self._receiving:
                found = self._kept.popleft() if self._kept else self._next(deadline_s, begun)
            if self.aside is None or not self.aside(found):
                return found

    def _next(self, deadline_s: float | None, begun: Begun | None = None) -> Message:
        """Wait for the next message on the line."""
        self._begun = begun
        while True:
            if not len(self._wanted):
                message = self._advance()
                if message is not None and message.kind == UNREAD:
                    self._why = f"it got {str(message.fields.get('message'))[:500]}"
                    self.close()
                    raise self._gone(None)
                if message is not None:
                    return message
                continue
            count = self._read(self._wanted, deadline_s)
            if self._seal is not None:
                self._seal.add(self._wanted[:count])
            self._wanted = self._wanted[count:]

    def close(self) -> None:
        """End the connection; a thread that waits on it gets `ChannelClosedError`."""
        self._closed = True
        self._line.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, data: bytes | memoryview, stall_s: float) -> None:
        """Write all of it, as long as the peer takes some of it now and then."""
        left = memoryview(data)
        while left:
            try:
                left = left[self._line.send(left, stall_s) :]
            except TimeoutError:
                self.close()  # half of a frame is out: nothing can follow it
                raise ChannelClosedError(
                    f"{self.peer} has taken nothing for {stall_s:g} s"
                ) from None
            except OSError as error:
                self._hear_last_words()
                raise self._gone(error) from None

    def _hear_last_words(self) -> None:
        """Read what the peer has sent before it took no more, for its reason and for `receive`.

        Another thread that receives meanwhile finds the reason in our stead.
        """
        if self._closed or not self._receiving.acquire(timeout=_LAST_S):
            return
        try:
            deadline_s = time.monotonic() + _LAST_S
            while time.monotonic() < deadline_s:
                self._kept.append(self._next(deadline_s))
        except FrameError as error:  # such as the alert with which TLS ends
            self._why = self._why or str(error)
        except ChannelError:  # the end of what came
            pass
        finally:
            self._receiving.release()

    def _drain(self, link: KernelLink, stall_s: float) -> None:
        """Wait until a link that somebody else paces has taken all of it."""
        try:
            link.drain(self._line.out, stall_s)
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
            count = self._line.receive(room, max(left, 1e-6))
        except TimeoutError:
            if deadline_s is None:
                return 0
            raise ChannelTimeoutError(f"nothing came from {self.peer} in time") from None
        except (FrameError, RefusedError) as error:  # TLS says so, to the peer as well
            self._line.end_after()
            self.close()
            raise FrameError(f"{self.peer} sent {error}") from None
        except OSError as error:
            raise self._gone(error) from None
        if not count:
            raise self._gone(None)
        return count

    def _gone(self, error: OSError | None) -> ChannelClosedError:
        if self._why is not None:
            return ChannelClosedError(f"{self.peer} has ended the connection: {self._why}")
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
            self._end_saying(str(error))
            raise FrameError(f"{self.peer} sent {error}") from None
        return None

    def _end_saying(self, why: str) -> None:
        """End the connection with the reason, unless half of a message is on its way."""
        if self._sending.acquire(blocking=False):
            try:
                header = encode_header(UNREAD, {"message": why}, {})
                head = PREFIX.pack(MAGIC, len(header), 0, time.monotonic()) + header
                seal = Seal(self._keys.sending, self._sent)
                self._sent += 1
                seal.add(head)
                self._line.end_after(head + seal.tag())
            finally:
                self._sending.release()
        self.close()

    def _read_frame(self) -> Generator[memoryview, None, Message]:
        """Yield the places to be filled, one after the other, and return the message."""
        prefix = bytearray(PREFIX.size)
        yield memoryview(prefix)
        length, payload, sent_s = decode_prefix(prefix, self.limits)
        raw = bytearray(length)
        yield memoryview(raw)
        seal = Seal(self._keys.receiving, self._received)
        self._received += 1
        seal.add(prefix)
        seal.add(raw)
        tag = bytearray(TAG_BYTES)
        yield memoryview(tag)
        seal.check(tag)
        header = decode_header(raw, payload, self.limits)
        start_s = self.offset.own(sent_s)
        if self._begun is not None:
            self._begun(
                Message(header.kind, header.fields, {}, Transfer(start_s, start_s, payload))
            )
        tensors = room_for(header)
        if payload:
            self._seal = seal
            for tensor in tensors.values():
                yield values_of(tensor)
            self._seal = None
            yield memoryview(tag)
            seal.check(tag)
        transfer = Transfer(start_s, time.monotonic(), payload)
        self.received_bytes[header.kind] += payload
        self.overhead_bytes += overhead(length, payload)
        return Message(header.kind, header.fields, tensors, transfer)


def overhead(header: int, payload: int) -> int:
    """Return the bytes of a frame that are no values of tensors."""
    return PREFIX.size + header + TAG_BYTES * (2 if payload else 1)


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
