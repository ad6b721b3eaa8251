"""Keys that two parties agree on through somebody who must not know them.

X25519 (RFC 7748), and HKDF with SHA-256 (RFC 5869) of what it gives; what only the other of two may
read is sealed by ChaCha20-Poly1305 (RFC 8439). All three are those of the package `cryptography`.
Private keys are drawn by the operating system.
"""

from __future__ import annotations

import importlib.util
import secrets
from dataclasses import dataclass, field

from splitopt.errors import InputError, SplitoptError

KEY_BYTES, SEAL_BYTES = 32, 16
_NONCE = bytes(12)  # a key seals one message


class SecureSumError(SplitoptError):
    """What came cannot belong to a secure sum, or too few parties are left for it."""


def need_cryptography(field: str) -> None:
    """Raise `InputError` that names the extra, where the package `cryptography` is missing."""
    if importlib.util.find_spec("cryptography") is None:
        raise InputError.at(
            field,
            "needs the package cryptography, which is not installed; install it with: "
            "pip install 'splitopt[tls]'",
        )


@dataclass(frozen=True)
class KeyPair:
    """A private key of X25519 and its public key, 32 bytes each."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def new(cls) -> KeyPair:
        """Return a pair that the operating system has drawn."""
        return cls.of(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def of(cls, private: bytes) -> KeyPair:
        """Return the pair of a private key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return cls(
            private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        )

    def agree(self, public: bytes, context: bytes) -> bytes:
        """Return the key that this party and the owner of a public key share.

        Parameters
        ----------
        public
            Of the other, 32 bytes.
        context
            What the key is for: another text gives another key.

        Raises
        ------
        SecureSumError
            It is no key that anybody draws, such as zero.
        """
        from cryptography.hazmat.primitives.asymmetric.x25519 import (
            X25519PrivateKey,
            X25519PublicKey,
        )
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        own = X25519PrivateKey.from_private_bytes(self.private)
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise SecureSumError("a public key that is none") from None
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"splitopt " + context).derive(shared)


def seal(key: bytes, text: bytes) -> bytes:
    """Seal the one message of a key; it is 16 bytes longer."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(_NONCE, text, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Return the message of a key; raise `SecureSumError` where it was not sealed by it."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise SecureSumError("a sealed share that was changed on its way") from None
