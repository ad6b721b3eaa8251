"""TLS between parties: whose certificate is taken, whose is not, and what each side says of it."""

from __future__ import annotations

import errno
import socket
import stat
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
x509 = pytest.importorskip("cryptography.x509", reason="needs the extra 'tls'")

from splitopt.errors import InputError, WriteError  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.ranks import Rank  # noqa: E402
from splitopt.training.wire.setting import Setting  # noqa: E402
from splitopt.training.wire.transport.certificates import (  # noqa: E402
    make_certificates,
    write_certificates,
)
from splitopt.training.wire.transport.connecting import connect  # noqa: E402
from splitopt.training.wire.transport.errors import (  # noqa: E402
    ChannelClosedError,
    ChannelTimeoutError,
    FrameError,
    RefusedError,
)
from splitopt.training.wire.transport.listener import LOOPBACK, listen  # noqa: E402
from splitopt.training.wire.transport.pacing import Bucket  # noqa: E402
from splitopt.training.wire.transport.tls import LEADER, Tls  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

TOKEN = Token.new()
SOON = 120.0
PARTIES = (LEADER, "phone", "Kühlschrank 2")


def put(folder, files):
    """Write files as a user keeps them."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Make sets: of the run, of another authority, old ones, and ones of tomorrow."""
    place, now = tmp_path_factory.mktemp("certificates"), datetime.now(UTC)
    put(place / "run", make_certificates(PARTIES))
    put(place / "other", make_certificates(PARTIES))
    put(place / "old", make_certificates(PARTIES, 30, now - timedelta(days=31)))
    put(place / "early", make_certificates(PARTIES, 30, now + timedelta(days=2)))
    return place


def load(folder, rank, which="run", authority=None):
    place = folder / which
    ca = place / "ca.pem" if authority is None else folder / authority / "ca.pem"
    return Tls.load(place / f"rank-{rank}.pem", place / f"rank-{rank}.key", ca)


@pytest.fixture
def tls(folder):
    return [load(folder, rank) for rank in range(3)]


@contextmanager
def pair(tls):
    with (
        listen(None, 0, TOKEN, tls=tls[0]) as listener,
        connect(LOOPBACK, listener.port, TOKEN, SOON, tls=tls[2], party=LEADER) as one,
        listener.accept(SOON) as two,
    ):
        yield one, two


def test_each_side_knows_the_others_party(tls):
    with pair(tls) as (one, two):
        assert (one.name, two.name) == (LEADER, "Kühlschrank 2")
        one.send("x", {"a": 1}, {"v": torch.arange(7)})
        assert two.receive(SOON).tensors["v"].tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_messages_larger_than_all_buffers_both_ways_at_once(tls):
    """One thread sends while another one receives on the same connection."""
    big = torch.arange(3_000_000, dtype=torch.float32)
    with pair(tls) as ends:
        threads = [
            threading.Thread(
                target=end.send, args=("big", {}, {"x": big}), kwargs={"bucket": Bucket(4e8)}
            )
            for end in ends
        ]
        for thread in threads:
            thread.start()
        for end in ends:
            assert torch.equal(end.receive(SOON).tensors["x"], big)
        for thread in threads:
            thread.join()


def test_a_receiver_that_ran_out_of_time_goes_on_and_closing_wakes_it(tls):
    with pair(tls) as (one, two):
        with pytest.raises(ChannelTimeoutError):
            two.receive(0.05)
        one.send("x", {"n": 1})
        assert two.receive(SOON).fields == {"n": 1}
        one.close()
        with pytest.raises(ChannelClosedError, match="has closed the connection"):
            two.receive(SOON)


def test_nobody_on_the_way_reads_or_changes_anything(tls):
    """A bit is flipped in what goes to the listener, after the handshakes."""
    with listen(None, 0, TOKEN, tls=tls[0]) as listener:
        server, seen = socket.create_server((LOOPBACK, 0)), bytearray()
        flip = threading.Event()

        def hand_on(one, other):
            while data := bytearray(one.recv(65536)):
                seen.extend(data)
                if flip.is_set() and one is near[0]:
                    data[-1] ^= 1
                other.sendall(data)

        near = []

        def serve():
            sock, _ = server.accept()
            near.append(sock)
            with sock, socket.create_connection((LOOPBACK, listener.port)) as far:
                back = threading.Thread(target=hand_on, args=(far, sock), daemon=True)
                back.start()
                hand_on(sock, far)
                back.join(SOON)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        with (
            connect(LOOPBACK, port, TOKEN, SOON, tls=tls[1], party=LEADER) as one,
            listener.accept(SOON) as two,
        ):
            one.send("a word that is looked for")
            assert two.receive(SOON).kind == "a word that is looked for"
            assert b"looked for" not in seen
            assert b"splitopt-" not in seen
            assert b"phone" not in seen  # TLS 1.3 keeps certificates to itself too
            flip.set()
            one.send("x", {}, {"v": torch.arange(5)})
            with pytest.raises(FrameError, match=r"sent what TLS does not let through \(.*changed"):
                two.receive(SOON)
        server.close()
        thread.join(SOON)


