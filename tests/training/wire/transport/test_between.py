"""Somebody between two parties: what is changed, repeated or left out does not pass."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.wire.transport import lines  # noqa: E402
from splitopt.training.wire.transport.connecting import connect  # noqa: E402
from splitopt.training.wire.transport.errors import (  # noqa: E402
    ChannelClosedError,
    ChannelError,
    ChannelTimeoutError,
    FrameError,
    RefusedError,
)
from splitopt.training.wire.transport.handshake import FULL, WORD_BYTES  # noqa: E402
from splitopt.training.wire.transport.listener import LOOPBACK, listen  # noqa: E402
from splitopt.training.wire.transport.pacing import Bucket  # noqa: E402
from splitopt.training.wire.transport.seals import Keys, Seal  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

TOKEN = Token.new()
SOON = 120.0
SAID = 16 + 32 + 32 + 8 * 8 + 16  # by a connector in the handshake: word, nonce, proof, clocks
HEARD = 16 + 32 + 16 + 32 + 8 * 8  # from the listener


class Between:
    """Passes everything on between a connector and a listener, but for what it does to it.

    Parameters
    ----------
    port
        Of the listener.
    flip
        ("said" or "heard", place): a bit of this byte of the stream is changed.
    """

    def __init__(self, port, flip=None):
        self.server = socket.create_server((LOOPBACK, 0))
        self.port = self.server.getsockname()[1]
        self.target, self.flip = port, flip
        self.said, self.heard = bytearray(), bytearray()
        self.out = None  # to the listener
        self.socks, self.threads = [self.server], []
        self.run(self.accept)

    def run(self, function, *arguments):
        self.threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            far = socket.create_connection((LOOPBACK, self.target))
            self.said, self.heard, self.out = bytearray(), bytearray(), far
            self.socks += [near, far]
            ends = (threading.Event(), threading.Event())
            self.run(self.hand_on, near, far, "said", self.said, ends)
            self.run(self.hand_on, far, near, "heard", self.heard, ends[::-1])

    def hand_on(self, one, other, way, seen, ends):
        try:
            while data := bytearray(one.recv(65536)):
                if self.flip is not None and self.flip[0] == way:
                    place = self.flip[1] - len(seen)
                    if 0 <= place < len(data):
                        data[place] ^= 1
                seen += data
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:  # the one takes no more, so that the other cannot send more
            ends[0].set()
            ends[1].wait(5)  # what was said before still arrives
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        finally:
            ends[0].set()

    def close(self):
        for sock in self.socks:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextmanager
def between(flip=None):
    """Yield a listener, and a relay between it and those who connect."""
    with listen(None, 0, TOKEN) as listener:
        other = Between(listener.port, flip)
        try:
            yield listener, other
        finally:
            other.close()


def test_nothing_is_changed_by_one_who_only_listens():
    with between() as (listener, other), connect(LOOPBACK, other.port, TOKEN, SOON) as one:
        two = listener.accept(SOON)
        one.send("x", {"a": 1}, {"v": torch.arange(5)})
        assert two.receive(SOON).tensors["v"].tolist() == [0, 1, 2, 3, 4]
        assert TOKEN.secret.encode() not in bytes(other.said + other.heard)
        two.close()


@pytest.mark.parametrize(
    "place",
    [SAID + offset for offset in (0, 5, 8, 17, 30, 60, 90, -1)],
    ids=["magic", "length", "payload", "clock", "header", "header or tag", "values", "last tag"],
)
def test_a_bit_of_a_frame_that_is_flipped(place):
    """One sentence that names the peer, and the end of the connection; also for its last byte."""
    with between() as (listener, other), connect(LOOPBACK, other.port, TOKEN, SOON) as one:
        two = listener.accept(SOON)
        size = 24 + len('{"kind":"x","fields":{},"tensors":[["v","int64",[4]]]}') + 16 + 32 + 16
        assert len(other.said) == SAID
        other.flip = ("said", SAID + size - 1 if place == SAID - 1 else place)
        one.send("x", {}, {"v": torch.arange(4)})
        with pytest.raises(
            (FrameError, ChannelTimeoutError), match=r"^\S+ sent |in time"
        ) as caught:
            two.receive(0.3)
        if place != SAID + 5:  # a longer header, all of which never comes
            assert isinstance(caught.value, FrameError)
            with pytest.raises(ChannelClosedError):
                two.receive(SOON)
        two.close()


def heard_by_a_sender(one, two, monkeypatch):
    """Return what a sender of a large message is told, whose other end cannot read it."""
    monkeypatch.setattr(lines, "_LINGER_S", 0.05)  # it sends for longer than is listened to
    told = []

    def send():
        with pytest.raises(ChannelClosedError) as caught:
            one.send("x", {}, {"v": torch.zeros(5_000_000)}, bucket=Bucket(1e8))
        told.append(str(caught.value))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    with pytest.raises(FrameError, match="changed on the way"):
        two.receive(SOON)
    thread.join(SOON)
    return told[0]


def test_who_still_sends_hears_why_it_is_not_read(monkeypatch):
    """The reason that the receiver gives, and not that the connection is broken."""
    with between() as (listener, other), connect(LOOPBACK, other.port, TOKEN, SOON) as one:
        two = listener.accept(SOON)
        other.flip = ("said", len(other.said) + 30)  # in the header
        said = heard_by_a_sender(one, two, monkeypatch)
    assert "has ended the connection: it got" in said
    assert "changed on the way" in said


def test_who_still_sends_hears_why_within_tls(tmp_path, monkeypatch):
    """There the alert of TLS says so."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    from splitopt.training.wire.transport.certificates import write_certificates
    from splitopt.training.wire.transport.tls import LEADER, Tls

    write_certificates(tmp_path, ["d0"])
    tls = [
        Tls.load(tmp_path / f"rank-{k}.pem", tmp_path / f"rank-{k}.key", tmp_path / "ca.pem")
        for k in range(2)
    ]
    with listen(None, 0, TOKEN, tls=tls[0]) as listener:
        other = Between(listener.port)
        with connect(LOOPBACK, other.port, TOKEN, SOON, tls=tls[1], party=LEADER) as one:
            two = listener.accept(SOON)
            other.flip = ("said", len(other.said) + 30)
            assert "changed on the way" in heard_by_a_sender(one, two, monkeypatch)
        other.close()


