"""Connections of one process with itself."""

from __future__ import annotations

import socket

import pytest

from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.clocks import Offset
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.frames import Limits
from splitopt.training.wire.transport.handshake import (
    Agreed,
)
from splitopt.training.wire.transport.lines import Line
from splitopt.training.wire.transport.listener import LOOPBACK, listen
from tests.training.wire.transport.channel.cases import KEYS, SOON, TOKEN

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


@pytest.fixture
def pair():
    """Both ends of an authenticated connection."""
    with (
        listen(None, 0, TOKEN) as listener,
        connect(LOOPBACK, listener.port, TOKEN, SOON) as one,
        listener.accept(SOON) as other,
    ):
        yield one, other


@pytest.fixture
def raw():
    """Yield a plain socket whose other end is a channel with small limits."""
    limits = Limits(header_bytes=10_000, payload_bytes=10_000, tensors=10)
    server = socket.create_server((LOOPBACK, 0))
    near = socket.create_connection(server.getsockname())
    far, _ = server.accept()
    server.close()
    with near, Channel(Line(far), Agreed(Offset(), KEYS), limits) as channel:
        yield near, channel
