"""What split training must be equal to, bit by bit or to float64's accuracy.

The other side of each comparison is a plain PyTorch loop written here, without the package.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

ROUNDS = 3


def train(name, make, model, clients, options, clusters=None, rounds=ROUNDS):
    """Run a scheme and give the common weights."""
    scheme = SCHEMES[name](model, clients, options, make.split)
    if clusters is not None:
        scheme.cluster(clusters)
    for number in range(rounds):
        scheme.round(number)
    return model.state_dict()


def assert_same_bits(found, wanted):
    """Compare two states bit by bit."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


def plain_optimizer(model, options):
    """Build the optimizer as a user of PyTorch would."""
    if options.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    return torch.optim.SGD(model.parameters(), lr=options.learning_rate, momentum=options.momentum)


def plain_training(model, client, options, rounds=ROUNDS):
    """Train a whole model on one client's batches with PyTorch's global random numbers."""
    model.train()
    optimizer = plain_optimizer(model, options)
    torch.set_rng_state(client.stream.state)
    for _ in range(rounds * client.batches.per_epoch):
        x, y = client.batches.draw()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


OPTIMIZERS = [
    Options(optimizer_state="keep"),
    Options(momentum=0.9, optimizer_state="keep"),
    Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep"),
]


@pytest.mark.one_quick
@pytest.mark.parametrize("options", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "vanilla"])
def test_one_client_split_anywhere_is_centralized(make, name, cut, options):
    """Batch normalisation and dropout on either side of the cut included."""
    wanted = plain_training(make.cnn(dropout=0.5, batch_norm=True), make.clients([10])[0], options)
    model = make.cnn(dropout=0.5, batch_norm=True)
    assert_same_bits(train(name, make, model, make.clients([10], (cut,)), options), wanted)


@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "vanilla"])
def test_a_device_part_may_have_nothing_to_learn(make, name):
    """A cut behind a layer without parameters leaves the device to pass its data on."""

    def network():
        return nn.Sequential(nn.Flatten(), *make.cnn()[6:])

    wanted = plain_training(network(), make.clients([10])[0], Options(optimizer_state="keep"))
    found = train(name, make, network(), make.clients([10], (1,)), Options(optimizer_state="keep"))
    assert_same_bits(found, wanted)


@pytest.mark.one_quick
@pytest.mark.parametrize("cuts", [(1, 5), (1, 2, 3), (1, 2, 3, 4, 5, 6, 7)])
@pytest.mark.parametrize("options", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
def test_many_hops_are_centralized(make, cuts, options):
    """A chain of 3, 4 or 8 parts learns what the whole model learns."""
    wanted = plain_training(make.cnn(dropout=0.5, batch_norm=True), make.clients([10])[0], options)
    model = make.cnn(dropout=0.5, batch_norm=True)
    assert_same_bits(train("multihop", make, model, make.clients([10], cuts), options), wanted)


def plain_fedavg(make, sizes, options, rounds=ROUNDS):
    """FedAvg of whole models, in two lines of arithmetic a parameter."""
    model, clients = make.cnn(dropout=0.3), make.clients(sizes)
    total = float(sum(sizes))
    for _ in range(rounds):
        states = []
        for client in clients:
            own = copy.deepcopy(model).train()
            optimizer = plain_optimizer(own, options)
            with client.stream.active():
                for _ in range(client.batches.per_epoch):
                    x, y = client.batches.draw()
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(own(x), y).backward()
                    optimizer.step()
            states.append(own.state_dict())
        mean = {
            name: sum(n / total * s[name] for n, s in zip(sizes, states, strict=True))
            for name in states[0]
        }
        model.load_state_dict(mean)
    return model.state_dict()


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("federated", ()),
        ("splitfed_v1", (3,)),
        ("splitfed_v1", [(1,), (3,), (7,)]),
        ("multihop", (2, 4, 7)),
        ("u_shaped", (2, 7)),
    ],
)
def test_parallel_copies_are_fedavg(make, name, cuts):
    """Several local steps, unequal clients, cuts of their own: federated averaging, bit by bit."""
    options = Options(momentum=0.9)
    wanted = plain_fedavg(make, [5, 10, 7], options)
    found = train(name, make, make.cnn(dropout=0.3), make.clients([5, 10, 7], cuts), options)
    assert_same_bits(found, wanted)


def test_where_copies_are_cut_changes_no_bit(make):
    """The schemes with a copy per client are one computation."""
    options = Options(momentum=0.9)
    runs = [
        train(name, make, make.cnn(dropout=0.3), make.clients([5, 10, 7], cuts), options)
        for name, cuts in (("federated", ()), ("splitfed_v1", (3,)), ("multihop", (2, 4, 7)))
    ]
    assert_same_bits(runs[1], runs[0])
    assert_same_bits(runs[2], runs[0])


