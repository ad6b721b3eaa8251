"""How two processes prove to each other that they have the token, before anything else is said.

Whoever connects greets with a nonce, the listener answers with one, the connector proves the token
over both, and only then does the listener prove it too. The proofs say whose they are, so that none
can be sent back as the other's. Somebody without the token learns nothing but that a listener is
there: the connection just ends.
"""

from __future__ import annotations

import secrets
import socket
import time

from splitopt.training.wire.transport.clocks import Offset, answer, measure
from splitopt.training.wire.transport.errors import RefusedError
from splitopt.training.wire.transport.tokens import PROOF_BYTES, Token

GREETING = b"splitopt-wire/1\n"
NONCE_BYTES = 32
HANDSHAKE_S = 10.0
"""Within which it must be done."""


class _Line:
    """A socket of which whole pieces are read and written before a deadline."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.sock = sock
        self.deadline_s = time.monotonic() + seconds

    def receive(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        found = b""
        while len(found) < size:
            self.sock.settimeout(max(1e-3, self.deadline_s - time.monotonic()))
            piece = self.sock.recv(size - len(found))
            if not piece:
                raise RefusedError("the connection was closed")
            found += piece
            if time.monotonic() > self.deadline_s:
                raise RefusedError("it took too long")
        return found

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.sock.settimeout(max(1e-3, self.deadline_s - time.monotonic()))
        self.sock.sendall(data)


def greet(sock: socket.socket, token: Token, seconds: float = HANDSHAKE_S) -> Offset:
    """Prove the token to a listener, have it prove it, and compare the clocks.

    Raises
    ------
    RefusedError
        The listener has another token, or is none of this protocol.
    """
    line = _Line(sock, seconds)
    own = secrets.token_bytes(NONCE_BYTES)
    try:
        line.send(GREETING + own)
        if line.receive(len(GREETING)) != GREETING:
            raise RefusedError("it does not speak splitopt's wire protocol of this version")
        both = own + line.receive(NONCE_BYTES)
        line.send(token.proof(b"connector" + both))
        if not token.proves(b"listener" + both, line.receive(PROOF_BYTES)):
            raise RefusedError("it could not prove that it has the token")
        return measure(line.send, line.receive)
    except OSError as error:
        raise RefusedError(f"the connection broke ({error})") from None


def welcome(sock: socket.socket, token: Token, seconds: float = HANDSHAKE_S) -> Offset:
    """Have somebody who connected prove the token, prove it in turn, and compare the clocks.

    Raises
    ------
    RefusedError
        The peer has another token, or does not speak this protocol; nothing was said to it.
    """
    line = _Line(sock, seconds)
    try:
        if line.receive(len(GREETING)) != GREETING:
            raise RefusedError("it does not speak splitopt's wire protocol of this version")
        peer, own = line.receive(NONCE_BYTES), secrets.token_bytes(NONCE_BYTES)
        line.send(GREETING + own)
        if not token.proves(b"connector" + peer + own, line.receive(PROOF_BYTES)):
            raise RefusedError("it has another token")
        line.send(token.proof(b"listener" + peer + own))
        return answer(line.send, line.receive)
    except OSError as error:
        raise RefusedError(f"the connection broke ({error})") from None
