"""SplitNN: one model that owners train in turn, against plain PyTorch loops and sums by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.rounds.clock import VirtualClock  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from splitopt.training.wire.roles import roles_of  # noqa: E402

pytestmark = pytest.mark.train

ROUNDS = 3
SIZES = [5, 10, 7]
OPTIMIZERS = {
    "sgd": Options(optimizer_state="keep"),
    "momentum": Options(momentum=0.9, optimizer_state="keep"),
    "adam": Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep"),
    "adam anew": Options(optimizer="adam", learning_rate=0.01),
}


def whole_model(model, clients, options, orders):
    """Train an unsplit model that visits the owners in these orders, one list a round."""
    model.train()

    def fresh():
        if options.optimizer == "adam":
            return torch.optim.Adam(model.parameters(), lr=options.learning_rate)
        rate, momentum = options.learning_rate, options.momentum
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)

    optimizer = fresh()
    for order in orders:
        if options.optimizer_state == "reset":
            optimizer = fresh()
        for client in (clients[k] for k in order):
            for _ in range(client.batches.per_epoch):
                x, y = client.batches.draw()
                optimizer.zero_grad()
                with client.stream.active():
                    nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
    return model.state_dict()


def assert_same_bits(found, wanted):
    """Compare two states bit by bit."""
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


def network(make):
    """Build a network with batch normalisation on either side of a cut, and dropout."""
    return make.cnn(dropout=0.3, batch_norm=True)


@pytest.mark.one_quick
@pytest.mark.parametrize("options", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("cuts", [(1, 7), (2, 5)])
def test_owners_in_turn_train_one_unsplit_model(make, options, cuts):
    """Bit for bit, with batch normalisation and dropout in the owners' part and in the node's."""
    wanted = whole_model(network(make), make.clients(SIZES), options, [range(3)] * ROUNDS)
    model = network(make)
    scheme = SCHEMES["split_nn"](model, make.clients(SIZES, cuts), options, make.split)
    for number in range(ROUNDS):
        scheme.round(number)
    assert_same_bits(model.state_dict(), wanted)


def test_shuffled_owners_are_another_order_of_the_same(make):
    """The unsplit model visits them in the orders drawn, which differ from the given one."""
    options = Options(momentum=0.9, optimizer_state="keep", order="shuffled")
    model = network(make)
    scheme = SCHEMES["split_nn"](model, make.clients(SIZES, (2, 7)), options, make.split, seed=3)
    orders = []
    for number in range(ROUNDS):
        orders.append([int(client.name[1:]) for client in scheme.order(number)])
        scheme.round(number)
    assert any(order != [0, 1, 2] for order in orders)
    assert all(sorted(order) == [0, 1, 2] for order in orders)
    wanted = whole_model(network(make), make.clients(SIZES), options, orders)
    assert_same_bits(model.state_dict(), wanted)


@pytest.mark.slow
def test_a_state_between_rounds_goes_on_to_the_same_bits(make):
    """Momentum, moments, statistics and random streams are all in it."""
    for options in OPTIMIZERS.values():
        models = [network(make), network(make)]
        first, second = (
            SCHEMES["split_nn"](model, make.clients(SIZES, (2, 7)), options, make.split)
            for model in models
        )
        first.round(0)
        second.load_state_dict(first.state_dict())
        for number in (1, 2):
            first.round(number)
            second.round(number)
        assert_same_bits(models[1].state_dict(), models[0].state_dict())


@pytest.mark.slow
def test_a_checkpoint_goes_on_to_the_same_bits(plan_of, tmp_path):
    """The run of a plan, interrupted between two rounds."""
    options = Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep")
    given = {"scheme": "split_nn", "options": replace(options, order="shuffled")}
    plan, place = plan_of("digits-pipeline"), tmp_path / "state"
    whole = splitopt.train(plan, rounds=2, **given)
    splitopt.train(plan, rounds=1, checkpoint=place, **given)
    found = splitopt.train(plan, rounds=2, checkpoint=place, resume=True, **given)
    assert found.history == whole.history
    assert_same_bits(found.model.state_dict(), whole.model.state_dict())


def test_bytes_by_hand(make):
    """Four tensors a batch, and at each turn the owners' trained parameters in and out."""
    model = network(make)
    model[0].bias.requires_grad_(False)
    scheme = SCHEMES["split_nn"](model, make.clients(SIZES, (2, 7)), Options(), make.split)
    sent = scheme.round(0).traffic
    # Behind layer 2 are 4 x 8 x 8 numbers a sample, behind layer 7 16; float32; 22 samples.
    assert sent.smashed == sent.gradient == 22 * 4 * (256 + 16)
    # 3 turns: the convolution's 4 x 9 weights, 2 x 4 of the normalisation, 16 x 3 + 3 at the end.
    assert sent.model_down == sent.model_up == 3 * 4 * (36 + 8 + 51)
    # Each time its means and variances, and a count of 8 B.
    assert sent.statistics == 2 * 3 * (4 * 8 + 8)
    assert sent.label == 0


