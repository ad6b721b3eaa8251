"""Rounds over real connections, with devices as threads: what one process learns, bit by bit."""

from __future__ import annotations

import itertools
import threading

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import numpy as np  # noqa: E402
from torch import nn  # noqa: E402

from splitopt import plan  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.batches import Batches  # noqa: E402
from splitopt.training.copies import Copy  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.wire.clusters import ClusterServer  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.device import Device  # noqa: E402
from splitopt.training.wire.listener import listen  # noqa: E402
from splitopt.training.wire.splitfed import SplitFedServer  # noqa: E402
from splitopt.training.wire.timing import Timing  # noqa: E402
from splitopt.training.wire.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

SIZES, BATCH = (10, 16, 7), 5
SERVERS = {"splitfed_v1": SplitFedServer, "clustered": ClusterServer}
CUTS = {"splitfed_v1": (("conv1",), ("fc1",), ()), "clustered": (("pool1",),) * 3}
GROUPS = ((0, 2), (1,))


def network(seed=0):
    """Build the layers of the profile `cnn-digits`, with dropout and statistics on both sides."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(0.2)),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU()),
        nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10)),
    )


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
    return found


def scheme_of(name, options, criterion=nn.functional.cross_entropy):
    clients = clients_of(CUTS[name])
    scheme = SCHEMES[name](network(), clients, options, split, criterion)
    if name == "clustered":
        scheme.cluster(GROUPS)
    return scheme


def follow(name, options, program, port, token, index, errors):
    """Do what the process of a device does, in a thread."""
    client = clients_of(CUTS[name])[index]
    part = split(network(seed=99), client.cuts)[0] if client.cuts else network(seed=99)
    own = Copy.of(part, (), ("device",), split, options)
    try:
        with join("127.0.0.1", port, token, index + 1, {}, 20.0) as channel:
            Device(client, own, nn.functional.cross_entropy, channel, Timing(program), index).run()
    except Exception as error:
        errors.append(error)


@pytest.fixture
def wired(programs):
    """Give a function that trains some rounds over connections."""

    def train(name, options, rounds=2, scheme=None, first=0, time_scale=1e-4, deadline=None):
        token, program = Token.new(), programs[name]
        listener = listen(None, 0, token)
        scheme = scheme or scheme_of(name, options)
        errors = []
        threads = [
            threading.Thread(
                target=follow, args=(name, options, program, listener.port, token, k, errors)
            )
            for k in range(len(SIZES))
        ]
        for thread in threads:
            thread.start()
        with Crew(listener, [c.name for c in scheme.clients], {}) as crew:
            crew.wait(20.0)
            server = SERVERS[name](
                scheme, Timing(program), crew, time_scale, deadline or Deadline(None, 20.0)
            )
            tallies = [server.round(first + number) for number in range(rounds)]
        for thread in threads:
            thread.join()
        assert errors == []
        return server, tallies

    return train


OPTIONS = [
    Options(local_epochs=2),
    Options(local_epochs=2, momentum=0.9, optimizer_state="keep", batch_norm="local"),
    Options(local_epochs=2, optimizer="adam", learning_rate=0.01, optimizer_state="average"),
    Options(local_steps=3, order="shuffled", cut_gradient="rescaled", batch_norm="frozen"),
]
IDS = ["reset", "keep, local", "average", "shuffled"]


def assert_same_state(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_rounds_are_those_of_one_process(wired, name, options):
    """The whole state is the same: weights, walks, random numbers, moments, statistics."""
    wanted = scheme_of(name, options)
    tallies = [wanted.round(number) for number in range(2)]
    server, found = wired(name, options)
    assert_same_state(server.scheme.state_dict(), wanted.state_dict())
    assert found == tallies


@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_either_mode_goes_on_from_the_other(wired, name):
    """A state that was taken between rounds is all that both need."""
    options = OPTIONS[2]
    wanted = scheme_of(name, options)
    wanted.round(0)
    state = wanted.state_dict()
    wanted.round(1)
    resumed = scheme_of(name, options)
    resumed.load_state_dict(state)
    server, _ = wired(name, options, rounds=1, scheme=resumed, first=1)
    assert_same_state(server.scheme.state_dict(), wanted.state_dict())
