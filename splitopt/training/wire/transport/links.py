"""How a process paces what it sends: by itself, or by a link that the kernel holds to its rate."""

from __future__ import annotations

import math
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from splitopt.training.wire.transport.pacing import Bucket, Granted, pad_until
from splitopt.training.wire.transport.sharing import SharedLink, SharedResource

PACKET, PAYLOAD = 1514, 1448
"""Bytes of a full Ethernet frame, and of TCP's payload in it."""

BURST_S = 1e-3
"""A link of the kernel may send so much at once: finer pacing costs more than it tells."""

MOST_SEGMENTS = 44

_SHORTEST_S, _LONGEST_S = 2e-4, 5e-3
_UNACKNOWLEDGED, _UNSENT = 0x5411, 0x894B  # SIOCOUTQ, SIOCOUTQNSD of Linux


def segments_at_once(rate_bytes_per_s: float) -> int:
    """Return how many full packets a link of a rate in byte/s of the payload may send in one go."""
    return min(max(int(rate_bytes_per_s * BURST_S / PAYLOAD), 1), MOST_SEGMENTS)


class KernelLink:
    """A link that `tc` paces; a sender waits until its message has left.

    A token bucket of the kernel lets what fits into it, and the first packet beyond, pass at once,
    and holds back what follows. A message is therefore held back here for as long as these bytes
    would take; with that it takes its time from the first byte to the last.

    Parameters
    ----------
    rate_bytes_per_s
        Of the payload.
    shared
        What others use at the same time: a message is handed over as that lets it through.
    """

    def __init__(self, rate_bytes_per_s: float, shared: SharedLink | None = None) -> None:
        self.rate, self.shared = rate_bytes_per_s, shared
        self._ahead = 2 * PAYLOAD * segments_at_once(rate_bytes_per_s)

    def hold(self, start_s: float, size: int) -> None:
        """Wait before the values of a message, so many bytes, that began at a moment."""
        pad_until(start_s + min(size, self._ahead) / self.rate)

    def drain(self, sock: socket.socket, stall_s: float) -> None:
        """Wait until the kernel has sent what it was given.

        What the peer has not acknowledged may still be queued, or has been received already by a
        peer that is slow to say so: it is waited for as long as the link needs for it.

        Raises
        ------
        TimeoutError
            Nothing left for so long.
        """
        moved_s, before, due_s = time.monotonic(), -1, math.inf
        while (left := _queued(sock, _UNACKNOWLEDGED)) > 0:
            now = time.monotonic()
            if left != before:
                moved_s, before = now, left
            if _queued(sock, _UNSENT) == 0:
                due_s = min(due_s, now + left / self.rate)
            if now >= due_s:
                return
            if now - moved_s > stall_s:
                raise TimeoutError
            wait_s = min(left / self.rate / 2, due_s - now)
            time.sleep(min(max(wait_s, _SHORTEST_S), _LONGEST_S))


def link_of(
    rate_bytes_per_s: float, resource: SharedResource | None = None
) -> Bucket | KernelLink | None:
    """Make a link of a rate; None, as fast as can be, for an infinite one.

    ``resource`` is what it is a share of, if others have shares at the same time.
    """
    if rate_bytes_per_s == math.inf:
        return None
    shared = None if resource is None else SharedLink(rate_bytes_per_s, resource)
    if _by_kernel:
        return KernelLink(rate_bytes_per_s, shared)
    return shared or Bucket(rate_bytes_per_s)


def link_from(rate_bytes_per_s: float, start_s: float) -> Bucket | KernelLink | None:
    """Make a link of a rate for one message that may begin at a moment; wait for it if need be."""
    if rate_bytes_per_s == math.inf:
        return None
    if _by_kernel:
        pad_until(start_s)
        return KernelLink(rate_bytes_per_s)
    return Granted(rate_bytes_per_s, start_s)


@contextmanager
def paced_by_kernel() -> Iterator[None]:
    """Leave the pace of all links of this process to the kernel meanwhile."""
    global _by_kernel
    _by_kernel = True
    try:
        yield
    finally:
        _by_kernel = False


_by_kernel = False


def _queued(sock: socket.socket, what: int) -> int:
    """Bytes in a socket's queue of one kind."""
    if sys.platform != "linux":
        return 0
    import fcntl

    (size,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), what, b"\0\0\0\0"))
    return int(size)
