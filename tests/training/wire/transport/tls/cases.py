"""A token and the parties of a set of certificates."""

from __future__ import annotations

import pytest

from splitopt.training.wire.transport.tls import LEADER, Tls
from splitopt.training.wire.transport.tokens import Token

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

x509 = pytest.importorskip("cryptography.x509", reason="needs the extra 'tls'")


TOKEN = Token.new()


PARTIES = (LEADER, "phone", "Kühlschrank 2")


def put(folder, files):
    """Write files as a user keeps them."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return folder


def load(folder, rank, which="run", authority=None):
    place = folder / which
    ca = place / "ca.pem" if authority is None else folder / authority / "ca.pem"
    return Tls.load(place / f"rank-{rank}.pem", place / f"rank-{rank}.key", ca)
