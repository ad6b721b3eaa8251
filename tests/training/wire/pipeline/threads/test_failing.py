"""Pipelines over connections whose owners or nodes fail."""

from __future__ import annotations

import itertools
import re

import pytest
from torch import nn

from splitopt.training.options import Options
from splitopt.training.schemes import Round, TrainingError
from splitopt.training.wire.pipeline.batch_worker import BatchWorker
from tests.training.wire.pipeline.threads.cases import (
    SIZES,
    assert_same_state,
    run,
    scheme_of,
    system,
)

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


SENT_BY_D0 = SIZES[0] * 256 * 4  # activations: nobody else sends as many bytes


def failing_at(number, value):
    """Make a loss that at its call of this number raises an error, or is times a value."""
    calls = itertools.count(1)

    def criterion(outputs, targets):
        if next(calls) == number:
            if isinstance(value, Exception):
                raise value
            return nn.functional.cross_entropy(outputs, targets) * value
        return nn.functional.cross_entropy(outputs, targets)

    return criterion


@pytest.mark.slow
def test_an_owner_that_dies_is_dropped_and_the_others_are_averaged(make):
    dying = {2: failing_at(3, RuntimeError("a device dies"))}  # 4 batches, in the first round
    options = Options(momentum=0.9, optimizer_state="keep")
    scheme, leader, tallies = run(make, options, system("nic"), 2, criteria=dying, dropout=0.3)
    assert [tally.dropped for tally in tallies] == [("d1",), ("d1",)]
    assert [item.client for item in leader.dropped] == ["d1"]
    alone = scheme_of(make, options, dropout=0.3)
    others = [alone.clients[0], alone.clients[2]]
    for _ in range(2):
        tally = Round()
        alone.begin(others, tally)
        for client in others:
            alone._train_alone(client, tally)
        alone.end(others, tally)
    for name, value in alone.model.state_dict().items():
        assert torch.equal(scheme.model.state_dict()[name], value), name
    assert tallies[1].loss_sum == tally.loss_sum


@pytest.mark.slow
def test_an_owner_that_is_started_again_takes_part_in_the_next_round(make):
    dying = {2: failing_at(2, RuntimeError("a device dies"))}
    scheme, _, tallies = run(make, Options(), system(), 2, criteria=dying, again=[2], dropout=0.3)
    assert [tally.dropped for tally in tallies] == [("d1",), ()]
    assert [tally.samples for tally in tallies] == [SIZES[0] + SIZES[2], sum(SIZES)]
    alone = scheme_of(make, Options(), dropout=0.3)
    for clients in ([alone.clients[0], alone.clients[2]], alone.clients):
        tally = Round()
        alone.begin(clients, tally)
        for client in clients:
            alone._train_alone(client, tally)
        alone.end(clients, tally)
    assert_same_state(scheme, alone)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("_forward", r"two says it cannot take a batch: RuntimeError: out of memory"),
        ("_backward", r"two says it was sent gradients of another shape or type"),
    ],
)
def test_an_owner_that_a_node_cannot_serve_is_dropped(make, monkeypatch, method, why):
    """What it sent is not for these layers; the others are served."""
    usual = getattr(BatchWorker, method)

    def broken(self, part, values):
        if self.owner == 1 and self.node.index == 1:
            if method == "_forward":
                raise RuntimeError("out of memory")
            values = values[:, :1]
        return usual(self, part, values)

    monkeypatch.setattr(BatchWorker, method, broken)
    _, leader, tallies = run(make, Options(), system(), rounds=1, criteria={2: None})
    assert tallies[0].dropped == ("d1",)
    assert re.search(why, leader.dropped[0].reason)


@pytest.mark.one_quick
@pytest.mark.parametrize("what", ["losses", "held.model.0.weight", "batches.next", "stream.state"])
def test_an_owner_whose_state_makes_no_sense_is_dropped(make, monkeypatch, what):
    from splitopt.training.wire.transport.channel import Channel

    usual = Channel.send

    def send(self, kind, fields=None, tensors=None, **rest):
        if kind == "state" and what in tensors and fields["sent"].get("activations") == SENT_BY_D0:
            tensors = {**tensors, what: torch.zeros(1, 1, 1, 1, 1)}
        return usual(self, kind, fields or {}, tensors or {}, **rest)

    monkeypatch.setattr(Channel, "send", send)
    _, leader, tallies = run(make, Options(), system(), rounds=1, criteria={1: None})
    assert tallies[0].dropped == ("d0",)
    assert "it sent" in leader.dropped[0].reason


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_owner(make):
    criteria = {3: failing_at(1, float("nan"))}
    with pytest.raises(TrainingError, match="the loss of client d2 is nan"):
        run(make, Options(), system(), rounds=1, criteria=criteria)


def test_nobody_is_left(make):
    dying = {rank: failing_at(1, RuntimeError("a device dies")) for rank in (1, 2, 3)}
    with pytest.raises(
        TrainingError, match=r"no owner is left to train with: dropped were d[012] in"
    ):
        run(make, Options(), system(), rounds=1, criteria=dying)


def test_a_node_on_another_machine_that_only_listens_to_itself(make, monkeypatch):
    """It is refused at once: owners would look for it on their own machines."""
    from splitopt.training.wire import addresses

    monkeypatch.setattr(addresses, "is_of_this_machine", lambda host: host != "127.0.0.1")
    with pytest.raises(TrainingError, match=r"one failed \(beginning: it runs on 127.0.0.1 but"):
        run(make, Options(), system(), rounds=1)
