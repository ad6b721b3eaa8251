"""SplitFedV1 with a fed server: rank 0, devices and fed server over real connections."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.training.model_parts.copies import Copy  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.schemes.base import with_codecs  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.star.fed.main import MainServer  # noqa: E402
from splitopt.training.wire.star.fed.server import FedServer  # noqa: E402
from splitopt.training.wire.star.timing import Timing  # noqa: E402
from splitopt.training.wire.transport.channel import Channel  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

NAMES = ("d0", "d1", "d2")
TESTS = torch.linspace(-1, 1, 600 * 64).reshape(600, 1, 8, 8)


class Log:
    """Every message of a run: who received which kind, with which tensors and how many bytes."""

    def __init__(self):
        self.parties = {}  # thread -> party
        self.messages = []
        self._lock = threading.Lock()

    def hear(self, party):
        """Say of which party this thread, and what it starts, is."""
        self.parties[threading.current_thread()] = party

    def add(self, message):
        party = self.parties.get(threading.current_thread())
        with self._lock:
            self.messages.append((party, message))

    def received(self, party):
        """Return kind -> bytes of all that a party received."""
        found = defaultdict(int)
        for who, message in self.messages:
            if who == party:
                found[message.kind] += message.transfer.payload_bytes
        return dict(found)

    def values(self, party):
        """Return all tensors that a party received."""
        return [v for who, m in self.messages if who == party for v in m.tensors.values()]


@pytest.fixture
def log(monkeypatch):
    """Write down every message that any party receives, by the threads that parties run in."""
    found, start, receive = Log(), threading.Thread.start, Channel.receive

    def started(thread):
        party = found.parties.get(threading.current_thread())
        if thread not in found.parties and party is not None:
            found.parties[thread] = party
        start(thread)

    def received(channel, *arguments, **named):
        message = receive(channel, *arguments, **named)
        found.add(message)
        return message

    monkeypatch.setattr(threading.Thread, "start", started)
    monkeypatch.setattr(Channel, "receive", received)
    return found


class Fed:
    """Trains with a fed server; then it has both servers, the tallies and what parties raised."""

    tests = TESTS

    def __init__(self, wired, cut=1):
        self.wired, self.cut = wired, cut
        program = wired.programs["splitfed_v1"]
        clients = tuple(replace(c, cuts=("conv1",)) for c in program.clients)
        self.program = replace(program, clients=clients)

    def scheme_of(self, options, seed=0):
        """Build the scheme of one process."""
        clients = self.wired.clients_of((("conv1",),) * 3)
        network, split = self.wired.network(seed), self.wired.split
        return SCHEMES["splitfed_v1"](network, clients, options, split)

    def device(self, options, port, index, kind):
        """Do what the process of a device does."""
        self.log.hear(NAMES[index])
        client = with_codecs(self.wired.clients_of((("conv1",),) * 3), options)[index]
        split = self.wired.split
        part = split(self.wired.network(seed=99), client.cuts)[0]
        own = Copy.of(part, (), ("device",), split, options)
        try:
            tls = self.tls.get(NAMES[index])
            with join("127.0.0.1", port, self.token, index + 1, {}, 20.0, tls) as channel:
                loss, timing = nn.functional.cross_entropy, Timing(self.program)
                own_token = {"token": self.token, "tls": tls}
                kind(client, own, loss, channel, timing, index, **own_token).run()
        except Exception as error:
            self.errors[index] = error

    def fed(self, scheme, port, kind, kept):
        """Do what the process of the fed server does."""
        self.log.hear("fed")
        try:
            with (
                join("127.0.0.1", port, self.token, 4, {}, 20.0, self.tls.get("fed")) as channel,
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
    ):
        self.tls, self.listens_as = tls or {}, listens_as
        options = options or Options(fed_server=True)
        self.log, self.token, self.opened = log or Log(), Token.new(), opened
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
                crew.wait(20.0)
                self.server = MainServer(
                    self.scheme,
                    Timing(self.program),
                    crew,
                    1e-4,
                    deadline or Deadline(None, 20.0),
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
    """Return a training with a fed server."""
    return Fed(wired)
