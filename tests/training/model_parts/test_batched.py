"""Clients trained side by side against the same clients trained one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES, TrainingError  # noqa: E402
from splitopt.training.schemes.parallel_copies import ParallelCopies  # noqa: E402

pytestmark = pytest.mark.train

ROUNDS = 3
DTYPE = torch.float64


def build(make, name, cuts, sizes=(10, 10, 10), options=None, model=None, **keywords):
    """Make a scheme with freshly drawn clients."""
    model = make.cnn(dtype=DTYPE, **keywords) if model is None else model
    clients = make.clients(list(sizes), cuts, dtype=DTYPE)
    return SCHEMES[name](model, clients, options or Options(), make.split)


def run(scheme, first=0):
    """Train some rounds, and give the sums of each."""
    return [scheme.round(number) for number in range(first, first + ROUNDS)]


def assert_close(found, wanted):
    """Compare all that the next round depends on."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-10)


def assert_same_training(make, name, cuts, sizes=(10, 10, 10), **keywords):
    """Train twice, with and without; give the scheme that batched."""
    options = keywords.pop("options", {})
    one_by_one, together = (
        build(make, name, cuts, sizes, Options(**options, batched=batched), **keywords)
        for batched in (False, True)
    )
    start = together.model.state_dict()["0.weight"].clone()
    for found, wanted in zip(run(together), run(one_by_one), strict=True):
        assert found.traffic == wanted.traffic
        assert found.samples == wanted.samples
        assert found.loss == pytest.approx(wanted.loss, rel=0, abs=1e-10)
    assert_close(together.state_dict(), one_by_one.state_dict())
    assert not torch.equal(together.model.state_dict()["0.weight"], start)
    return together


@pytest.fixture
def never_alone(monkeypatch):
    """Fail where a client that batches trains by itself."""
    alone = ParallelCopies._train_alone

    def refuse(self, client, tally):
        assert not self.options.batched, f"{client.name} trained alone"
        alone(self, client, tally)

    monkeypatch.setattr(ParallelCopies, "_train_alone", refuse)