def test_bytes_are_those_of_the_profile(plan_of):
    """What a run counts is what the plan's table says for these cuts."""
    plan = plan_of("digits-pipeline")
    found = splitopt.train(plan, rounds=1, scheme="split_nn").history.rows[0].traffic_bytes
    program = program_of(plan).trained_by("split_nn")
    assert program.clients[0].cuts == ("conv1", "fc1")
    # 4 x 256 samples; conv1 gives 8 x 8 x 8 numbers and fc1 64; 80 and 650 parameters, float32.
    wanted = {"smashed": 1024 * 4 * (512 + 64), "gradient": 1024 * 4 * (512 + 64)}
    wanted |= dict.fromkeys(("model_down", "model_up"), 4 * 4 * (80 + 650))
    assert planned_bytes(program) == wanted
    assert {kind: found[kind] for kind in wanted} == wanted


MIDDLE = 2 * 16 * 8 * 9 * 16 + 2 * 64 * 64
"""FLOP of a sample forward from pool1 to fc1: the second convolution and a linear layer."""


def clock(document, scheme="split_nn"):
    """Return the program and the first round's time of a plan of this scenario."""
    program = program_of(splitopt.plan(Scenario.from_si(document))).trained_by(scheme)
    return program, VirtualClock(program).round(0)


def test_the_clock_by_hand():
    """B (node + own + four transfers) + hand-over of each owner, on the faster node."""
    program, time = clock(Scenario.load("digits-pipeline").to_dict())
    # FLOP of a sample forward: conv1 2 x 8 x 9 x 64, fc2 2 x 64 x 10, the node's MIDDLE; backward
    # twice that, but once for conv1, whose input needs no gradient.
    own = 16 * (2 * 9216 + 3 * 1280) / 4e6
    node = 16 * 3 * MIDDLE / 20e6
    moved = 2 * 16 * 4 * (512 + 64) * 8 / 2e6 + 4 * 0.005
    hand_over = 2 * (4 * (80 + 650) * 8 / 2e6 + 0.005)
    assert time.seconds == pytest.approx(4 * (16 * (node + own + moved) + hand_over))
    assert sum(time.phases.values()) == pytest.approx(time.seconds)
    assert time.phases["waiting"] == pytest.approx(4 * (16 * 4 + 2) * 0.005)
    assert VirtualClock(program).round(7) == time


@pytest.mark.parametrize("model", ["uniform", "nic", "serial"])
def test_the_clock_is_one_simulated_owner_after_the_other(model):
    """With one node, a turn is the simulated pipeline of its owner alone, and the hand-over."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["links"]["nodes"] = {"model": model, "rate": 1.5e6, "latency": 0.004}
    document["nodes"] = document["nodes"][:1]
    slow = {"name": "slow", "count": 2, "compute": 1e6, "samples": 70, "batch_size": 16}
    document["devices"] = [{**document["devices"][0], "count": 1}, slow]
    turns = 0.0
    for group in document["devices"]:
        alone = clock({**document, "devices": [{**group, "count": 1}]}, "multihop")[1]
        turns += group["count"] * alone.seconds
    # A simulated round ends with the parts going up and coming down: the hand-over's two ways.
    assert clock(document)[1].seconds == pytest.approx(turns)


def test_a_node_needs_the_memory_of_one_copy():
    """The fastest that holds the whole middle counts; where none does, there is no time."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["devices"][0]["count"] = 1
    large = clock(document)[1].seconds
    # One copy of pool1 to pool2 takes 112,320 B, that of fc1 58,112 B: 170,432 B in one place.
    document["nodes"][1]["memory"] = 120e3
    small = clock(document)[1].seconds
    assert small - large == pytest.approx(16 * 16 * 3 * MIDDLE * (1 / 10e6 - 1 / 20e6))
    document["nodes"][0]["memory"] = 170_432.0
    assert clock(document)[1].seconds == small
    document["nodes"][0]["memory"] = 170_431.0
    assert clock(document)[1] is None


def test_what_it_refuses(make, plan_of):
    """Policies that need copies, batching, cuts that are not two, other plans, and the wire."""
    for given, words in (
        ({"batch_norm": "local"}, "batch_norm: is 'local'.*choose average or frozen"),
        ({"optimizer_state": "average"}, "optimizer_state: is 'average'.*choose reset or keep"),
        ({"batched": True}, "batched: clients of split_nn do not"),
    ):
        with pytest.raises(InputError, match=words):
            SCHEMES["split_nn"](
                make.cnn(), make.clients(SIZES, (2, 7)), Options(**given), make.split
            )
    for cuts in ((3,), (2, 4, 7), [(2, 7), (2, 7), (1, 7)]):
        with pytest.raises(InputError, match="a first and a last cut"):
            SCHEMES["split_nn"](make.cnn(), make.clients(SIZES, cuts), Options(), make.split)
    with pytest.raises(InputError, match="'split_nn' cannot train this plan"):
        program_of(plan_of("digits-clusters")).trained_by("split_nn")
    with pytest.raises(InputError, match="split_nn is not run over connections here"):
        roles_of(program_of(plan_of("digits-pipeline")).trained_by("split_nn"))
