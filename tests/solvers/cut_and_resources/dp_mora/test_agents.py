"""Agents that keep their data to themselves: what they say, and what can be made of it."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.solvers.cut_and_resources.dp_mora.flow import SETTLED
from splitopt.solvers.cut_and_resources.dp_mora.messages import KINDS
from splitopt.solvers.cut_and_resources.messaging.log import CENTRE, Message, MessageLog

GRAPHS = ["complete", "ring", "star", "erdos_renyi", ((0, 1), (1, 2), (1, 3), (3, 4))]


def one_cut_each(problem):
    """Allow every device a single cut, so that the cut step has nothing to choose."""
    allowed = np.zeros_like(problem.allowed)
    allowed[np.arange(problem.devices), np.arange(problem.devices) % problem.layers] = True
    return CutAndResources(**{**problem.data(), "allowed": allowed})


def prices(network, receiver=None, sender=None):
    """Return (origin, lambda, z) of the prices that one device was sent, or sent itself."""
    kind = "relayed_price" if sender is None else "price"
    return [
        (m.origin, m.fields["lambda"], m.fields["z"])
        for m in network.transcript
        if m.kind == kind and (m.receiver == receiver or m.sender == sender)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_agents_and_arrays_do_the_same(graph, random_problem):
    """Decision, steps and every count of messages agree, on any graph, to the last bit."""
    problem = one_cut_each(random_problem(2, devices=5, layers=4))
    options = {"graph": graph, "tolerance": 1e-8, "edge_probability": 0.7}
    fast, slow = (solve(problem, "dp_mora", agents=a, **options) for a in (False, True))
    assert fast.decision.to_dict() == slow.decision.to_dict()
    assert fast.iterations == slow.iterations > 0
    assert fast.details == slow.details


@pytest.mark.slow
def test_agents_and_arrays_agree_where_cuts_move(random_problem):
    """With all cuts open the rounded cuts agree and the objective to 1e-6."""
    problem = random_problem(0, devices=4, layers=5, masked=True)
    fast, slow = (solve(problem, "dp_mora", agents=a, tolerance=1e-8) for a in (False, True))
    assert fast.details["rounded_cut"] == slow.details["rounded_cut"]
    assert fast.objective == pytest.approx(slow.objective, rel=1e-6)


@pytest.mark.slow
def test_messages_are_counted_by_the_graph(make_network, share_out, random_problem):
    """A step costs N prices up, and down one for each device that a device hears."""
    for graph, per_round in (("complete", 20), ("ring", 10), ("star", 5)):
        network = make_network(random_problem(0, devices=5), graph)
        _, run = share_out(network, tolerance=1e-6)
        assert run.ending == SETTLED
        assert network.audit.counts["price"] == 5 * run.steps
        assert network.audit.counts["relayed_price"] == per_round * (run.steps + 1)
        assert network.audit.messages == len(network.transcript)


def test_a_message_cannot_carry_another_field():
    """The log refuses a field that the kind of message does not have."""
    with pytest.raises(ValueError, match="has the fields"):
        MessageLog(KINDS).record(
            Message("price", 0, CENTRE, {"lambda": 0.0, "z": 0.0, "share": 0.1})
        )


@pytest.mark.slow
def test_only_prices_votes_and_masked_values_leave_a_device(
    make_network, share_out, random_problem
):
    """No message holds a private number: seconds, roots, latency, cut or share."""
    problem = random_problem(1, devices=5, layers=4)
    network = make_network(problem)
    share_out(network)
    network.latency_total(clip=False)
    network.share_total(0)
    left = [m for m in network.transcript if m.sender != CENTRE]
    assert {m.kind for m in left} == {"price", "vote", "masked", "mask_key"}
    assert {field for m in left for field in m.fields} == {
        "lambda", "z", "settled", "masked_value", "key",
    }  # fmt: skip
    assert all(set(m.fields) == set(KINDS[m.kind].fields) for m in network.transcript)
    tables = [problem.download_s, problem.upload_s, problem.server_s, problem.device_s]
    private = np.concatenate([np.ravel([t, np.sqrt(t)]) for t in tables])
    private = np.concatenate((private[private > 0], network.gather().shares[:, 0]))
    sent = np.array([m.fields["lambda"] for m in left if m.kind == "price"])
    sent = np.concatenate((sent, [m.fields["z"] for m in left if m.kind == "price"]))
    apart = np.abs(np.abs(sent)[:, None] - private) / private
    assert apart.min() > 1e-9


def test_masked_values_are_other_numbers_every_time(make_network, share_out, random_problem):
    """With other keys every masked value differs while nothing else does."""
    problem, seen = random_problem(1, devices=4), []
    for keys in (0, 1):
        network = make_network(problem, keys=keys)
        scale, run = share_out(network, tolerance=1e-6)
        values = [m.fields["masked_value"] for m in network.transcript if m.kind == "masked"]
        seen.append((scale, run, values))
    assert seen[0][:2] == seen[1][:2]
    assert not set(seen[0][2]) & set(seen[1][2])


@pytest.mark.slow
def test_the_server_receives_what_the_devices_send_and_no_more(
    make_network, share_out, random_problem
):
    """What reaches the server are prices, votes and masked values; keys pass between devices."""
    network = make_network(random_problem(1, devices=4))
    share_out(network, tolerance=1e-6)
    kinds = {m.kind for m in network.transcript if m.receiver == CENTRE}
    assert kinds == {"price", "vote", "masked"}


@pytest.mark.slow
def test_in_the_star_a_device_cannot_tell_who_has_which_data(
    make_network, share_out, random_problem
):
    """Permuting the data of the others leaves everything that a device hears as it was."""
    problem = random_problem(4, devices=5)
    order = [0, 3, 1, 4, 2]
    shuffled = CutAndResources(**{name: rows[order] for name, rows in problem.data().items()})
    heard = []
    for each in (problem, shuffled):
        network = make_network(each, "star")
        share_out(network, tolerance=1e-8)
        heard.append(np.array([mail[1:] for mail in prices(network, receiver=0)]))
    assert heard[0] == pytest.approx(heard[1], rel=1e-9, abs=1e-12)


@pytest.mark.slow
def test_on_the_complete_graph_prices_give_the_shares_away(make_network, share_out, random_problem):
    """A curious device can solve Eq. 29 for the shares of all others: a limit of the printed way.

    It knows its own prices, hears all others, and 1/N - mu = d lambda + L lambda + L z.
    """
    n, step = 5, 0.02
    network = make_network(random_problem(0, devices=n))
    scale, run = share_out(network, step=step)
    mail = np.array(prices(network, receiver=0)).reshape(run.steps + 1, n - 1, 3)
    state = np.zeros((run.steps + 1, n, 2))
    state[:, 1:] = mail[:, :, 1:]
    state[1:, 0] = np.array(prices(network, sender=0))[:, 1:].astype(float)
    laplacian = n * state - state.sum(axis=1, keepdims=True)
    moved = (state[1:, :, 0] - state[:-1, :, 0]) / step
    guessed = 1 / n - moved - laplacian[:-1].sum(axis=2)
    assert guessed[-1] == pytest.approx(network.gather().shares[:, 0], abs=1e-6)
    needs = guessed[-1] ** 2 * scale
    assert needs == pytest.approx([agent._need * scale for agent in network._agents], rel=1e-3)