OPTIMIZERS = [
    {},
    {"momentum": 0.9, "weight_decay": 0.01},
    {"optimizer": "adam", "learning_rate": 0.01},
    {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
]


@pytest.mark.usefixtures("never_alone")
@pytest.mark.parametrize("state", ["reset", "keep", "average"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize(
    ("name", "cuts"), [("federated", ()), ("splitfed_v1", (3,)), ("multihop", (2, 4, 7))]
)
@pytest.mark.one_quick
def test_side_by_side_is_one_by_one(make, name, cuts, optimizer, state):
    """Weights, moments, losses and bytes, over batches of two sizes in a walk (float64)."""
    options = {**optimizer, "optimizer_state": state, "local_epochs": 2}
    assert_same_training(make, name, cuts, options=options)


@pytest.mark.usefixtures("never_alone")
@pytest.mark.parametrize("policy", ["average", "local", "frozen"])
def test_batch_normalisation_of_every_client(make, policy):
    """Running statistics are stacked like weights, whatever happens to them between rounds."""
    options = {"batch_norm": policy}
    assert_same_training(make, "splitfed_v1", (3,), options=options, batch_norm=True)


def test_clients_of_several_kinds(make):
    """Those with the same cut and sizes train together, and the one that is like no other alone."""
    cuts = [(1,), (3,), (1,), (3,), (3,)]
    options = {"momentum": 0.9, "order": "shuffled", "weights": "uniform"}
    scheme = assert_same_training(make, "splitfed_v1", cuts, (10, 8, 10, 8, 6), options=options)
    assert set(scheme._stacks) == {("d0", "d2"), ("d1", "d3")}


def test_walks_that_end_within_a_round(make):
    """With a number of steps, batches of a round begin anywhere in a walk and differ in size."""
    options = {"local_steps": 2, "optimizer": "adam", "optimizer_state": "keep"}
    assert_same_training(make, "federated", (), (10, 10, 7, 7), options=options)


class Tied(nn.Module):
    """Two layers that share their weights, one weight that stays as it is, and one number."""

    def __init__(self):
        super().__init__()
        self.flat = nn.Flatten()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.second.bias.requires_grad_(False)
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("shift", torch.ones(3), persistent=False)
        self.last = nn.Linear(64, 3)

    def forward(self, x):
        """From images to three classes."""
        return self.last(self.second(torch.tanh(self.first(self.flat(x)))) * self.scale) + (
            self.shift
        )


@pytest.mark.usefixtures("never_alone")
def test_shared_frozen_and_single_numbers(make):
    """What two layers share stays shared, and what is frozen stays as it is."""
    states = []
    for batched in (False, True):
        torch.manual_seed(0)
        model = Tied().to(DTYPE)
        before = model.second.bias.clone()
        options = Options(momentum=0.9, optimizer_state="keep", batched=batched)
        scheme = build(make, "federated", (), options=options, model=model)
        run(scheme)
        assert model.first.weight is model.second.weight
        torch.testing.assert_close(model.second.bias.data, before, rtol=0, atol=1e-15)
        states.append(scheme.state_dict())
    assert_close(states[1], states[0])


@pytest.mark.parametrize("batched", [False, True])
def test_either_way_goes_on_from_the_other(make, batched):
    """A state saved while training one way continues the other way."""
    options = {"optimizer": "adam", "optimizer_state": "keep"}
    whole = build(make, "splitfed_v1", (3,), options=Options(**options))
    run(whole)
    first = build(make, "splitfed_v1", (3,), options=Options(**options, batched=batched))
    run(first)
    second = build(make, "splitfed_v1", (3,), options=Options(**options, batched=not batched))
    second.load_state_dict(first.state_dict())
    run(whole, first=ROUNDS)
    run(second, first=ROUNDS)
    assert_close(second.state_dict(), whole.state_dict())


def test_sizes_of_the_next_batches(make):
    """What is foretold is what is drawn, from anywhere in a walk."""
    for samples in (1, 4, 7, 10):
        batches = make.clients([samples])[0].batches
        for count in (1, 2, 5, 0, 3):
            told = batches.sizes(count)
            assert told == tuple(len(x) for x, _ in batches.take(count))


def test_dropout_is_refused(make):
    """Random numbers belong to a client and cannot be drawn for several at once."""
    with pytest.raises(InputError, match="batched: the model draws random numbers"):
        build(make, "federated", (), options=Options(batched=True), dropout=0.5)


class Guarded(nn.Module):
    """What it computes depends on values of the batch."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 3)

    def forward(self, x):
        """From images to three classes."""
        x = x.flatten(1)
        return self.last(x if x.sum() > 0 else -x)


def test_control_flow_on_values_is_refused(make):
    """And what stood in the way is said."""
    model = Guarded().to(DTYPE)
    with pytest.raises(InputError, match=r"batched: the model cannot be called.*control flow"):
        build(make, "federated", (), options=Options(batched=True), model=model)


def test_clients_none_of_which_are_alike_are_refused(make):
    """Different numbers of samples, cuts of their own, or one client only."""
    for cuts, sizes in (((3,), (10, 9, 8)), ([(1,), (3,)], (10, 10)), ((3,), (10,))):
        with pytest.raises(InputError, match="batched: no two clients"):
            build(make, "splitfed_v1", cuts, sizes, Options(batched=True))


@pytest.mark.parametrize("name", ["vanilla", "splitfed_v2", "clustered"])
def test_schemes_that_share_a_server_are_refused(make, name):
    """Their clients meet in every step."""
    with pytest.raises(InputError, match=f"batched: clients of {name} "):
        build(make, name, (3,), options=Options(batched=True))


def test_a_loss_that_is_not_finite_names_the_client(make):
    """The one whose data did it, not the group."""
    scheme = build(make, "federated", (), options=Options(batched=True))
    scheme.clients[1].batches.inputs[:] = float("nan")
    with pytest.raises(TrainingError, match="client d1 is nan"):
        scheme.round(0)


@pytest.mark.slow
def test_a_plan_is_trained_side_by_side(plan_of):
    """By `splitopt.train`, in float32, where the network is cut by its table's names."""
    options = Options(learning_rate=0.1, momentum=0.9)
    plan = plan_of("digits-splitfed")
    runs = [
        splitopt.train(plan, rounds=2, options=replace(options, batched=batched))
        for batched in (False, True)
    ]
    for found, wanted in zip(runs[1].history.rows, runs[0].history.rows, strict=True):
        assert found.traffic_bytes == wanted.traffic_bytes
        assert found.loss == pytest.approx(wanted.loss, abs=1e-4)
    assert runs[1].scheme._stacks
    with pytest.raises(InputError, match="batched: clients of clustered"):
        splitopt.train(plan_of("digits-clusters"), rounds=1, options=replace(options, batched=True))


def test_processes_of_their_own_are_refused(plan_of):
    """On the wire there is nothing to stack."""
    from splitopt.training.job import TrainingJob
    from splitopt.training.wire.job import check_job

    job = TrainingJob(plan_of("digits-splitfed"), options=Options(batched=True))
    with pytest.raises(InputError, match="batched: every device is a process"):
        check_job(job)
    for given in ({"scheme": "split_nn"}, {"device": "auto"}):
        with pytest.raises(InputError, match="is for training in one process"):
            check_job(replace(job, options=None, **given))