def test_the_last_word_of_who_takes_no_more_is_there_to_be_read():
    """What came before a connection broke is no more lost than what comes before its end."""
    with (
        listen(None, 0, TOKEN) as listener,
        connect(LOOPBACK, listener.port, TOKEN, SOON) as one,
        listener.accept(SOON) as two,
    ):
        two.send("end", {"error": "a deadline"})
        two.close()
        with pytest.raises(ChannelClosedError, match="has closed the connection"):
            one.send("x", {}, {"v": torch.zeros(9_000_000)})  # more than buffers take
        assert one.receive(SOON).fields == {"error": "a deadline"}
        with pytest.raises(ChannelClosedError):
            one.receive(SOON)


@pytest.mark.parametrize(
    ("way", "places"),
    [
        ("said", (0, 15, 16, 47, 48, 79, 80, 143, 144, SAID - 1)),
        ("heard", (0, 15, 16, 47, 48, 63, 64, 95, 96, HEARD - 1)),
    ],
)
def test_no_bit_of_the_handshake_can_be_flipped_unnoticed(way, places):
    """The first and last byte of each field: nobody is let in, or the first frame is refused."""
    let_in = []
    with between() as (listener, other):
        for place in places:
            other.flip = (way, place)
            try:
                one = connect(LOOPBACK, other.port, TOKEN, 0.05)
            except ChannelError:
                one = None
            else:
                let_in.append(place)
                one.send("x")
            for two in waiting(listener):
                with two, pytest.raises(ChannelError):
                    two.receive(SOON)
            if one is not None:
                one.close()
    assert set(let_in) <= set(places[-4:]), "only what the clocks show may be found out later"


def waiting(listener):
    """Yield the connections that a listener has accepted."""
    while True:
        try:
            yield listener.accept(0.03)
        except ChannelTimeoutError:
            return


def test_a_frame_that_is_sent_twice_or_left_out():
    with between() as (listener, other), connect(LOOPBACK, other.port, TOKEN, SOON) as one:
        two = listener.accept(SOON)
        one.send("x", {"n": 1})
        two.receive(SOON)
        other.out.sendall(other.said[SAID:])
        with pytest.raises(FrameError, match="out of its turn"):
            two.receive(SOON)
    with between() as (listener, other), connect(LOOPBACK, other.port, TOKEN, SOON) as one:
        two = listener.accept(SOON)
        one._sent += 1  # as if a frame had been sent and left out on the way
        one.send("x", {"n": 2})
        with pytest.raises(FrameError, match="out of its turn"):
            two.receive(SOON)


def test_a_frame_cannot_be_sent_back_as_ones_own():
    """Each direction has a key of its own."""
    keys = Keys(b"a" * 32, b"b" * 32)
    tags = [Seal(key, 0).tag() for key in (keys.sending, keys.receiving)]
    assert tags[0] != tags[1]
    assert keys.reversed == Keys(b"b" * 32, b"a" * 32)
    assert "a" * 32 not in repr(keys)


