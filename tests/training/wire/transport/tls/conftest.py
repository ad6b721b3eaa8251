"""Sets of certificates, made once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from splitopt.training.wire.transport.certificates import (
    make_certificates,
)
from tests.training.wire.transport.tls.cases import PARTIES, load, put

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

x509 = pytest.importorskip("cryptography.x509", reason="needs the extra 'tls'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make sets: of the run, of another authority, old ones, and ones of tomorrow."""
    place, now = tmp_path_factory.mktemp("certificates"), datetime.now(UTC)
    put(place / "run", make_certificates(PARTIES))
    put(place / "other", make_certificates(PARTIES))
    put(place / "old", make_certificates(PARTIES, 30, now - timedelta(days=31)))
    put(place / "early", make_certificates(PARTIES, 30, now + timedelta(days=2)))
    return place


@pytest.fixture
def tls(folder):
    return [load(folder, rank) for rank in range(3)]
