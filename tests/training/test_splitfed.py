"""SplitFed with orders of service and some of the clients, against loops written out by hand."""

from __future__ import annotations

import copy
from itertools import combinations
from math import comb

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.latency.drawn_clients import expected_longest  # noqa: E402
from splitopt.simulation.common_cut import replay  # noqa: E402
from splitopt.simulation.replay import Setting  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

LR = 0.1
SIZES = (8, 12, 5, 9)


def step(model, parts, inputs, targets):
    """One step of plain SGD on the parts as one chain, in PyTorch alone."""
    value = inputs
    for part in parts:
        value = part(value)
    parameters = [p for part in parts for p in part.parameters()]
    loss = torch.nn.functional.cross_entropy(value, targets)
    with torch.no_grad():
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p -= LR * g
    return model


def mean_state(states, weights):
    """Return the weighted mean of some states."""
    total = sum(weights)
    return {
        name: sum(w / total * s[name] for s, w in zip(states, weights, strict=True))
        for name in states[0]
    }


def v2_by_hand(model, clients, served, by_batch, steps):
    """One round of SplitFedV2: the server's part is one, the devices' parts are averaged."""
    front, server = model[:3], model[3:]
    members = sorted({n for turn in served for n in turn})
    own = {n: copy.deepcopy(front) for n in members}
    batches = {n: list(clients[n].batches.take(steps[n])) for n in members}
    if by_batch:
        sequence = [(n, t) for t, turn in enumerate(served) for n in turn if t < steps[n]]
    else:
        sequence = [(n, t) for n in served[0] for t in range(steps[n])]
    for n, t in sequence:
        step(None, [own[n], server], *batches[n][t])
    front.load_state_dict(
        mean_state([own[n].state_dict() for n in members], [SIZES[n] for n in members])
    )


@pytest.mark.parametrize("server_order", ["client", "batch"])
@pytest.mark.parametrize("order", [None, "given"])
@pytest.mark.parametrize("fraction", [None, 0.5])
def test_v2_is_the_loop_written_out(make, server_order, order, fraction):
    """Two rounds in float64, whose orders and members are read from the scheme and played."""
    options = Options(
        learning_rate=LR, server_order=server_order, order=order, client_fraction=fraction
    )
    clients = make.clients(SIZES, dtype=torch.float64)
    scheme = SCHEMES["splitfed_v2"](
        make.cnn(dtype=torch.float64), clients, options, make.split, seed=3
    )
    model, twins = make.cnn(dtype=torch.float64), make.clients(SIZES, dtype=torch.float64)
    steps = [client.batches.per_epoch for client in twins]
    for number in range(2):
        served = scheme.served(number)
        scheme.round(number)
        v2_by_hand(model, twins, served, server_order == "batch", steps)
        for name, value in scheme.model.state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "cuts"), [("splitfed_v1", (3,)), ("federated", ())])
def test_only_those_who_were_drawn_train_and_count(make, name, cuts):
    """Whole models side by side in plain PyTorch; the mean is over the drawn ones alone."""
    options = Options(learning_rate=LR, client_fraction=0.5)
    clients = make.clients(SIZES, cuts, dtype=torch.float64)
    scheme = SCHEMES[name](make.cnn(dtype=torch.float64), clients, options, make.split, seed=1)
    model, twins = make.cnn(dtype=torch.float64), make.clients(SIZES, cuts, dtype=torch.float64)
    for number in range(3):
        (drawn,) = scheme.served(number)
        tally = scheme.round(number)
        assert len(drawn) == 2
        states = []
        for n in drawn:
            own = copy.deepcopy(model)
            for inputs, targets in twins[n].batches.take(twins[n].batches.per_epoch):
                step(None, [own], inputs, targets)
            states.append(own.state_dict())
        model.load_state_dict(mean_state(states, [SIZES[n] for n in drawn]))
        for key, value in scheme.model.state_dict().items():
            torch.testing.assert_close(value, model.state_dict()[key], rtol=0, atol=1e-12)
        assert set(tally.clients) == {f"d{n}" for n in drawn}
        assert tally.samples == sum(SIZES[n] for n in drawn)
        part = model[:3] if cuts else model
        size = sum(p.numel() * 8 for p in part.parameters())
        assert tally.traffic.model_down == tally.traffic.model_up == 2 * size


@pytest.mark.slow
def test_orders_and_members_are_those_of_the_seed(make):
    """The same seed draws the same, another one another; all are drawn about equally often."""

    def made(seed, **given):
        options = Options(**given)
        return SCHEMES["splitfed_v2"](
            make.cnn(), make.clients([8] * 5), options, make.split, seed=seed
        )

    whole = made(0)
    orders = [whole.served(number)[0] for number in range(20)]
    assert orders == [made(0).served(number)[0] for number in range(20)]
    assert orders != [made(1).served(number)[0] for number in range(20)]
    assert len({tuple(order) for order in orders}) > 10
    assert all(sorted(order) == list(range(5)) for order in orders)
    turns = made(0, server_order="batch").served(0)
    assert len(turns) == 2  # of 8 samples in batches of 4
    assert turns[0] != turns[1]
    some = made(0, client_fraction=0.4)
    counts = np.bincount([n for number in range(500) for n in some.served(number)[0]])
    assert counts.sum() == 1000
    assert abs(counts - 200).max() < 5 * np.sqrt(500 * 0.4 * 0.6)
    assert [len(made(0, client_fraction=c).served(0)[0]) for c in (0.01, 0.5, 0.7, 1)] == [
        1,
        2,
        4,
        5,
    ]


