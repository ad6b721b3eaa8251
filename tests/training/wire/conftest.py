"""Small plans whose devices are threads with real connections to the server."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import numpy as np  # noqa: E402
from torch import nn  # noqa: E402

from splitopt import plan  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.model_parts.copies import Copy  # noqa: E402
from splitopt.training.model_parts.parts import tied_between  # noqa: E402
from splitopt.training.preparing.private import guarded  # noqa: E402
from splitopt.training.preparing.setup import set_groups  # noqa: E402
from splitopt.training.privacy.guard import own_losses  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.schemes.base import with_codecs  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.processes import Processes  # noqa: E402
from splitopt.training.wire.star.clusters import ClusterServer, RelayServer  # noqa: E402
from splitopt.training.wire.star.device import Device  # noqa: E402
from splitopt.training.wire.star.in_turn import TurnServer  # noqa: E402
from splitopt.training.wire.star.secure.member import SumMember  # noqa: E402
from splitopt.training.wire.star.splitfed import SplitFedServer  # noqa: E402
from splitopt.training.wire.star.timing import Timing  # noqa: E402
from splitopt.training.wire.transport.channel import Channel  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

SIZES, BATCH = (10, 16, 7), 5
SERVERS = {
    "splitfed_v1": SplitFedServer,
    "clustered": ClusterServer,
    "vanilla": RelayServer,
    "splitfed_v2": TurnServer,
    "federated": SplitFedServer,
    "alike": SplitFedServer,
}
CUTS = {
    "splitfed_v1": (("conv1",), ("fc1",), ()),
    "clustered": (("pool1",),) * 3,
    "vanilla": (("pool1",),) * 3,
    "splitfed_v2": (("pool1",),) * 3,
    "federated": ((),) * 3,
    "alike": (("conv1",),) * 3,
}
"""Under ``alike``, SplitFedV1 whose devices have one cut."""
GROUPS = ((0, 2), (1,))


class Log:
    """Every message of a run: who received which kind, with which tensors and how many bytes."""

    def __init__(self):
        self.parties = {}  # thread -> party
        self.messages = []
        self._lock = threading.Lock()

    def hear(self, party):
        """Note of which party this thread, and what it starts, is."""
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


@pytest.fixture
def started(monkeypatch):
    """Every group of processes that a run starts."""
    found = []

    class Known(Processes):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            found.append(self)

    monkeypatch.setattr(launch, "Processes", Known)
    yield found
    assert all(process.poll() is not None for group in found for process in group.started)


class Scaled(nn.Module):
    """Scales what it gets by a weight of another layer."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        return x * (1 + self.weight.sum())


