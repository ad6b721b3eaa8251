"""The secret that all processes of a run share, and proofs of having it that do not tell it."""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from splitopt.documents.reading import read_text
from splitopt.errors import InputError
from splitopt.training.wire.transport.tls import warn_if_others_can_read

TOKEN_VARIABLE = "SPLITOPT_TOKEN"
"""Environment variable with the token itself."""

FILE_VARIABLE = "SPLITOPT_TOKEN_FILE"
"""Environment variable with the path of a file that holds it."""

PROOF_BYTES = 32
_SHORTEST = 16
_LEAST_BITS = 32.0
"""Of 100,000 random tokens of 16 hexadecimal digits none has fewer by `guessing_bits`."""
_HOW = 'draw one with: python -c "import secrets; print(secrets.token_hex(32))"'


@dataclass(frozen=True)
class Token:
    """A shared secret that cannot be guessed; it is never printed and never sent.

    Whoever pretends to be a listener gets a proof of it, against which guesses can be tried for as
    long as one likes. What looks easy to guess is refused; a passphrase may still be easy, and
    only a token that was drawn at random is safe.

    Raises
    ------
    InputError
        The secret is shorter than 16 characters, or looks easy to guess.
    """

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _SHORTEST:
            raise InputError.at(
                "token",
                f"has {len(self.secret)} characters, it must have {_SHORTEST} or more; {_HOW}",
            )
        if guessing_bits(self.secret) < _LEAST_BITS:
            raise InputError.at(
                "token",
                f"is easy to guess: it repeats itself or has few different characters; {_HOW}",
            )

    @classmethod
    def new(cls) -> Token:
        """Draw a token of 256 bits, such as for the processes of one machine."""
        return cls(secrets.token_hex(32))

    def proof(self, words: bytes) -> bytes:
        """Return the HMAC-SHA256 of a message under the token (RFC 2104)."""
        return hmac.new(self.secret.encode(), words, hashlib.sha256).digest()

    def proves(self, words: bytes, proof: bytes) -> bool:
        """Report whether a proof is that of the message, in a time that tells nothing about it."""
        return hmac.compare_digest(self.proof(words), proof)


def guessing_bits(text: str) -> float:
    """Return about how many bits whoever looks for patterns would have to guess.

    What repeats itself counts once; then the entropy of the characters, and of the steps from
    each to the next, by how often each occurs, whichever is less. It knows no words.
    """
    once = text[: (text + text).find(text, 1)]
    steps = [ord(after) - ord(before) for before, after in pairwise(once)]
    return min(_entropy(once), _entropy(steps))


def _entropy(values: Sequence[object]) -> float:
    """Return the bits of a sequence, if each value is drawn as often as it occurs in it."""
    length = len(values)
    return sum(count * math.log2(length / count) for count in Counter(values).values())


def read_token(
    path: str | Path | None = None, environment: Mapping[str, str] | None = None
) -> Token | None:
    """Read the token from a file, or from the environment.

    Parameters
    ----------
    path
        A file that holds nothing else; white space around it does not count. None for what the
        environment says: `TOKEN_VARIABLE`, or else `FILE_VARIABLE`.
    environment
        Instead of that of the process.

    Returns
    -------
    None where there is none. It is never taken from a command line, which others on the machine
    can read.

    Raises
    ------
    InputError
        The file cannot be read, or the token is too short or easy to guess.
    """
    known = os.environ if environment is None else environment
    if path is None:
        if secret := known.get(TOKEN_VARIABLE):
            return Token(secret.strip())
        path = known.get(FILE_VARIABLE) or None
    if path is None:
        return None
    secret = read_text(path).strip()
    warn_if_others_can_read(path, "the token")
    return Token(secret)