@pytest.mark.parametrize("seconds", [[3.0], [1.0, 5.0, 2.0, 2.0], [0.0, 1.5, 9.0, 4.0, 4.5]])
def test_the_expected_round_is_the_mean_over_all_subsets(seconds):
    for drawn in range(1, len(seconds) + 1):
        every = [max(own) for own in combinations(seconds, drawn)]
        assert len(every) == comb(len(seconds), drawn)
        assert expected_longest(seconds, drawn) == pytest.approx(np.mean(every), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("server_order", ["client", "batch"])
@pytest.mark.parametrize("fraction", [None, 0.5])
def test_a_round_takes_what_its_own_order_takes_event_by_event(server_order, fraction):
    """The clock of every round is that of the simulation of the very order that was served."""
    plan = splitopt.plan("digits-splitfed", scheme="splitfed_v2", server_order=server_order)
    options = Options(client_fraction=fraction)
    run = splitopt.train(plan, rounds=3, options=options, evaluate_every=3)
    from splitopt.planning.planner import open_plan

    opened = open_plan(plan)
    for number, row in enumerate(run.history):
        orders = run.scheme.served(number)
        played = replay(opened.problem, opened.decision, Setting(opened.scenario), orders)
        assert row.round_s == pytest.approx(played.simulated_s, rel=1e-9)
        assert sum(row.phases_s.values()) == pytest.approx(row.round_s)
    assert len({row.round_s for row in run.history}) > 1


@pytest.mark.one_quick
@pytest.mark.parametrize(("planned", "trained"), [("sum", None), ("sum", "federated")])
def test_drawn_clients_keep_their_shares(planned, trained):
    """A round is as long as the slowest that was drawn, of the seconds in the plan."""
    plan = splitopt.plan("digits-splitfed", objective=planned)
    run = splitopt.train(plan, rounds=4, scheme=trained, options=Options(client_fraction=0.5))
    seconds = {row["name"]: row["round_s"] for row in plan.prediction["devices"]}
    if trained is not None:
        whole = splitopt.plan("digits-splitfed", scheme=trained)
        seconds = {row["name"]: row["own_s"] for row in whole.prediction["devices"]}
    names = list(seconds)
    for number, row in enumerate(run.history):
        drawn = [names[n] for n in run.scheme.served(number)[0]]
        assert set(row.clients) == set(drawn)
        assert row.round_s == pytest.approx(max(seconds[name] for name in drawn), rel=1e-9)
    mean = np.mean([max(pair) for pair in combinations(seconds.values(), 2)])
    assert run.history.origin["drawn"] == {
        "clients": 2,
        "of": 4,
        "expected_round_s": pytest.approx(mean, rel=1e-9),
    }


@pytest.mark.slow
def test_a_run_that_goes_on_draws_what_it_would_have_drawn(tmp_path):
    plan = splitopt.plan("digits-splitfed", scheme="splitfed_v2", server_order="batch")
    options = Options(client_fraction=0.5, learning_rate=LR)
    whole = splitopt.train(plan, rounds=4, options=options)
    splitopt.train(plan, rounds=2, options=options, checkpoint=tmp_path)
    rest = splitopt.train(plan, rounds=4, options=options, checkpoint=tmp_path, resume=True)
    assert rest.history.rows == whole.history.rows
    for own, other in zip(rest.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(own, other)
    for changed in (Options(learning_rate=LR), Options(client_fraction=0.5, order="given")):
        with pytest.raises(InputError, match="options"):
            splitopt.train(plan, rounds=5, options=changed, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("scheme", "given", "message"),
    [
        ("splitfed_v2", {"client_fraction": 0}, "client_fraction: is 0, it must be above 0"),
        ("splitfed_v2", {"client_fraction": 1.5}, "client_fraction: is 1.5, .* at most 1"),
        ("splitfed_v2", {"client_fraction": float("nan")}, "client_fraction: is nan"),
        ("splitfed_v2", {"client_fraction": "half"}, "client_fraction: is 'half'"),
        ("vanilla", {"client_fraction": 0.5}, "and vanilla trains all clients in every round"),
        ("splitfed_v2", {"server_order": "turn"}, "server_order: is 'turn', it must be one of"),
        ("splitfed_v1", {"server_order": "batch"}, "server_order: is for splitfed_v2"),
    ],
)
def test_wrong_options_are_refused(scheme, given, message):
    plan = splitopt.plan("digits-splitfed", scheme=scheme)
    with pytest.raises(InputError, match=message):
        splitopt.train(plan, rounds=1, options=Options(**given))
