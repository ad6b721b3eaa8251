"""A small language model whose head is its embedding, its clients, and whole models beside it."""

from __future__ import annotations

import copy
import itertools
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402

TOKENS, WORDS, WIDTH = 6, 12, 8
WEIGHT = 8 * WORDS * WIDTH
"""Bytes of the tied weight, in float64."""
SAMPLES, BATCH, EPOCHS = 10, 4, 2
STEPS = EPOCHS * 3
"""Mini-batches of a client in a round: 4, 4 and 2 of its samples, twice."""
KNOWN = {
    "sgd": ({}, torch.optim.SGD, {}),
    "momentum": ({"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    "adam": ({"optimizer": "adam"}, torch.optim.Adam, {}),
}
"""Our options, and the optimizer of PyTorch that they stand for."""


def network(tied=True):
    torch.manual_seed(0)
    return GPT(TOKENS, WORDS, width=WIDTH, heads=2, layers=2, tied=tied).double()


def batch():
    return torch.arange(2 * TOKENS).reshape(2, TOKENS) % WORDS


def criterion(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def batches(seed=1):
    rng = np.random.default_rng(seed)
    text = torch.tensor(rng.integers(0, WORDS, (SAMPLES, TOKENS + 1)))
    return Batches(text[:, :-1], text[:, 1:], BATCH, seed)


def scheme_of(name, cuts, model=None, count=1, **options):
    model = network() if model is None else model
    split = find_cuts(model, batch(), tied="copies")
    numbers = tuple(split.cuts.index(cut) + 1 for cut in cuts)
    clients = [Client(f"c{k}", batches(k), Stream(k), numbers) for k in range(1, count + 1)]
    given = Options(local_epochs=EPOCHS, optimizer_state="keep", learning_rate=0.05, **options)
    scheme = SCHEMES[name](model, clients, given, Split(split.split), criterion)
    return scheme.cluster([range(count)]) if name == "clustered" else scheme


def trained_whole(kind, keywords, rounds):
    """Train the unsplit model by PyTorch alone on the batches of the first client."""
    model, walk = network(), batches()
    optimizer = kind(model.parameters(), lr=0.05, **keywords)
    for _ in range(rounds * STEPS):
        inputs, targets = walk.draw()
        optimizer.zero_grad()
        criterion(model(inputs), targets).backward()
        optimizer.step()
    return model.state_dict()


def assert_equal(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


DEVICE = ("tokens", "positions", "add", "blocks.0")
"""Layers before the cut of the schemes below."""


class Models:
    """A whole model for each client, made with PyTorch alone, whose server layers are one."""

    def __init__(self, count, kind, keywords):
        self.common = network()
        self.batches = [batches(k) for k in range(1, count + 1)]
        self.models = [copy.deepcopy(self.common) for _ in range(count)]
        shared = dict(self.common.named_parameters())
        self.own = [name for name in shared if name.startswith(DEVICE)]
        for model in self.models:
            for name in set(shared) - set(self.own):
                place, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(place), leaf, shared[name])
        make = partial(kind, lr=0.05, **keywords)
        self.server = make([shared[name] for name in shared if name not in self.own])
        self.device = [make([one.get_parameter(n) for n in self.own]) for one in self.models]

    def hand_out(self, clients):
        with torch.no_grad():
            for k, name in itertools.product(clients, self.own):
                self.models[k].get_parameter(name).copy_(self.common.get_parameter(name))

    def step(self, clients, rescaled=False):
        """Train all on the mean loss of their samples together, as one batch."""
        drawn = [self.batches[k].draw() for k in clients]
        pairs = zip(clients, drawn, strict=True)
        outputs = [self.models[k](inputs) for k, (inputs, _) in pairs]
        targets = [own for _, own in drawn]
        criterion(torch.cat(outputs), torch.cat(targets)).backward()
        for k, own in zip(clients, targets, strict=True):
            for name in self.own if rescaled else ():
                self.models[k].get_parameter(name).grad *= sum(map(len, targets)) / len(own)
            self.device[k].step()
            self.device[k].zero_grad()
        self.server.step()
        self.server.zero_grad()

    def collect(self, clients):
        with torch.no_grad():
            for name in self.own:
                values = [self.models[k].get_parameter(name) for k in clients]
                self.common.get_parameter(name).copy_(sum(values) / len(values))


def turns_of(name, scheme, number):
    """Return who trains side by side, and how often one after the other, step by step."""
    if name == "vanilla":
        return [([k], [[k]] * STEPS) for k in range(3)]
    if name == "clustered":
        return [([2, 0], [[2, 0]] * STEPS), ([1], [[1]] * STEPS)]
    served = scheme.served(number)
    if scheme.options.server_order == "batch":
        return [(range(3), [[k] for turn in served for k in turn])]
    return [(range(3), [[k] for k in served[0] for _ in range(STEPS)])]


SHARED = [
    ("vanilla", {}),
    ("splitfed_v2", {"server_order": "client"}),
    ("splitfed_v2", {"server_order": "batch"}),
    ("clustered", {"cut_gradient": "mean"}),
    ("clustered", {"cut_gradient": "rescaled"}),
]
