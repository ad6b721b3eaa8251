"""What can go wrong between two processes."""

from __future__ import annotations

from splitopt.errors import SplitoptError


class ChannelError(SplitoptError):
    """A connection cannot be used; the message names the peer."""


class ChannelClosedError(ChannelError):
    """The peer, or the network between, has ended the connection."""


class ChannelTimeoutError(ChannelError, TimeoutError):
    """Nothing, or not all of it, came or could be sent in time; one may try again."""


class FrameError(ChannelError):
    """What came is not a frame of this protocol; the connection is ended."""


class RefusedError(ChannelError):
    """The peer has another token or certificate, or does not speak this protocol."""


class BusyError(RefusedError):
    """The peer could not be talked to just now; the next try may well succeed."""