def network(seed=0, frozen=(), tied=False):
    """Build the layers of the profile `cnn-digits`, with dropout and statistics on both sides.

    ``frozen`` are numbers of layers. With ``tied`` the last one uses a weight of the first.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(0.2)),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU()),
        nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10)),
    )
    if tied:
        model[5].insert(0, Scaled(model[0][0].weight))
    for index in frozen:
        model[index].requires_grad_(False)
    return model


LAYERS = ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2")


def split(model, cuts):
    ends = (0, *cuts, len(model))
    return [model[a:b] for a, b in itertools.pairwise(ends)]


def clients_of(cuts):
    rng = np.random.default_rng(0)
    found = []
    for k, (n, own) in enumerate(zip(SIZES, cuts, strict=True)):
        x = torch.tensor(rng.normal(size=(n, 1, 8, 8)), dtype=torch.float32)
        y = torch.tensor(rng.integers(0, 10, n))
        numbers = tuple(LAYERS.index(name) + 1 for name in own)
        found.append(Client(f"d{k}", Batches(x, y, BATCH, 100 + k), Stream(200 + k), numbers))
    return found


def clients_for(name, options):
    """Return the clients of a scheme, with secrets of their own where there is privacy."""
    program = SimpleNamespace(groups=(), plays=name)
    kind = SCHEMES["splitfed_v1" if name == "alike" else name]
    return guarded(clients_of(CUTS[name]), kind, program, options)


def loss_for(options):
    """Return the mean loss of a batch."""
    loss = nn.functional.cross_entropy
    return loss if options.privacy is None else own_losses(loss)


@pytest.fixture(scope="module")
def programs():
    """Programs of three devices, whose cuts and clusters are set here."""
    from dataclasses import replace

    devices = [
        {"name": f"d{k}", "compute": "50 MFLOP/s", "samples": n, "batch_size": BATCH, "snr_db": 20}
        for k, n in enumerate(SIZES)
    ]
    found = {}
    for name, scenario, solver in (
        ("splitfed_v1", "digits-splitfed", "equal_share"),
        ("clustered", "digits-clusters", "similar_compute"),
    ):
        document = Scenario.load(scenario).to_dict() | {"devices": devices}
        document["training"] = {"epochs": 2, "rounds": 2}
        if "clusters" in document:
            document["clusters"] = {"sizes": [2, 1], "cut": "pool1"}
        else:
            for device in document["devices"]:
                device.pop("snr_db", None)
        program = program_of(plan(Scenario.from_dict(document), solver=solver))
        own = [replace(c, cuts=cuts) for c, cuts in zip(program.clients, CUTS[name], strict=True)]
        groups = (GROUPS,) if name == "clustered" else ()
        found[name] = replace(program, clients=tuple(own), groups=groups)
        for device in devices:
            device.setdefault("snr_db", 20)
    document = Scenario.load("digits-splitfed").to_dict() | {
        "devices": [{k: v for k, v in device.items() if k != "snr_db"} for device in devices],
        "training": {"epochs": 2, "rounds": 2},
    }
    for name in ("vanilla", "splitfed_v2", "federated"):
        found[name] = program_of(plan(Scenario.from_dict(document), scheme=name))
        assert tuple(client.cuts for client in found[name].clients) == CUTS[name]
    cut = [replace(c, cuts=("conv1",)) for c in found["splitfed_v1"].clients]
    found["alike"] = replace(found["splitfed_v1"], clients=tuple(cut))
    return found


def scheme_of(name, options, keep=(0, 1, 2), groups=GROUPS, frozen=(), tied=False):
    """Build the scheme of one process, of some of the clients."""
    clients = [clients_for(name, options)[k] for k in keep]
    kind = SCHEMES["splitfed_v1" if name == "alike" else name]
    model = network(frozen=frozen, tied=tied)
    scheme = kind(model, clients, options, split, loss_for(options))
    if name == "clustered":
        scheme.cluster(groups)
    return scheme


def follow(
    name, options, program, port, token, index, kind, errors, frozen=(), tied=False, sums=None
):
    """Do what the process of a device does, in a thread."""
    client = with_codecs(clients_for(name, options), options)[index]
    model = network(seed=99, frozen=frozen, tied=tied)
    parts = split(model, client.cuts) if client.cuts else [model]
    own = Copy.of(parts[0], (), ("device",), split, options)
    own.exchanged = tuple(tied_between(parts, ("device", "server")))
    try:
        with join("127.0.0.1", port, token, index + 1, {}, 120.0) as channel:
            timing = Timing(program)
            device = kind(client, own, loss_for(options), channel, timing, index)
            device.sums = sums
            device.run()
    except Exception as error:
        errors[index] = error


class Wired:
    """Trains over connections; then it has the server, the tallies and what devices raised."""

    Device, Deadline, log = Device, Deadline, Log
    scheme_of, follow = staticmethod(scheme_of), staticmethod(follow)
    network, split, clients_of = map(staticmethod, (network, split, clients_of))
    loss_for = staticmethod(loss_for)

    def __init__(self, programs):
        self.programs = programs

    @staticmethod
    def assert_same_state(found, wanted):
        """Compare all that two schemes know, bit by bit."""
        found, wanted = found.state_dict(), wanted.state_dict()
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert torch.equal(found[name], value), name

    def train(
        self,
        name,
        options,
        *,
        rounds=2,
        scheme=None,
        first=0,
        devices=None,
        deadline=None,
        time_scale=1e-4,
        between=lambda crew, number: None,
        program=None,
        frozen=(),
        tied=False,
        opened=lambda listener: None,
        log=None,
    ):
        token, program = Token.new(), program or self.programs[name]
        self.token = token
        listener = listen(None, 0, token)
        opened(listener)
        self.scheme = scheme or scheme_of(name, options, frozen=frozen, tied=tied)
        self.errors, self.tallies = {}, []
        threads = []
        for k in range(len(SIZES)):
            kind = (devices or {}).get(k, Device)
            arguments = (name, options, program, listener.port, token, k, kind)
            client = self.scheme.clients[k] if len(self.scheme.clients) > k else None
            sums = None if client is None else SumMember.of(self.scheme, client)
            arguments += (self.errors, frozen, tied, sums)
            threads.append(threading.Thread(target=follow, args=arguments))
            if log is not None:
                log.parties[threads[-1]] = f"d{k}"
            threads[-1].start()
        if log is not None:
            log.hear("server")
        try:
            with Crew(listener, [c.name for c in self.scheme.clients], {}) as crew:
                crew.wait(120.0)
                self.server = SERVERS[name](
                    self.scheme,
                    Timing(program),
                    crew,
                    time_scale,
                    deadline or Deadline(None, 120.0),
                )
                for number in range(first, first + rounds):
                    set_groups(self.scheme, program, number)
                    self.tallies.append(self.server.round(number))
                    between(crew, number)
        finally:
            for thread in threads:
                thread.join()
        return self


@pytest.fixture
def wired(programs):
    """Return a training over connections."""
    return Wired(programs)
