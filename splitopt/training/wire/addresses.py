"""Where a party listens, as it says itself, and where others find it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.listener import LOOPBACK, is_of_this_machine

CONNECT_S = 30.0
"""For so long parties other than rank 0 try to find each other."""
_WILDCARDS = ("0.0.0.0", "::")


def address_of(fields: Mapping[str, Any]) -> tuple[str, int]:
    """Read where a party listens.

    Raises
    ------
    FrameError
        The fields do not say so.
    """
    match fields.get("host"), fields.get("port"):
        case str() as host, int() as port if 0 < port < 2**16:
            return host, port
    raise FrameError("a message without an address")


def place_of(fields: Mapping[str, Any], peer: str) -> tuple[str, int]:
    """Return where others find a party that says where it listens.

    Parameters
    ----------
    fields
        Of its message, with ``host`` and ``port``.
    peer
        From where it has connected, ``HOST:PORT``.

    Raises
    ------
    ChannelError
        Nobody else can connect there.
    """
    host, port = address_of(fields)
    seen = peer.rpartition(":")[0].strip("[]")
    if host in _WILDCARDS:  # all of its interfaces: that by which it came
        host = seen
    if host == LOOPBACK and not is_of_this_machine(seen):
        raise ChannelError(
            f"it runs on {seen} but listens on its loopback interface, where nobody else can "
            "connect; start it with --listen 0.0.0.0"
        )
    return host, port
