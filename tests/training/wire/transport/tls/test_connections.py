"""Channels under TLS: who is let in, and that nobody on the way reads or changes anything."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from splitopt.errors import InputError
from splitopt.training.wire.crew import Crew, join
from splitopt.training.wire.transport.connecting import connect
from splitopt.training.wire.transport.errors import (
    ChannelClosedError,
    ChannelTimeoutError,
    FrameError,
    RefusedError,
)
from splitopt.training.wire.transport.listener import LOOPBACK, listen
from splitopt.training.wire.transport.pacing import Bucket
from splitopt.training.wire.transport.tls import LEADER, Tls
from splitopt.training.wire.transport.tokens import Token
from tests.training.wire.transport.tls.cases import PARTIES, TOKEN, load

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

x509 = pytest.importorskip("cryptography.x509", reason="needs the extra 'tls'")

pytestmark = pytest.mark.train


SOON = 120.0


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