def test_one_full_batch_step_is_large_batch_descent(make):
    """SplitFedV1, one step on all samples: gradient descent on the union (float64)."""
    options, sizes = Options(learning_rate=0.1), [5, 10, 7]
    clients = make.clients(sizes, batch=None, dtype=torch.float64)
    x = torch.cat([client.batches.inputs for client in clients])
    y = torch.cat([client.batches.targets for client in clients])
    wanted = make.cnn(dtype=torch.float64)
    for _ in range(20):
        loss = nn.functional.cross_entropy(wanted(x), y)
        gradients = torch.autograd.grad(loss, list(wanted.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(wanted.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    model = make.cnn(dtype=torch.float64)
    train("splitfed_v1", make, model, clients, options, rounds=20)
    for found, value in zip(model.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(found, value, rtol=0, atol=1e-10)


def test_clusters_of_one_are_vanilla_split_learning(make):
    """CPSL with one device a cluster passes the device part on from device to device."""
    options = Options(momentum=0.9, optimizer_state="keep")
    wanted = train("vanilla", make, make.cnn(), make.clients([5, 10, 7]), options)
    found = train("clustered", make, make.cnn(), make.clients([5, 10, 7]), options, [[0], [1], [2]])
    assert_same_bits(found, wanted)


def test_vanilla_split_learning_is_one_client_after_the_other(make):
    """Plain descent on the whole model, walking through the clients' batches in turn."""
    options = Options()
    wanted = make.cnn().train()
    optimizer = plain_optimizer(wanted, options)
    clients = make.clients([5, 10, 7])
    for _ in range(ROUNDS):
        for client in clients:
            for x, y in client.batches.take(client.batches.per_epoch):
                optimizer.zero_grad()
                nn.functional.cross_entropy(wanted(x), y).backward()
                optimizer.step()
    found = train("vanilla", make, make.cnn(), make.clients([5, 10, 7]), options)
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rescaled", [True, False])
def test_one_cluster_needs_the_rescaled_gradient_to_be_centralized(make, rescaled):
    """CPSL Eq. 6-7 as printed shrink a device's gradient by its share of the samples."""
    dtype, sizes = torch.float64, [6, 6, 6]
    clients = make.clients(sizes, batch=None, dtype=dtype)
    x = torch.cat([client.batches.inputs for client in clients])
    y = torch.cat([client.batches.targets for client in clients])
    wanted = make.cnn(dtype=dtype)
    optimizer = torch.optim.SGD(wanted.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(wanted(x), y).backward()
        optimizer.step()
    options = Options(learning_rate=0.1, cut_gradient="rescaled" if rescaled else "mean")
    model = make.cnn(dtype=dtype)
    train("clustered", make, model, clients, options, [[0, 1, 2]], rounds=20)
    far = max(
        float((a - b).detach().abs().max())
        for a, b in zip(model.parameters(), wanted.parameters(), strict=True)
    )
    assert far < 1e-10 if rescaled else far > 1e-4


def test_a_shared_mean_step_equals_a_faster_device(make):
    """CPSL as printed with a device rate K times the server's is the rescaled gradient."""
    dtype, sizes = torch.float64, [6, 6]
    runs = []
    for options in (
        Options(learning_rate=0.1, cut_gradient="rescaled"),
        Options(learning_rate=0.2, server_learning_rate=0.1),
    ):
        clients = make.clients(sizes, batch=None, dtype=dtype)
        runs.append(train("clustered", make, make.cnn(dtype=dtype), clients, options, [[0, 1]]))
    for name, value in runs[0].items():
        torch.testing.assert_close(runs[1][name], value, rtol=0, atol=1e-12)


def test_the_order_of_owners_changes_nothing(make):
    """MP-SL's owners have copies and random numbers of their own (dropout included)."""
    runs = []
    for order in ("given", "shuffled"):
        options = Options(order=order)
        model = make.cnn(dropout=0.5)
        runs.append(train("multihop", make, model, make.clients([5, 10, 7], (2, 7)), options))
    assert_same_bits(runs[1], runs[0])


@pytest.mark.slow
def test_training_can_stop_and_go_on(make):
    """A state taken between two rounds continues to the same bits."""
    for name, cuts in (("splitfed_v1", (3,)), ("clustered", (3,)), ("multihop", (2, 7))):
        for options in (*OPTIMIZERS, Options(optimizer="adam", optimizer_state="average")):
            schemes = []
            for _ in range(2):
                model = make.cnn(dropout=0.5, batch_norm=True)
                scheme = SCHEMES[name](model, make.clients([5, 10, 7], cuts), options, make.split)
                if name == "clustered":
                    scheme.cluster([[0, 2], [1]])
                schemes.append(scheme)
            first, second = schemes
            first.round(0)
            second.load_state_dict(first.state_dict())
            for number in (1, 2):
                first.round(number)
                second.round(number)
            assert_same_bits(second.model.state_dict(), first.model.state_dict())


def test_average_is_numpy_average():
    """FedAvg against two lines of NumPy."""
    from splitopt.training.model_parts.averaging import average

    rng = np.random.default_rng(0)
    states = [{"w": torch.tensor(rng.normal(size=(3, 2)))} for _ in range(4)]
    weights = [1.0, 5.0, 2.0, 9.0]
    wanted = np.average([s["w"].numpy() for s in states], axis=0, weights=weights)
    np.testing.assert_allclose(average(states, weights)["w"].numpy(), wanted, rtol=0, atol=1e-15)
