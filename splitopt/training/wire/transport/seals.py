"""Whether a frame is the one that was sent: not changed on the way, not left out, not sent twice.

Both sides derive a key for each direction from the token and all that was said in the handshake.
Every frame has a tag under its direction's key, over its number, its prefix and its header, and
a second one over its values too. Keyed BLAKE2b (RFC 7693) of 16 bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from splitopt.training.wire.transport.errors import FrameError

TAG_BYTES = 16
KEY_BYTES = 32

_NUMBER = struct.Struct("<Q")


@dataclass(frozen=True)
class Keys:
    """The keys of one connection as one side has it, of 32 bytes each; they are never printed."""

    sending: bytes = field(repr=False)
    receiving: bytes = field(repr=False)

    @property
    def reversed(self) -> Keys:
        """The same, as the peer has them."""
        return Keys(self.receiving, self.sending)


class Seal:
    """What a frame of one direction must carry.

    Parameters
    ----------
    key
        Of the direction.
    number
        Of the frame, from 0.
    """

    def __init__(self, key: bytes, number: int) -> None:
        self._hash = hashlib.blake2b(_NUMBER.pack(number), key=key, digest_size=TAG_BYTES)

    def add(self, data: bytes | bytearray | memoryview) -> None:
        """Go on with what follows in the frame."""
        self._hash.update(data)

    def tag(self) -> bytes:
        """Return the tag of all of it so far."""
        return self._hash.digest()

    def check(self, tag: bytes | bytearray) -> None:
        """Raise `FrameError` unless this is the tag of all of it so far."""
        if not hmac.compare_digest(self.tag(), tag):
            raise FrameError("a frame that was changed on the way, or is out of its turn")
