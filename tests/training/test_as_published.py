"""SplitFed by its authors' script: the loop written out with PyTorch's own Adam."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

SIZES, LR = (8, 12, 5), 0.01


def adam(module):
    return torch.optim.Adam(module.parameters(), lr=LR)


def turn(front, server, batches):
    """Serve a client: its Adam lasts for the turn, the server's for a batch."""
    own = adam(front)
    for inputs, targets in batches:
        other = adam(server)
        loss = torch.nn.functional.cross_entropy(server(front(inputs)), targets)
        own.zero_grad()
        other.zero_grad()
        loss.backward()
        own.step()
        other.step()


def mean(states):
    return {name: sum(s[name] for s in states) / len(states) for name in states[0]}


def same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-11)


def whole(front, server, model):
    """Return the state of a model of these two parts."""
    out = copy.deepcopy(model)
    out[:3].load_state_dict(front)
    out[3:].load_state_dict(server)
    return out.state_dict()


@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2"])
def test_two_rounds_are_the_loop_of_the_script(make, name):
    """Weights after each round, and the pairs of parts by which every client is tested."""
    options = Options(optimizer="adam", learning_rate=LR, as_published=True)
    clients = make.clients(SIZES, dtype=torch.float64)
    scheme = SCHEMES[name](make.cnn(dtype=torch.float64), clients, options, make.split, seed=5)
    model, twins = make.cnn(dtype=torch.float64), make.clients(SIZES, dtype=torch.float64)
    for number in range(2):
        (order,) = scheme.served(number)
        scheme.round(number)
        old, servers, fronts, tested = copy.deepcopy(model[:3].state_dict()), [], [], {}
        shared = model[3:]
        for n in order:
            front = copy.deepcopy(model[:3])
            server = shared if name == "splitfed_v2" else copy.deepcopy(model[3:])
            turn(front, server, twins[n].batches.take(twins[n].batches.per_epoch))
            fronts.append(front.state_dict())
            servers.append(copy.deepcopy(server.state_dict()))
            tested[f"d{n}"] = whole(old, servers[-1], model)
        if name == "splitfed_v1":
            model[3:].load_state_dict(mean(servers))
            tested[f"d{order[-1]}"] = whole(old, model[3:].state_dict(), model)
        model[:3].load_state_dict(mean(fronts))
        same(scheme.model.state_dict(), model.state_dict())
        assert scheme.tested_as.keys() == tested.keys()
        for client, state in tested.items():
            same(scheme.tested_as[client], state)


@pytest.mark.slow
def test_the_accuracy_of_a_round_is_the_mean_over_clients():
    """The common model's own stands beside it, as PyTorch alone computes it from the weights."""
    plan = splitopt.plan("digits-splitfed", scheme="splitfed_v1")
    options = Options(optimizer="adam", learning_rate=LR, as_published=True)
    run = splitopt.train(plan, rounds=2, options=options)
    for row in run.history:
        own = [client.metrics["accuracy"] for client in row.clients.values()]
        assert len(own) == 4
        assert row.accuracy == pytest.approx(np.mean(own))
    usual = splitopt.train(plan, rounds=2, options=Options(optimizer="adam", learning_rate=LR))
    assert usual.history.rows[-1].metrics.keys() == {"accuracy"}
    assert row.metrics["common_accuracy"] != row.accuracy
    from splitopt.training.data import load_data

    data = load_data("digits", seed=0)
    with torch.no_grad():
        right = run.model.eval()(data.test_inputs).argmax(1) == data.test_targets
    assert row.metrics["common_accuracy"] == pytest.approx(float(right.double().mean()))


@pytest.mark.parametrize(
    ("scheme", "given", "message"),
    [
        ("splitfed_v2", {"server_order": "batch"}, "server_order: does not go together with"),
        ("splitfed_v1", {"optimizer_state": "keep"}, "optimizer_state: does not go together"),
        ("splitfed_v1", {"batched": True}, "batched: does not go together"),
        ("vanilla", {}, "as_published: is for splitfed_v1 and splitfed_v2, not for vanilla"),
        ("federated", {}, "as_published: is for splitfed_v1 and splitfed_v2, not for federated"),
    ],
)
def test_what_the_script_does_not_do_is_refused(scheme, given, message):
    plan = splitopt.plan("digits-splitfed", scheme=scheme)
    with pytest.raises(InputError, match=message):
        splitopt.train(plan, rounds=1, options=Options(as_published=True, **given))
