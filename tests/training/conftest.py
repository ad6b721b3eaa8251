"""Small models and clients, drawn from seeds."""

from __future__ import annotations

import copy
import functools
import itertools
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import Client  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    """Keep sums in a fixed order: bit-identity is the claim of many tests here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


class Adapted(nn.Module):
    """A frozen linear layer with a small trained part beside it, and a constant buffer."""

    def __init__(self, base, rank):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        self.register_buffer("scale", torch.tensor([0.5]))

    def forward(self, value):
        return self.base(value) + self.scale * self.up(self.down(value))


class Scaled(nn.Module):
    """Scales what it gets by a weight of another layer."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, value):
        return value * (1 + self.weight.sum())


def cnn(
    seed=0,
    dropout=0.0,
    batch_norm=False,
    dtype=torch.float32,
    frozen=(),
    adapter=None,
    tied=False,
):
    """Eight layers on 1 x 8 x 8 images; in-place activations, as they are usual.

    ``frozen`` are numbers of layers, ``adapter`` is the rank of one at the first linear layer. With
    ``tied`` the last layer uses a weight of the first.
    """
    torch.manual_seed(seed)
    middle = nn.BatchNorm2d(4) if batch_norm else nn.Identity()
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        middle,
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64, 16),
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(16, 3)),
    )
    if adapter is not None:
        model[6] = Adapted(model[6], adapter)
    if tied:
        model[7].append(Scaled(model[0].weight))
    for index in frozen:
        model[index].requires_grad_(False)
    return model.to(dtype)


def split_sequential(model, cuts):
    """Cut a Sequential after these numbers of layers."""
    ends = (0, *cuts, len(model))
    return [model[a:b] for a, b in itertools.pairwise(ends)]


def draw_clients(sizes, cuts=(3,), batch=4, seed=0, dtype=torch.float32):
    """Clients with random images; ``cuts`` is one tuple for all, or one for each."""
    rng = np.random.default_rng(seed)
    each = cuts if cuts and isinstance(cuts[0], tuple) else [cuts] * len(sizes)
    clients = []
    for k, (n, own) in enumerate(zip(sizes, each, strict=True)):
        x = torch.tensor(rng.normal(size=(n, 1, 8, 8)), dtype=dtype)
        y = torch.tensor(rng.integers(0, 3, n))
        clients.append(Client(f"d{k}", Batches(x, y, batch, 100 + k), Stream(200 + k), own))
    return clients


def averaged_by_hand(model, clients, rounds, rate, criterion=nn.functional.cross_entropy):
    """FedAvg of what is trained, in plain PyTorch: SGD with momentum 0.9, anew in each round."""
    total = sum(client.samples for client in clients)
    for _ in range(rounds):
        copies = []
        for client in clients:
            own = copy.deepcopy(model).train()
            learning = [p for p in own.parameters() if p.requires_grad]
            optimizer = torch.optim.SGD(learning, lr=rate, momentum=0.9)
            for inputs, targets in client.batches.take(client.batches.per_epoch):
                optimizer.zero_grad()
                criterion(own(inputs), targets).backward()
                optimizer.step()
            copies.append(dict(own.named_parameters()))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    mean = torch.zeros_like(parameter)
                    for client, own in zip(clients, copies, strict=True):
                        mean += (client.samples / total) * own[name]
                    parameter.copy_(mean)
    return model


@pytest.fixture
def fedavg():
    """Return FedAvg by hand, with which schemes are compared."""
    return averaged_by_hand


@pytest.fixture
def make():
    """Return the helpers ``make.cnn``, ``make.split`` and ``make.clients``."""

    class Make:
        pass

    Make.cnn, Make.split, Make.clients = (
        staticmethod(cnn),
        staticmethod(split_sequential),
        staticmethod(draw_clients),
    )
    return Make


@functools.cache
def shipped_plan(name):
    """Plan a shipped scenario for the digits, quickly.

    ``digits-varying`` is the cell with channels that vary, ``few-splitfed`` the fleet with fewer
    samples, ``few-servers`` the same at two servers, ``SCHEME-splitfed`` the first of these planned
    for a scheme.
    """
    if name.endswith("-splitfed") and name not in ("few-splitfed", "digits-splitfed"):
        few = Scenario.from_dict(shipped_plan("few-splitfed").scenario)
        scheme, _, order = name.removesuffix("-splitfed").partition(":")
        return splitopt.plan(few, scheme=scheme, server_order=order or None)
    base = {
        "digits-varying": "digits-clusters",
        "few-splitfed": "digits-splitfed",
        "few-servers": "digits-splitfed",
    }.get(name, name)
    document = Scenario.load(base).to_dict()
    if name == "digits-varying":
        varying = {"samples": 3, "snr": {"kind": "uniform", "low_db": 8, "high_db": 20}}
        document["distributions"] = varying
    if name == "few-servers":
        first = document["servers"][0]
        document["servers"] = [first, first | {"name": "other", "seats": 2}]
    if name in ("few-splitfed", "few-servers"):
        for device in document["devices"]:
            device["samples"] = 40
    solver = "similar_compute" if name == "digits-clusters" else "auto"
    return splitopt.plan(Scenario.from_dict(document), solver=solver)


@pytest.fixture
def plan_of():
    """Return the function that plans a shipped scenario by its name."""
    return shipped_plan


@pytest.fixture
def over_connections():
    """Return a function that trains a job over real connections, every party in a thread.

    Each prepares the job by itself, as processes do. It returns what rank 0 has prepared, and the
    sums of its rounds. ``hear`` is called in each thread with the name of its party; ``fails`` are
    the parties that end with an error; noise for a target epsilon is for ``planned_rounds``.
    """
    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.preparing.private import plan_noise
    from splitopt.training.preparing.setup import set_groups
    from splitopt.training.wire.crew import Crew, join
    from splitopt.training.wire.deadlines import Deadline
    from splitopt.training.wire.roles import roles_of
    from splitopt.training.wire.setting import Setting
    from splitopt.training.wire.transport.listener import listen
    from splitopt.training.wire.transport.tokens import Token

    def train(job, rounds=2, hear=lambda party: None, fails=(), planned_rounds=None):
        lead, errors, token = prepare(job), {}, Token.new()
        if planned_rounds is not None:
            plan_noise(lead.scheme, planned_rounds)
        roles = roles_of(lead.program, lead.scheme.options.fed_server)
        setting = Setting(token, 1e-4, Deadline(None, 120.0))
        names = roles.parties(lead.program)
        others = [prepare(job) for _ in names]  # here, as seeded numbers are everybody's
        listener = listen(None, 0, token)

        def follow(prepared, rank):
            hear(names[rank - 1])
            try:
                with join("127.0.0.1", listener.port, token, rank, {}, 120.0) as channel:
                    roles.run(prepared, rank, channel, setting)
            except Exception as error:
                errors[names[rank - 1]] = error

        threads = [
            threading.Thread(target=follow, args=(prepared, rank))
            for rank, prepared in enumerate(others, start=1)
        ]
        hear("rank 0")
        tallies = []
        for thread in threads:
            thread.start()
        try:
            with Crew(listener, names, {}) as crew:
                crew.wait(120.0)
                leader = roles.leader(lead, crew, setting)
                for number in range(rounds):
                    set_groups(lead.scheme, lead.program, number)
                    tallies.append(leader.round(number))
        finally:
            for thread in threads:
                thread.join(120.0)
        assert set(errors) == set(fails), errors
        return lead, tallies

    return train
