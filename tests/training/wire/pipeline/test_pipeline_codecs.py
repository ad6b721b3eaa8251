"""Codecs in a pipeline over real connections: the weights and bytes of one process."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.latency.pipeline import OwnerParts, Stages  # noqa: E402
from splitopt.simulation.system import PipelineSystem  # noqa: E402
from splitopt.training.codecs.crossing import Crossing  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Multihop, TrainingError  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.pipeline.coordinator import Pipeline  # noqa: E402
from splitopt.training.wire.pipeline.messages import arrived_values, packed  # noqa: E402
from splitopt.training.wire.pipeline.parties import take_part  # noqa: E402
from splitopt.training.wire.pipeline.timing import timing_of  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402
from splitopt.training.wire.transport.frames import Message  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

SIZES, BATCH, CUTS = (10, 16, 7), 5, (2, 4, 6)
BYTES = np.array([4 * 64, 4 * 16, 4 * 16]) * 4.0 * BATCH
MS = 1e-3


def system():
    """Make a pipeline of three owners and two nodes without links between them."""
    owners = OwnerParts(*(np.full(3, MS) for _ in range(8)))
    stages = Stages(np.full(2, MS), np.full(2, MS))
    batches = np.array([-(-size // BATCH) for size in SIZES])
    names = ("d0", "d1", "d2")
    return PipelineSystem(stages, owners, batches, None, None, "full", ("one", "two"), names)


def timing(scale, channels=False):
    """Return the pipeline's timing; with one uplink and one downlink of all owners if asked for."""
    found = timing_of(system(), BYTES, BYTES, scale)
    if not channels:
        return found

    def shared(number, leg, way):
        name = "uplink" if number in (0, way.last_part) else "downlink"
        ends = tuple(
            replace(end, resource=name, kind="channel") if end.kind == "owner link" else end
            for end in leg.ends
        )
        return replace(leg, ends=ends)

    ways = tuple(
        replace(way, legs=tuple(shared(number, leg, way) for number, leg in enumerate(way.legs)))
        for way in found.ways
    )
    return replace(found, ways=ways)


def scheme_of(make, options, **model):
    clients = make.clients(SIZES, CUTS, BATCH, dtype=model.get("dtype", torch.float32))
    return Multihop(make.cnn(**model), clients, options, make.split, nn.functional.cross_entropy)


def run(make, options, rounds=2, timed=timing, spoil=lambda rank, scheme: None, **model):
    """Train over connections; return scheme, leader, tallies and the parties' errors."""
    scheme = scheme_of(make, options, **model)  # before others draw from the global generator
    token, errors, tallies = Token.new(), {}, []
    listener = listen(None, 0, token)

    def follow(rank):
        try:
            own = scheme_of(make, options, **(model | {"seed": 9}))
            spoil(rank, own)
            with join("127.0.0.1", listener.port, token, rank, {}, 120.0) as channel:
                take_part(own, rank, channel, timed, token)
        except Exception as error:
            errors[rank] = error

    threads = [threading.Thread(target=follow, args=(rank,)) for rank in range(1, 6)]
    for thread in threads:
        thread.start()
    try:
        with Crew(listener, ("d0", "d1", "d2", "one", "two"), {}) as crew:
            crew.wait(120.0)
            leader = Pipeline(scheme, timed(0.1), crew, Deadline(None, 120.0))
            tallies = [leader.round(number) for number in range(rounds)]
    finally:
        for thread in threads:
            thread.join(30)
    return scheme, leader, tallies, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codecs", "model"),
    [
        ({"codec": "fp16"}, {}),
        ({"codec": "int8:channel:stochastic"}, {"dropout": 0.4, "batch_norm": True}),
        ({"codec": "topk:0.1:feedback", "gradient_codec": "int4:stochastic"}, {"dropout": 0.4}),
        ({"codec": "none", "gradient_codec": "topk:0.2"}, {}),
        ({"codec": "topk:0.3:feedback"}, {"frozen": (0, 1), "batch_norm": True}),
        ({"codec": "int8", "gradient_codec": "bf16"}, {"dtype": torch.float64}),
    ],
    ids=["fp16", "int8", "topk, int4", "gradients", "frozen", "float64"],
)
def test_as_in_one_process_bit_by_bit(make, codecs, model):
    options = Options(momentum=0.9, local_epochs=2, order="shuffled", **codecs)
    scheme, _, tallies, errors = run(make, options, **model)
    alone = scheme_of(make, options, **model)
    expected = [alone.round(number) for number in range(2)]
    assert errors == {}
    first, second = scheme.state_dict(), alone.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    for tally, wanted in zip(tallies, expected, strict=True):
        assert (tally.loss_sum, tally.samples) == (wanted.loss_sum, wanted.samples)
        assert tally.traffic == wanted.traffic