def test_a_recorded_connection_cannot_be_played_again():
    """The listener draws a number anew; to the proof of another one it says no more than no."""
    with between() as (listener, other):
        with connect(LOOPBACK, other.port, TOKEN, SOON) as one, listener.accept(SOON) as two:
            one.send("x", {"n": 1})
            two.receive(SOON)
            recorded = bytes(other.said)
        with socket.create_connection((LOOPBACK, listener.port)) as again:
            again.settimeout(SOON)
            again.sendall(recorded)
            heard = b""
            while data := again.recv(1000):
                heard += data
        assert len(heard) == WORD_BYTES + 32 + WORD_BYTES
        with pytest.raises(ChannelTimeoutError):
            listener.accept(0.1)
        assert listener.refusals.count == 1


class TestTheRightReason:
    """Why nobody was let in, each another sentence; what may pass is tried again until then."""

    @staticmethod
    @contextmanager
    def answering(*answers):
        """Answer each connection with bytes, the last of them again and again."""
        server, left = socket.create_server((LOOPBACK, 0)), list(answers)

        def serve():
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    sock.settimeout(SOON)
                    sock.recv(1000)
                    sock.sendall(left[0] if len(left) == 1 else left.pop(0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], left
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(SOON)

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (FULL, r"let nobody in for 0.4 s: too many connect to it at once$"),
            (b"", r"let nobody in for 0.4 s: it ended the connection without an answer$"),
            (b"splitopt-wire/1\n", "speaks another version.*install the same version"),
            (b"splitopt-token \n", "another token; give all ranks the same token$"),
            (b"splitopt-tls   \n", "with TLS only; give --tls-cert, --tls-key and --tls-ca$"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak splitopt's wire protocol; see"),
        ],
    )
    def test_of_a_listener(self, answer, words):
        with self.answering(answer) as (port, _), pytest.raises(RefusedError, match=words):
            connect(LOOPBACK, port, TOKEN, 0.4)

    def test_no_answer_at_all(self):
        with socket.create_server((LOOPBACK, 0)) as silent:
            port = silent.getsockname()[1]
            with pytest.raises(RefusedError, match=r"let nobody in for 0.3 s: it did not"):
                connect(LOOPBACK, port, TOKEN, 0.3)

    def test_what_passes_is_tried_again(self):
        with self.answering(FULL, b"", b"", OTHER) as (port, left):
            with pytest.raises(RefusedError, match="another token"):
                connect(LOOPBACK, port, TOKEN, SOON)
            assert left == [OTHER]

    def test_an_old_connector_hears_of_the_version(self):
        with (
            listen(None, 0, TOKEN) as listener,
            socket.create_connection((LOOPBACK, listener.port)) as old,
        ):
            old.settimeout(SOON)
            old.sendall(b"splitopt-wire/1\n" + bytes(32))
            assert old.recv(100) == b"splitopt-wire/2\n"
            assert old.recv(100) == b""


OTHER = b"splitopt-token \n"


class TestAFullListener:
    def test_lets_honest_ranks_in_at_once(self):
        """All slots are taken by half-open connections of the same address, without a token."""
        held = []
        with listen(None, 0, TOKEN, slots=8) as listener:
            try:
                place = (LOOPBACK, listener.port)
                held.extend(socket.create_connection(place) for _ in range(20))
                for _ in range(3):
                    one = connect(LOOPBACK, listener.port, TOKEN, SOON)
                    with one, listener.accept(SOON) as two:
                        one.send("hello")
                        assert two.receive(SOON).kind == "hello"
                late_s = time.monotonic() + SOON  # each is refused by a thread of its own
                while listener.refusals.count < 12 and time.monotonic() < late_s:
                    time.sleep(0.01)
                assert listener.refusals.count >= 12
                held[0].settimeout(SOON)
                assert held[0].recv(100) == FULL
            finally:
                for sock in held:
                    sock.close()

    def test_who_has_proved_the_token_is_never_sent_away(self):
        with listen(None, 0, TOKEN, slots=1) as listener:
            friends = [
                (connect(LOOPBACK, listener.port, TOKEN, SOON), listener.accept(SOON))
                for _ in range(4)
            ]
            with socket.create_connection((LOOPBACK, listener.port)):
                for one, two in friends:
                    one.send("hello")
                    assert two.receive(SOON).kind == "hello"
                    one.close()
                    two.close()
            listener.close()
            assert listener.refusals.count <= 1
