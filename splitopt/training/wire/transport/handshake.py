"""How two processes prove to each other that they have the token, before any other message.

Whoever connects greets with a nonce, the listener answers with one, the connector proves the token
over both, and only then does the listener prove it too. The proofs say whose they are, so that none
can be sent back as the other's. Everything that a listener sends begins with a word of 16 bytes, so
that one who is refused hears why. It hears no more than that: nothing follows a wrong proof.

The keys of the frames that follow are derived from the token and all bytes that went either way
until then, so that what was changed on the way is found out with the first frame at the latest.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from splitopt.training.wire.transport.clocks import Offset, answer, measure
from splitopt.training.wire.transport.errors import BusyError, FrameError, RefusedError
from splitopt.training.wire.transport.lines import ENDED, Line, TlsLine
from splitopt.training.wire.transport.seals import KEY_BYTES, Keys
from splitopt.training.wire.transport.tokens import PROOF_BYTES, Token

FAMILY = b"splitopt-"
GREETING = b"splitopt-wire/2\n"
PROVED = b"splitopt-proof \n"
OTHER_TOKEN = b"splitopt-token \n"
FULL = b"splitopt-full  \n"
NEEDS_TLS = b"splitopt-tls   \n"
NO_TLS = b"splitopt-plain \n"
WORD_BYTES = 16
NONCE_BYTES = 32
TLS_HELLO = 0x16
"""The first byte of whoever speaks TLS."""
HANDSHAKE_S = 10.0
"""Within which it must be done."""

_REFUSALS = {
    OTHER_TOKEN: "it has another token; give all ranks the same token",
    NEEDS_TLS: "it takes connections with TLS only; give --tls-cert, --tls-key and --tls-ca",
    NO_TLS: "it listens without TLS; start it with --tls-cert, --tls-key and --tls-ca too, or "
    "leave them out here",
}
STRANGER = "it does not speak splitopt's wire protocol"


@dataclass(frozen=True)
class Agreed:
    """What both sides know after the handshake.

    Parameters
    ----------
    offset
        Of the peer's clock.
    keys
        Of the frames.
    """

    offset: Offset
    keys: Keys


class _Talk:
    """A line of which whole pieces are read and written before a deadline, and remembered."""

    def __init__(self, line: Line, deadline_s: float) -> None:
        self.line, self.deadline_s = line, deadline_s
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()

    def receive(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        room = memoryview(bytearray(size))
        left = room
        while left:
            count = self.line.receive(left, self._left_s())
            if not count:
                raise BusyError(ENDED)
            left = left[count:]
        self.received.update(room)
        return bytes(room)

    def send(self, data: bytes) -> None:
        """Write all of it."""
        left = memoryview(data)
        while left:
            left = left[self.line.send(left, self._left_s()) :]
        self.sent.update(data)

    def keys(self, token: Token, connector: bool) -> Keys:
        """Derive the keys of the frames from the token and all bytes so far."""
        both = (self.sent, self.received) if connector else (self.received, self.sent)
        words = b"".join(one.digest() for one in both)
        forth, back = (token.proof(way + words)[:KEY_BYTES] for way in (b"frames to", b"frames of"))
        return Keys(forth, back) if connector else Keys(back, forth)

    def _left_s(self) -> float:
        left = self.deadline_s - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        return left


def shake_hands(line: Line, deadline_s: float, look: Callable[[bytes], object]) -> None:
    """Begin TLS, if the line has it; for parameters and errors see `TlsLine.shake_hands`.

    Raises
    ------
    BusyError
        The connection broke.
    """
    if isinstance(line, TlsLine):
        with _broken_is_busy():
            line.shake_hands(deadline_s, look)


@contextlib.contextmanager
def _broken_is_busy() -> Iterator[None]:
    """Turn what sockets raise, and what TLS does not let through, into `BusyError`."""
    try:
        yield
    except TimeoutError:
        raise BusyError("it did not say in time who it is") from None
    except OSError as error:
        raise BusyError(f"the connection broke ({error.strerror or error})") from None
    except FrameError as error:
        raise BusyError(f"it sent {error}") from None


def greet(line: Line, token: Token, deadline_s: float) -> Agreed:
    """Prove the token to a listener, have it prove it, and compare the clocks.

    Parameters
    ----------
    line
        To the listener.
    token
        That both sides have.
    deadline_s
        By the monotonic clock.

    Raises
    ------
    RefusedError
        The listener has another token, or is none of this protocol.
    BusyError
        It has no room, or did not answer.
    """
    talk = _Talk(line, deadline_s)
    own = secrets.token_bytes(NONCE_BYTES)
    with _broken_is_busy():
        _ask(talk, GREETING + own, GREETING)
        both = own + talk.receive(NONCE_BYTES)
        _ask(talk, token.proof(b"connector" + both), PROVED)
        if not token.proves(b"listener" + both, talk.receive(PROOF_BYTES)):
            raise RefusedError(
                "it could not prove that it has the token, so it is none of this run"
            )
        offset = measure(talk.send, talk.receive)
    return Agreed(offset, talk.keys(token, connector=True))


def welcome(
    line: Line, token: Token, deadline_s: float, proved: Callable[[], object] = lambda: None
) -> Agreed:
    """Have somebody who connected prove the token, prove it in turn, and compare the clocks.

    Parameters
    ----------
    line, token, deadline_s
        As for `greet`.
    proved
        Called as soon as the peer is no stranger any more.

    Raises
    ------
    RefusedError
        The peer has another token, or does not speak this protocol. It was told no more than why.
    """
    talk = _Talk(line, deadline_s)
    with _broken_is_busy():
        word = talk.receive(WORD_BYTES)
        if word != GREETING:
            _turn_away(line, word)
        peer, own = talk.receive(NONCE_BYTES), secrets.token_bytes(NONCE_BYTES)
        talk.send(GREETING + own)
        if not token.proves(b"connector" + peer + own, talk.receive(PROOF_BYTES)):
            line.end_after(OTHER_TOKEN)
            raise RefusedError("it has another token")
        proved()
        talk.send(PROVED + token.proof(b"listener" + peer + own))
        offset = answer(talk.send, talk.receive)
    return Agreed(offset, talk.keys(token, connector=False))


def _turn_away(line: Line, word: bytes) -> NoReturn:
    """Inform somebody whose first word is not the right one, if that is of any use; raise why."""
    if word[0] == TLS_HELLO:
        line.end_after(NO_TLS)
        raise RefusedError("it speaks TLS, and this side listens without")
    if word.startswith(FAMILY):
        line.end_after(GREETING)
        raise RefusedError("it speaks another version of splitopt's wire protocol")
    raise RefusedError(STRANGER)


def _ask(talk: _Talk, question: bytes, due: bytes) -> None:
    """Send something and read the word that begins the answer; raise what it means if not due."""
    with contextlib.suppress(ConnectionError):  # it has hung up; perhaps it said why before
        talk.send(question)
    word = talk.receive(WORD_BYTES)
    if word != due:
        raise refusal(word)


def refusal(word: bytes) -> RefusedError:
    """Return what a listener means by a word that was not due."""
    if word == FULL:
        return BusyError("too many connect to it at once")
    if word in _REFUSALS:
        return RefusedError(_REFUSALS[word])
    if word.startswith(FAMILY):
        return RefusedError(
            "it speaks another version of splitopt's wire protocol; install the same version of "
            "splitopt everywhere"
        )
    return RefusedError(f"{STRANGER}; see that this is the address of the run")


def expects_tls(line: Line) -> Callable[[bytes], None]:
    """Return what a listener with TLS does about the first bytes of a peer."""

    def look(first: bytes) -> None:
        if first.startswith(FAMILY):
            line.end_after(NEEDS_TLS, plain=True)
            raise RefusedError("it speaks without TLS, and this side listens with it")

    return look


def takes_refusals(first: bytes) -> None:
    """Raise what a listener without TLS means, to whom somebody with TLS has connected."""
    if first.startswith(FAMILY):
        raise refusal(first[:WORD_BYTES])
