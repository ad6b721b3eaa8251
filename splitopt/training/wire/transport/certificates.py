"""A set of certificates for the parties of a run: an authority, and one for each, with its key.

The authority signs them and is forgotten: its key is written nowhere, so that nobody can add a
party to the set later on. Whoever has an authority already uses that.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from splitopt.errors import CapabilityError, InputError, shown
from splitopt.storage.outputs import cannot_write
from splitopt.storage.temporary import temporary_file
from splitopt.training.wire.transport.tls import LEADER
from splitopt.training.wire.transport.tokens import Token

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY = "ca.pem"
TOKEN = "token"
LONGEST_NAME = 64
"""Characters of a common name, by RFC 5280."""
LONGEST_DAYS = 3650
_EARLIER = timedelta(hours=1)
"""Certificates are in force since then: clocks of machines differ."""


def make_certificates(
    names: Sequence[str], days: int = 30, now: datetime | None = None
) -> dict[str, bytes]:
    """Make an authority, and a certificate with a key for each party.

    Parameters
    ----------
    names
        Of ranks 0, 1, ...
    days
        For how long they are in force.
    now
        When they are made; by the clock if None.

    Returns
    -------
    Name of a file -> its content: ``ca.pem``, and ``rank-K.pem`` and ``rank-K.key`` for each rank.

    Raises
    ------
    InputError
        A name is no name of a party, or stands twice, or the days are not from 1 to 3650.
    CapabilityError
        The package `cryptography` is not installed.
    """
    _check(names, days)
    if importlib.util.find_spec("cryptography") is None:
        raise CapabilityError(
            "making certificates needs the package cryptography, which is not installed; install "
            "it with: pip install 'splitopt[tls]'"
        )
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    begin = (now or datetime.now(UTC)) - _EARLIER
    until = begin + _EARLIER + timedelta(days=days)
    signing = ec.generate_private_key(ec.SECP256R1())
    authority = _signed(None, "splitopt authority", signing, signing, begin, until)
    found = {AUTHORITY: authority.public_bytes(serialization.Encoding.PEM)}
    for rank, name in enumerate(names):
        key = ec.generate_private_key(ec.SECP256R1())
        own = _signed(authority, name, key, signing, begin, until)
        found[f"rank-{rank}.pem"] = own.public_bytes(serialization.Encoding.PEM)
        found[f"rank-{rank}.key"] = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    return found


def write_certificates(
    folder: str | Path, parties: Sequence[str], days: int = 30, force: bool = False
) -> tuple[Path, ...]:
    """Write a set for a run into a folder, and a token; what is secret for this user alone.

    Parameters
    ----------
    folder
        Made if it is not there.
    parties
        Names of ranks 1, 2, ... of the run.
    days
        For how long they are in force.
    force
        Whether to replace files that are there.

    Returns
    -------
    The files.

    Raises
    ------
    InputError, CapabilityError
        As `make_certificates`; or a file is there, or cannot be written. Then nothing is written.
    """
    files = make_certificates((LEADER, *parties), days)
    files[TOKEN] = f"{Token.new().secret}\n".encode()
    place = Path(folder)
    targets = {place / name: content for name, content in files.items()}
    for path in targets:
        if path.is_symlink() or path.exists():
            if not force:
                raise InputError(f"{path}: is there already; take another folder, or --force")
            if path.is_dir():
                raise InputError(f"{path}: cannot be written, it is a folder")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made a folder ({error.strerror})") from None
    _write(targets)
    return tuple(targets)


def _check(names: Sequence[str], days: int) -> None:
    if not 1 <= days <= LONGEST_DAYS:
        raise InputError.at("--days", f"is {shown(days)}, it must be from 1 to {LONGEST_DAYS}")
    for name in names:
        if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            raise InputError.at(
                "--names",
                f"{shown(name)} must have 1 to {LONGEST_NAME} printable characters to stand in a "
                "certificate",
            )
        if names.count(name) > 1:
            raise InputError.at("--names", f"{shown(name)} stands twice; each party has its own")


def _signed(
    issuer: x509.Certificate | None,
    name: str,
    key: EllipticCurvePrivateKey,
    signing: EllipticCurvePrivateKey,
    begin: datetime,
    until: datetime,
) -> x509.Certificate:
    """Sign a certificate of a party, or without an issuer that of the authority itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = issuer is None
    above = x509.SubjectKeyIdentifier.from_public_key(signing.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), True)
        .add_extension(_usage(is_authority), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), False)
    )
    if not is_authority:
        both = x509.ExtendedKeyUsage([Usage.SERVER_AUTH, Usage.CLIENT_AUTH])
        builder = builder.add_extension(both, False)
    return builder.sign(signing, hashes.SHA256())


def _usage(is_authority: bool) -> x509.KeyUsage:
    """Return what a key may be used for: signing certificates, or proving who one is."""
    from cryptography import x509

    names = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    others: Mapping[str, bool] = dict.fromkeys((*names, "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        **others,
    )


def _write(files: Mapping[Path, bytes]) -> None:
    """Write files, all of them or none; what is secret is never there for others to read."""
    place = next(iter(files)).parent
    try:
        with contextlib.ExitStack() as stack:
            written = {path: stack.enter_context(temporary_file(path.parent)) for path in files}
            for path, made in written.items():
                made.stream.write(files[path])
                made.force()  # all of them, before one takes its place
            for path, made in written.items():
                made.become(path, 0o644 if path.suffix == ".pem" else 0o600)
    except OSError as error:
        raise cannot_write(place, error) from None
