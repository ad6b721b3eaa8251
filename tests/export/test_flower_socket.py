"""The socket of the Flower app: batches arrive as they were, and strangers and changes do not."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.export.written import flower_socket  # noqa: E402
from splitopt.export.written.flower_socket import Line, Listener, connected  # noqa: E402

pytestmark = pytest.mark.train
TOKEN = bytes(range(32))


def go_on():
    """Go on waiting."""


@pytest.fixture
def ends():
    """Return the function that makes two ends of a connection; they are closed afterwards."""
    made = []

    def make():
        made.extend(found := socket.socketpair())
        return found

    yield make
    for one in made:
        one.close()


@pytest.fixture
def pair(ends):
    """Return the function that makes both ends of a line which have agreed, or raises."""

    def make(other=TOKEN, place=7):
        links, failed = ends(), []
        client, server = Line(links[0], b"C", go_on), Line(links[1], b"S", go_on)

        def agree():
            try:
                client.agree(other, place)
            except OSError as error:
                failed.append(error)
            if other != TOKEN:
                client.close()

        thread = threading.Thread(target=agree)
        thread.start()
        try:
            assert server.agree(TOKEN, None) == place
        finally:
            thread.join()
        assert not failed
        return client, server

    return make


@pytest.fixture(autouse=True)
def any_socket(monkeypatch):
    """Accept options of TCP at pairs of sockets, which are not of TCP."""
    kept = socket.socket.setsockopt

    def lenient(self, *options):
        if self.family != socket.AF_UNIX:
            kept(self, *options)

    monkeypatch.setattr(socket.socket, "setsockopt", lenient)


def test_tensors_arrive_as_they_were(pair):
    """Names, shapes, kinds and every bit; in both directions, several after one another."""
    client, server = pair()
    sent = {
        "values": torch.rand(3, 2, 5),
        "labels": torch.tensor([1, -2, 3]),
        "one": torch.tensor(0.5, dtype=torch.float64),
        "none": torch.empty(0, 4),
    }
    for _ in range(2):
        client.send(sent)
        found = server.receive()
        assert list(found) == list(sent)
        assert all(torch.equal(found[name], sent[name]) for name in sent)
        assert all(found[name].dtype == sent[name].dtype for name in sent)
        server.send({"gradient": torch.ones(2, 1).mT})
        assert client.receive()["gradient"].tolist() == [[1.0, 1.0]]


def test_who_has_another_token_is_turned_away(pair):
    """Neither end goes on, and the token itself is never sent."""
    with pytest.raises(ConnectionError, match="does not know the token"):
        pair(other=bytes(32))


def test_what_was_changed_or_sent_twice_is_refused(pair, ends):
    """A byte of the values, or a frame again."""
    for spoil in ("byte", "head", "again"):
        client, server = pair()
        through, inner = ends()
        real, client.link = client.link, through
        client.send({"values": torch.ones(4)})
        frame = bytearray(inner.recv(1 << 16))
        if spoil == "byte":
            frame[-40] ^= 1
            real.sendall(frame)
        elif spoil == "head":
            frame[6] ^= 1
            real.sendall(frame)
        else:
            real.sendall(frame + frame)
            assert server.receive()["values"].sum() == 4
        with pytest.raises(ConnectionError, match="changed on its way"):
            server.receive()


def test_a_frame_of_any_size_is_not_read(pair):
    """What a head says of its length is not believed without limit."""
    client, server = pair()
    client.link.sendall(struct.pack("!I", 1 << 20))
    with pytest.raises(ConnectionError, match="1048576 bytes, at most 65536 are read"):
        server.receive()


def test_a_listener_takes_the_clients_of_its_round_alone():
    """A stranger, a client that is not asked for, and then the two that are."""
    listener, token, given = Listener("127.0.0.1", 0), TOKEN, []

    def come():
        for place, own in ((0, bytes(32)), (5, token), (0, token), (1, token)):
            try:
                given.append(connected("127.0.0.1", listener.port, own, place))
            except ConnectionError:
                given.append(None)

    thread = threading.Thread(target=come)
    thread.start()
    lines = listener.lines(token, [0, 1], go_on)
    thread.join()
    assert sorted(lines) == [0, 1]
    assert given[0] is None
    given[3].send({"x": torch.tensor([3])})
    assert lines[1].receive()["x"].tolist() == [3]
    for line in (*lines.values(), *given[1:]):
        line.close()
    listener.close()


def test_waiting_ends_when_a_client_has_failed(monkeypatch):
    """The check that is called meanwhile raises, and that is what comes out."""

    def failed():
        raise RuntimeError("a client failed")

    listener = Listener("127.0.0.1", 0)
    listener.socket.settimeout(0.01)
    with pytest.raises(RuntimeError, match="a client failed"):
        listener.lines(TOKEN, [0], failed)
    listener.close()
    late = flower_socket._patience(-1.0)
    with pytest.raises(ConnectionError, match="not said who it is"):
        late()
