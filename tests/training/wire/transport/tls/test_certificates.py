"""Certificates: files, ranks, and how sets of them are made."""

from __future__ import annotations

import errno
import stat
from datetime import UTC, datetime, timedelta

import pytest

from splitopt.errors import InputError, WriteError
from splitopt.training.wire.ranks import Rank
from splitopt.training.wire.setting import Setting
from splitopt.training.wire.transport.certificates import (
    write_certificates,
)
from splitopt.training.wire.transport.listener import LOOPBACK, listen
from splitopt.training.wire.transport.tls import LEADER, Tls
from splitopt.training.wire.transport.tokens import Token
from tests.training.wire.transport.tls.cases import PARTIES, TOKEN, load

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

x509 = pytest.importorskip("cryptography.x509", reason="needs the extra 'tls'")

pytestmark = pytest.mark.train


def weak():
    """Make a certificate with a key of 1024 bits, signed by itself."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key, now = rsa.generate_private_key(65537, 1024), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "phone")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    return {
        "weak.pem": builder.sign(key, hashes.SHA256()).public_bytes(pem),
        "weak.key": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }


class TestFiles:
    @pytest.mark.parametrize(
        ("certificate", "key", "authority", "words"),
        [
            ("run/rank-1.pem", "run/none.key", "run/ca.pem", "--tls-key: .*there is no such file"),
            ("run/none.pem", "run/rank-1.key", "run/ca.pem", "--tls-cert: .*no such file"),
            ("run/rank-1.pem", "run/rank-1.key", "run/none", "--tls-ca: .*no such file"),
            ("run", "run/rank-1.key", "run/ca.pem", "--tls-cert: .*is a folder"),
            ("run/rank-1.key", "run/rank-1.key", "run/ca.pem", "--tls-cert: .*no certificate in"),
            ("run/rank-1.pem", "run/rank-1.pem", "run/ca.pem", "--tls-key: .*no private key in"),
            ("run/rank-1.pem", "run/rank-2.key", "run/ca.pem", "--tls-key: .*does not belong to"),
            ("run/rank-1.pem", "locked", "run/ca.pem", "--tls-key: .*locked with a password"),
            ("torn.pem", "run/rank-1.key", "run/ca.pem", "--tls-cert: .*read as a certificate"),
            ("run/rank-1.pem", "torn.key", "run/ca.pem", "--tls-key: .*read as a private key"),
            ("run/rank-1.pem", "run/rank-1.key", "torn.pem", "--tls-ca: .*read as a certificate"),
            ("run/rank-1.pem", "run/rank-1.key", "other/ca.pem", "not signed by the authority in"),
            ("old/rank-1.pem", "old/rank-1.key", "old/ca.pem", "--tls-cert: .*has expired"),
            ("early/rank-1.pem", "early/rank-1.key", "early/ca.pem", "is not in force yet"),
            ("run/ca.der", "run/rank-1.key", "run/ca.pem", "--tls-cert: .*is not UTF-8 text"),
            ("weak.pem", "weak.key", "weak.pem", "--tls-cert: .*too weak for TLS"),
        ],
    )
    def test_that_cannot_be_used(self, folder, certificate, key, authority, words):
        """One sentence that names the option and the file."""
        run = folder / "run"
        for name, source in (("torn.pem", "rank-1.pem"), ("torn.key", "rank-1.key")):
            text = (run / source).read_text()
            (folder / name).write_text(text.replace("M", "N"))
            (folder / name).chmod(0o600)
        (folder / "locked").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        pem = x509.load_pem_x509_certificate((run / "ca.pem").read_bytes())
        from cryptography.hazmat.primitives.serialization import Encoding

        (run / "ca.der").write_bytes(pem.public_bytes(Encoding.DER))
        for name, content in weak().items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        with pytest.raises(InputError, match=words) as caught:
            Tls.load(folder / certificate, folder / key, folder / authority)
        assert "\n" not in str(caught.value)

    def test_a_key_that_others_can_read_is_warned_of(self, folder, caplog):
        key = folder / "run" / "rank-1.key"
        key.chmod(0o644)
        load(folder, 1)
        key.chmod(0o600)
        assert "others on this machine can read the key; chmod 600 it" in caplog.text


class TestRanks:
    """What a rank is told before it connects to anybody."""

    def test_the_certificate_is_the_ranks(self, tls):
        rank = Rank(1, 3, "127.0.0.1", 1)
        rank.check_protected(Setting(TOKEN, tls=tls[1]), PARTIES[1:])
        with pytest.raises(InputError, match="--tls-cert: is for 'rank-0', this rank is 'phone'"):
            rank.check_protected(Setting(TOKEN, tls=tls[0]), PARTIES[1:])

    def test_a_party_that_is_called_as_the_leader_is(self, tls):
        with pytest.raises(InputError, match="a party of the plan is called rank-0"):
            Rank(0, 3, LOOPBACK, 1).check_protected(Setting(TOKEN, tls=tls[0]), ("phone", LEADER))

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_plain_beyond_loopback_is_refused_unless_it_is_wanted(self, host):
        words = f"^listen: {host} can be reached from other machines; give --tls-cert"
        for rank in (0, 1):
            with pytest.raises(InputError, match=words):
                Rank(rank, 3, LOOPBACK, 1).check_protected(Setting(TOKEN, host=host), ("a", "b"))
        with pytest.raises(InputError, match=words):
            listen(host, 0, TOKEN)
        Rank(0, 3, LOOPBACK, 1).check_protected(Setting(TOKEN, host=host, no_tls=True), ("a", "b"))
        if host == "0.0.0.0":
            listen(host, 0, TOKEN, no_tls=True).close()

    def test_plain_to_another_machine_is_refused_unless_it_is_wanted(self):
        rank = Rank(1, 3, "192.0.2.1", 1)
        with pytest.raises(
            InputError, match=r"^master: rank 0 may be elsewhere, at 192.0.2.1; give"
        ):
            rank.check_protected(Setting(TOKEN), ("a", "b"))
        rank.check_protected(Setting(TOKEN, no_tls=True), ("a", "b"))
        for host in (LOOPBACK, "localhost", "::1"):
            Rank(1, 3, host, 1).check_protected(Setting(TOKEN), ("a", "b"))


class TestMaking:
    def test_what_is_in_a_set(self, tmp_path):
        paths = write_certificates(tmp_path / "set", ["phone"])
        names = ["ca.pem", "rank-0.pem", "rank-0.key", "rank-1.pem", "rank-1.key", "token"]
        assert [path.name for path in paths] == names
        for path in paths:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o644 if path.suffix == ".pem" else 0o600), path
        made = x509.load_pem_x509_certificate((tmp_path / "set" / "rank-1.pem").read_bytes())
        assert made.subject.rfc4514_string() == "CN=phone"
        assert timedelta(days=30) < made.not_valid_after_utc - made.not_valid_before_utc
        left = made.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days=29, hours=23) < left <= timedelta(days=30)
        Token((tmp_path / "set" / "token").read_text().strip())
        assert not list((tmp_path / "set").glob(".*"))

    def test_nothing_is_replaced_unless_it_is_wanted(self, tmp_path):
        write_certificates(tmp_path, ["phone"])
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(InputError, match=r"ca.pem: is there already; .*--force"):
            write_certificates(tmp_path, ["phone"])
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        write_certificates(tmp_path, ["phone"], force=True)
        assert all(path.read_bytes() != content for path, content in before.items())

    @pytest.mark.parametrize(
        ("names", "days", "words"),
        [
            (["a", ""], 1, "--names: '' must have 1 to 64"),
            (["a" * 65], 1, "must have 1 to 64 printable"),
            (["a\x1b[2J"], 1, "printable characters"),
            (["a", "a"], 1, "'a' stands twice"),
            (["rank-0"], 1, "'rank-0' stands twice"),
            (["a"], 0, "--days: is 0, it must be from 1 to 3650"),
            (["a"], 4000, "--days: is 4000"),
        ],
    )
    def test_what_is_refused(self, tmp_path, names, days, words):
        with pytest.raises(InputError, match=words):
            write_certificates(tmp_path / "set", names, days)
        assert not (tmp_path / "set").exists()

    def test_a_disk_that_fills_leaves_nothing(self, tmp_path, monkeypatch):
        from splitopt.storage import temporary

        synced = []

        def fsync(handle):
            synced.append(handle)
            if len(synced) == 4:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(temporary.os, "fsync", fsync)
        with pytest.raises(WriteError, match=r"cannot be written \(No space left"):
            write_certificates(tmp_path, ["a"])
        assert list(tmp_path.iterdir()) == []

    def test_without_the_package(self, tmp_path, monkeypatch):
        from splitopt.errors import CapabilityError
        from splitopt.training.wire.transport import certificates

        monkeypatch.setattr(certificates.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(CapabilityError, match=r"pip install 'splitopt\[tls\]'"):
            write_certificates(tmp_path / "set", ["a"])
