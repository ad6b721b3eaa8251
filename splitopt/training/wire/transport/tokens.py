"""The secret that all processes of a run share, and proofs of having it that do not tell it."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from splitopt.errors import InputError
from splitopt.files import read_text

TOKEN_VARIABLE = "SPLITOPT_TOKEN"
"""Environment variable with the token itself."""

FILE_VARIABLE = "SPLITOPT_TOKEN_FILE"
"""Environment variable with the path of a file that holds it."""

PROOF_BYTES = 32
_SHORTEST = 16

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Token:
    """A shared secret of 16 characters or more; it is never printed and never sent.

    Raises
    ------
    InputError
        The secret is shorter.
    """

    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _SHORTEST:
            raise InputError.at(
                "token",
                f"has {len(self.secret)} characters, it must have {_SHORTEST} or more, such as "
                "'openssl rand -hex 32' prints",
            )

    @classmethod
    def new(cls) -> Token:
        """Draw a token of 256 bits, such as for the processes of one machine."""
        return cls(secrets.token_hex(32))

    def proof(self, words: bytes) -> bytes:
        """Give the HMAC-SHA256 of a message under the token (RFC 2104)."""
        return hmac.new(self.secret.encode(), words, hashlib.sha256).digest()

    def proves(self, words: bytes, proof: bytes) -> bool:
        """Say whether a proof is that of the message, in a time that tells nothing about it."""
        return hmac.compare_digest(self.proof(words), proof)


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
        The file cannot be read, or the token is too short.
    """
    known = os.environ if environment is None else environment
    if path is None:
        if secret := known.get(TOKEN_VARIABLE):
            return Token(secret.strip())
        path = known.get(FILE_VARIABLE) or None
    if path is None:
        return None
    secret = read_text(path).strip()
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        _LOG.warning("%s: others on this machine can read the token; chmod 600 it", path)
    return Token(secret)
