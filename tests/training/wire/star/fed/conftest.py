"""SplitFed with a fed server: rank 0, devices and fed server over real connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.model_parts.copies import Copy  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import guarded  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.schemes.base import with_codecs  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.star.fed.main import MainServer, MainTurnServer  # noqa: E402
from splitopt.training.wire.star.fed.server import FedServer  # noqa: E402
from splitopt.training.wire.star.secure.member import SumMember  # noqa: E402
from splitopt.training.wire.star.timing import Timing  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

NAMES = ("d0", "d1", "d2")
TESTS = torch.linspace(-1, 1, 600 * 64).reshape(600, 1, 8, 8)


SAID = 16 + 32 + 32 + 8 * 8 + 16  # by a connector in the handshake: word, nonce, proof, clocks


class Between:
    """Passes everything on to a port, but for a bit of one byte of what the connector says."""

    def __init__(self, port, place):
        self.target, self.place = port, place
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with self.server, suppress(OSError):
            near, _ = self.server.accept()
            far = socket.create_connection(("127.0.0.1", self.target))
            for pair in ((near, far, self.place), (far, near, None)):
                threading.Thread(target=self._hand_on, args=pair, daemon=True).start()

    def _hand_on(self, one, other, place):
        seen = 0
        with suppress(OSError):
            while data := bytearray(one.recv(65536)):
                if place is not None and 0 <= place - seen < len(data):
                    data[place - seen] ^= 1
                seen += len(data)
                other.sendall(data)
        for sock in (one, other):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        one.close()


class Fed:
    """Trains with a fed server; then it has both servers, the tallies and what parties raised."""

    tests = TESTS

    def __init__(self, wired, name="splitfed_v1"):
        self.wired, self.name = wired, name
        self.usual = Options(fed_server=True)
        layer, self.cut = {"splitfed_v1": ("conv1", 1), "splitfed_v2": ("pool1", 2)}[name]
        program, self.cuts = wired.programs[name], ((layer,),) * 3
        clients = tuple(replace(c, cuts=(layer,)) for c in program.clients)
        self.program = replace(program, clients=clients)
        self.main = MainServer if name == "splitfed_v1" else MainTurnServer

    def scheme_of(self, options, seed=0):
        """Build the scheme of one process."""
        network, split = self.wired.network(seed), self.wired.split
        loss = self.wired.loss_for(options)
        return SCHEMES[self.name](network, self.clients_for(options), options, split, loss)

    def clients_for(self, options):
        """Return clients with secrets of their own where there is privacy."""
        clients = self.wired.clients_of(self.cuts)
        program = SimpleNamespace(groups=(), plays=self.name)
        return guarded(clients, SCHEMES[self.name], program, options)

    def device(self, options, port, index, kind):
        """Do what the process of a device does."""
        self.log.hear(NAMES[index])
        client = with_codecs(self.clients_for(options), options)[index]
        split = self.wired.split
        part = split(self.wired.network(seed=99), client.cuts)[0]
        own = Copy.of(part, (), ("device",), split, options)
        try:
            tls = self.tls.get(NAMES[index])
            with join("127.0.0.1", port, self.token, index + 1, {}, 120.0, tls) as channel:
                loss, timing = self.wired.loss_for(options), Timing(self.program)
                sums = SumMember.of(self.scheme, self.scheme.clients[index])
                own_token = {"token": self.token, "tls": tls, "sums": sums}
                kind(client, own, loss, channel, timing, index, **own_token).run()
        except Exception as error:
            self.errors[index] = error

    def fed(self, scheme, port, kind, kept):
        """Do what the process of the fed server does."""
        self.log.hear("fed")
        try:
            with (
                join("127.0.0.1", port, self.token, 4, {}, 120.0, self.tls.get("fed")) as channel,
                listen(None, 0, self.token, tls=self.tls.get(self.listens_as)) as listener,
            ):
                timing = Timing(self.program)
                self.fed_server = kind(scheme, timing, channel, listener, TESTS, kept)
                self.opened(listener)
                self.fed_server.run()
        except Exception as error:
            self.errors["fed"] = error

    def train(
        self,
        options=None,
        *,
        log=None,
        rounds=2,
        first=0,
        devices=None,
        fed=FedServer,
        kept=None,
        state=None,
        deadline=None,
        between=lambda crew, number: None,
        opened=lambda listener: None,
        tls=None,
        listens_as="fed",
        time_scale=1e-4,
    ):
        self.tls, self.listens_as = tls or {}, listens_as
        options = options or self.usual
        self.log, self.token, self.opened = log or self.wired.log(), Token.new(), opened
        self.errors, self.tallies, self.smashed = {}, [], []
        # Before there are threads, which would draw from the same seeded numbers.
        self.scheme, other = self.scheme_of(options), self.scheme_of(options)
        listener = listen(None, 0, self.token, tls=self.tls.get("rank-0"))
        self.log.hear("server")
        work = [
            (self.device, (options, listener.port, k, (devices or {}).get(k, FedDevice)))
            for k in range(3)
        ]
        work.append((self.fed, (other, listener.port, fed, kept)))
        threads = [threading.Thread(target=do, args=given) for do, given in work]
        for thread in threads:
            self.log.parties[thread] = "other"
            thread.start()
        try:
            with Crew(listener, [*NAMES, "fed"], {}) as crew:
                crew.wait(120.0)
                self.server = self.main(
                    self.scheme,
                    Timing(self.program),
                    crew,
                    time_scale,
                    deadline or Deadline(None, 120.0),
                    tests=len(TESTS),
                )
                if state is not None:
                    self.scheme.load_state_dict(state)
                for number in range(first, first + rounds):
                    self.tallies.append(self.server.round(number))
                    self.smashed.append(self.server.smashed_tests())
                    between(crew, number)
                self.server.end()
        finally:
            for thread in threads:
                thread.join(60.0)
        return self

    def parts(self, scheme):
        """Names of the common model's tensors in its client part, and in its server part."""
        halves = scheme.split(self.wired.network(), (self.cut,))
        counts = [len(half.state_dict()) for half in halves]
        names = list(scheme.model.state_dict())
        assert sum(counts) == len(names)
        return names[: counts[0]], names[counts[0] :]


@pytest.fixture
def fed(wired):
    """Return a training of SplitFedV1 with a fed server."""
    return Fed(wired)


@pytest.fixture
def in_turn(wired):
    """Return a training of SplitFedV2 with a fed server."""
    return Fed(wired, "splitfed_v2")


@pytest.fixture
def spoiled():
    """Return a relay to a port that changes a byte behind the handshake."""
    return lambda port, place: Between(port, SAID + place)


@pytest.fixture
def changing(spoiled):
    """Return a device of whose part a byte is changed on the way to the fed server."""

    class Watched(FedDevice):
        def set_up(self, message):
            message.fields["port"] = spoiled(message.fields["port"], 500).port
            super().set_up(message)

    return Watched


@pytest.fixture
def fed_certificates(tmp_path):
    """Return a certificate for every party."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    from splitopt.training.wire.transport.certificates import write_certificates
    from splitopt.training.wire.transport.tls import Tls

    names = ("rank-0", "d0", "d1", "d2", "fed")
    write_certificates(tmp_path, names[1:])
    return {
        name: Tls.load(tmp_path / f"rank-{k}.pem", tmp_path / f"rank-{k}.key", tmp_path / "ca.pem")
        for k, name in enumerate(names)
    }
