"""Certificates: what a rank shows to the others, and what it asks of theirs.

Both sides of a connection show a certificate that the same authority has signed and that is in
force. Ranks are found by addresses, which change and which a certificate cannot know; a
certificate is for a party, whose name is the common name of its subject. Whoever connects checks
that the listener's certificate is for the party that it looks for; whoever listens checks, once a
peer has said which rank it is, that its certificate is for that rank's party.
"""

from __future__ import annotations

import logging
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown
from splitopt.training.wire.transport.errors import RefusedError
from splitopt.training.wire.transport.lines import common_name, meaning

LEADER = "rank-0"
"""The party that leads; all others are called as in the plan."""

_LOG = logging.getLogger(__name__)
_NOT_ACCEPTED = {  # by the X509_V_ERR_... of OpenSSL
    9: "is not in force yet; look at the clock of this machine",
    10: "has expired; make new certificates",
    26: "may not be used for both sides of a connection (its extended key usage)",
}


@dataclass(frozen=True)
class Tls:
    """The certificate of a party and the authority of all of them, checked against each other.

    Parameters
    ----------
    name
        Of the party that the certificate is for.
    connecting, listening
        What `ssl` makes connections with, TLS 1.3 or later.
    """

    name: str
    connecting: ssl.SSLContext = field(repr=False)
    listening: ssl.SSLContext = field(repr=False)

    @classmethod
    def load(cls, certificate: str | Path, key: str | Path, authority: str | Path) -> Tls:
        """Read files in PEM form.

        Parameters
        ----------
        certificate, key
            Of this party; the key without a password.
        authority
            The certificate of whoever has signed the certificates of all parties.

        Raises
        ------
        InputError
            A file cannot be read as what it is to be, they do not belong together, or the
            certificate is not signed by the authority, or not in force.
        """
        _expect("--tls-ca", authority, "CERTIFICATE")
        _expect("--tls-cert", certificate, "CERTIFICATE")
        _expect("--tls-key", key, "PRIVATE KEY")
        warn_if_others_can_read(key, "the key")
        connecting = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, authority)
        listening = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, authority)
        return cls(_own_name(connecting, listening, certificate), connecting, listening)

    def of_party(self, name: str) -> Tls:
        """Return it if it is for a party.

        Raises
        ------
        InputError
            It is for another one.
        """
        if self.name != name:
            raise InputError.at(
                "--tls-cert",
                f"is for {shown(self.name)}, this rank is {shown(name)}; give the certificate "
                "that has this as its common name",
            )
        return self


def warn_if_others_can_read(path: str | Path, what: str) -> None:
    """Log a line about a file with a secret that others on this machine can read."""
    if os.name == "posix" and Path(path).stat().st_mode & 0o077:
        _LOG.warning("%s: others on this machine can read %s; chmod 600 it", path, what)


def _expect(option: str, path: str | Path, kind: str) -> None:
    """See that a file has a block of PEM of a kind that can be used without asking anybody."""
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError.at(option, str(error)) from None
    if kind == "PRIVATE KEY" and "ENCRYPTED" in text:
        raise InputError.at(option, f"{path}: is locked with a password; give one without")
    if f"{kind}-----" not in text:
        raise InputError.at(option, f"{path}: has no {kind.lower()} in PEM form")


def _context(
    protocol: int, certificate: str | Path, key: str | Path, authority: str | Path
) -> ssl.SSLContext:
    """Make a context that shows a certificate and asks for one."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # certificates are for parties, see above
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # nobody goes on with an older session
    _load_authority(context, "--tls-ca", authority)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # those of `ssl` are such
        reason = getattr(error, "reason", None) or ""
        if "TOO_SMALL" in reason or "TOO_WEAK" in reason:
            raise InputError.at(
                "--tls-cert", f"{certificate}: its key or signature is too weak for TLS"
            ) from None
        if "MISMATCH" in reason:
            raise InputError.at(
                "--tls-key", f"{key}: does not belong to the certificate in {certificate}"
            ) from None
        _load_authority(ssl.SSLContext(protocol), "--tls-cert", certificate)
        raise InputError.at("--tls-key", f"{key}: cannot be read as a private key") from None
    return context


def _load_authority(context: ssl.SSLContext, option: str, path: str | Path) -> None:
    try:
        context.load_verify_locations(path)
    except OSError:  # those of `ssl` are such
        raise InputError.at(option, f"{path}: cannot be read as a certificate") from None


def _own_name(
    connecting: ssl.SSLContext, listening: ssl.SSLContext, certificate: str | Path
) -> str:
    """Shake hands with oneself, in memory; return the name that the certificate is for.

    Raises
    ------
    InputError
        The others would not accept the certificate.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = connecting.wrap_bio(back, there, server_side=False)
    far = listening.wrap_bio(there, back, server_side=True)
    try:
        for side in (near, far, near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
        return common_name(near)
    except ssl.SSLCertVerificationError as error:
        other = f"is not signed by the authority in --tls-ca ({error.verify_message})"
        why = _NOT_ACCEPTED.get(error.verify_code, other)
        raise InputError.at("--tls-cert", f"{certificate}: {why}") from None
    except ssl.SSLError as error:
        raise InputError.at("--tls-cert", f"{certificate}: {meaning(error)}") from None
    except RefusedError as error:
        raise InputError.at("--tls-cert", f"{certificate}: {error}") from None