def test_a_slow_stranger_cannot_draw_out_the_handshake(tls, monkeypatch):
    """Byte by byte of a ClientHello, always before the next one is overdue."""
    from splitopt.training.wire.transport import listener as listening

    monkeypatch.setattr(listening, "HANDSHAKE_S", 0.3)
    with (
        listen(None, 0, TOKEN, tls=tls[0]) as listener,
        socket.create_connection((LOOPBACK, listener.port)) as slow,
    ):
        begun = time.monotonic()
        hello = iter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100_000))
        with suppress(ConnectionError):
            while listener.refusals.count == 0 and time.monotonic() < begun + SOON:
                slow.sendall(bytes([next(hello)]))
                time.sleep(0.0005)
        assert time.monotonic() - begun < SOON / 2


class TestWhoIsNotLetIn:
    """The connector's sentence; the listener's is in its count of refusals."""

    def refused(self, listening, tls, words, party=LEADER):
        with listen(None, 0, TOKEN, tls=listening) as listener:
            with pytest.raises(RefusedError, match=words):
                connect(LOOPBACK, listener.port, TOKEN, SOON, tls=tls, party=party)
            deadline_s = time.monotonic() + SOON
            while listener.refusals.count < 1 and time.monotonic() < deadline_s:
                time.sleep(0.01)
        assert listener.refusals.count == 1

    def test_a_plain_connector(self, tls):
        self.refused(
            tls[0], None, "takes connections with TLS only; give --tls-cert, --tls-key", ""
        )

    def test_a_plain_listener(self, tls):
        self.refused(None, tls[1], "it listens without TLS; start it with --tls-cert")

    def test_a_connector_of_another_authority(self, folder, tls, caplog):
        """It trusts the listener's, so that it is the listener who says no."""
        own = load(folder, 1, "other")
        own.connecting.load_verify_locations(folder / "run" / "ca.pem")
        self.refused(tls[0], own, "does not accept the certificate of this side .*unknown ca")
        assert "its certificate is not accepted here (" in caplog.text

    def test_a_listener_of_another_authority(self, folder, tls, caplog):
        self.refused(tls[0], load(folder, 1, "other"), "its certificate is not accepted here")
        assert "it does not accept the certificate of this side" in caplog.text

    def test_a_certificate_that_has_expired_since(self, folder, tls):
        old = load_unchecked(folder / "old")
        old.connecting.load_verify_locations(folder / "run" / "ca.pem")
        tls[0].listening.load_verify_locations(folder / "old" / "ca.pem")
        self.refused(tls[0], old, "does not accept the certificate of this side .*expired")

    def test_a_connector_without_a_certificate(self, folder, tls, caplog):
        import ssl

        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname = False
        bare.load_verify_locations(folder / "run" / "ca.pem")
        words = "does not accept the certificate of this side .*certificate required"
        self.refused(tls[0], Tls("nobody", bare, bare), words)
        assert "it has no certificate" in caplog.text

    def test_an_older_tls(self, folder, tls):
        import ssl

        load(folder, 1)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname = False
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.load_verify_locations(folder / "run" / "ca.pem")
        with (
            listen(None, 0, TOKEN, tls=tls[0]) as listener,
            socket.create_connection((LOOPBACK, listener.port)) as sock,
            pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"),
        ):
            old.wrap_socket(sock)

    def test_another_party_that_listens_for_the_leader(self, tls):
        """A device cannot pass for rank 0: one of the run, but not the one that is looked for."""
        self.refused(tls[1], tls[2], "its certificate is for 'phone', and 'rank-0' was looked for")

    def test_another_token_within_tls(self, tls):
        with (
            listen(None, 0, TOKEN, tls=tls[0]) as listener,
            pytest.raises(RefusedError, match="another token; give all ranks the same token"),
        ):
            connect(LOOPBACK, listener.port, Token.new(), SOON, tls=tls[1])

    def test_a_device_that_says_it_is_another_one(self, tls):
        with Crew(listen(None, 0, TOKEN, tls=tls[0]), PARTIES[1:], {}) as crew:
            port = crew.listener.port
            with pytest.raises(InputError, match="rank 1 is 'phone', and its certificate is for"):
                join(LOOPBACK, port, TOKEN, 1, {}, SOON, tls[2])
            with join(LOOPBACK, port, TOKEN, 2, {}, SOON, tls[2]):
                assert crew.present() == (2,)


def load_unchecked(place):
    """Load a certificate without the checks of its own side, so that only the others reject it."""
    import ssl

    contexts = [ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)]
    for context in contexts:
        context.check_hostname = False
        context.load_cert_chain(place / "rank-1.pem", place / "rank-1.key")
    return Tls("phone", *contexts)


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