@pytest.mark.slow
def test_channels_of_all_owners_are_asked_for_by_what_travels(make):
    options = Options(codec="int8")
    scheme, _, (tally,), errors = run(
        make, options, rounds=1, timed=lambda scale: timing(scale, channels=True)
    )
    alone = scheme_of(make, options)
    assert tally.traffic == alone.round(0).traffic
    assert errors == {}
    for name, value in scheme.model.state_dict().items():
        assert torch.equal(value, alone.model.state_dict()[name])
    # By hand: values of a byte, and a scale and a zero point of 5 B for each message and cut.
    batches = sum(-(-size // BATCH) for size in SIZES)
    values = sum(SIZES) * (256 + 64 + 64)
    assert tally.traffic.smashed == tally.traffic.gradient == values + batches * 3 * 5


@pytest.mark.one_quick
@pytest.mark.parametrize("rank", [1, 4, 5], ids=["owner", "first node", "last node"])
def test_a_value_that_cannot_be_sent_ends_the_run_with_the_words_of_one_process(make, rank):
    """Wherever it is made: at the owner or at a node, which tell the coordinator."""

    def spoil(number, scheme):
        """Make a party's own layers write what is not finite."""
        if number != rank:
            return
        layer = {1: 0, 4: 2, 5: 4}[rank]
        for own in scheme.copies():
            own.model[layer].register_forward_hook(lambda *given: given[-1] * float("inf"))

    words = r"^activations of client d\d at cut \d hold a value that is not finite; lower"
    with pytest.raises(TrainingError, match=words):
        run(make, Options(codec="int8"), rounds=1, spoil=spoil)
    alone = scheme_of(make, Options(codec="int8"))
    for own in alone.copies():
        own.model[2].register_forward_hook(lambda *given: given[-1] * float("inf"))
    with pytest.raises(TrainingError, match=words):
        alone.round(0)


def test_what_is_not_what_the_codec_writes_is_refused():
    """A receiver believes neither names nor sizes of a message."""
    codec = make_codec("topk:0.5")
    sender = Crossing({"up": codec, "down": codec})
    fields, tensors = packed(sender.encode("up", 0, torch.arange(8.0).reshape(2, 4)))
    message = Message("activations", fields, tensors)
    assert torch.equal(
        arrived_values(message, Crossing({"up": codec})),
        torch.tensor([[0.0] * 4, [4.0, 5.0, 6.0, 7.0]]),
    )
    assert arrived_values(Message("gradients"), sender) is None
    other = Crossing({"up": make_codec("int8")})
    wrong = [
        (fields, tensors, Crossing()),
        (fields, tensors, other),
        ({}, tensors, sender),
        ({"encoded": ["float32", [2, 2**40]]}, tensors, sender),
        ({"encoded": ["float32", [2, 5]]}, tensors, sender),
        ({"encoded": ["float99", [2, 4]]}, tensors, sender),
        ({"encoded": ["float32", [2, 4] + [1] * 40]}, tensors, sender),
        ({"encoded": ["float32", [2, -4]]}, tensors, sender),
        ({}, {"values": torch.zeros(2, 4)}, sender),
        (fields, {**tensors, "weights": torch.zeros(1)}, sender),
        (fields, {**tensors, "values": torch.zeros(1)}, sender),
        (fields, {**tensors, "values.positions": torch.tensor([0, 1, 2, 8]).short()}, sender),
        (fields, {**tensors, "values.positions": torch.tensor([0, 1, 2, -1]).short()}, sender),
        (fields, {**tensors, "values.values": tensors["values.values"].double()}, sender),
    ]
    for own, given, receiver in wrong:
        with pytest.raises(FrameError):
            arrived_values(Message("activations", own, given), receiver)


def test_parties_of_different_codecs_do_not_train_together(make):
    """The nodes refuse the owners, one after the other, until none is left."""

    def spoil(rank, scheme):
        if rank <= 3:
            for client in scheme.clients:
                client.crossing = Crossing({"up": make_codec("int4")}, client.name)

    with pytest.raises(TrainingError, match="start all parties with the same codec"):
        run(make, Options(codec="int8"), rounds=1, spoil=spoil)
