"""Devices in turn over connections: SplitFedV2 in both orders, and vanilla split learning."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.schemes.base import TrainingError  # noqa: E402
from splitopt.training.validation.comparing import compare  # noqa: E402
from splitopt.training.wire.star.device import Device, GoneError  # noqa: E402
from splitopt.training.wire.star.ordered import Ordered, Place  # noqa: E402
from splitopt.training.wire.transport.channel import Channel  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402
from splitopt.training.wire.transport.frames import Message  # noqa: E402

pytestmark = pytest.mark.train

KEEP = Options(local_epochs=2, momentum=0.9, optimizer_state="keep")
BY_BATCH = replace(KEEP, server_order="batch")


def with_own_links(program):
    """Return the same program of devices that do not share their links."""
    links = program.scenario.links.model_copy(update={"shared": False})
    return replace(program, scenario=program.scenario.model_copy(update={"links": links}))


@pytest.mark.slow
@pytest.mark.parametrize("own_links", [False, True])
@pytest.mark.parametrize("order", ["given", "shuffled"])
@pytest.mark.parametrize("fraction", [None, 0.7])
def test_batch_by_batch_is_that_of_one_process(wired, own_links, order, fraction):
    """Devices have 4, 8 and 4 mini-batches; the order of every turn is drawn anew."""
    options = replace(BY_BATCH, order=order, client_fraction=fraction)
    wanted = wired.scheme_of("splitfed_v2", options)
    tallies = [wanted.round(number) for number in range(2)]
    program = wired.programs["splitfed_v2"]
    wired.train("splitfed_v2", options, program=with_own_links(program) if own_links else program)
    assert wired.errors == {}
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["int8", "topk:0.2:feedback"])
@pytest.mark.parametrize(
    ("name", "options"), [("vanilla", KEEP), ("splitfed_v2", KEEP), ("splitfed_v2", BY_BATCH)]
)
def test_with_codecs_as_well(wired, name, options, codec):
    options = replace(options, codec=codec)
    wanted = wired.scheme_of(name, options)
    tallies = [wanted.round(number) for number in range(2)]
    wired.train(name, options)
    wired.assert_same_state(wired.scheme, wanted)
    assert wired.tallies == tallies


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vanilla", replace(KEEP, order="shuffled")),
        ("splitfed_v2", KEEP),
        ("splitfed_v2", BY_BATCH),
        ("federated", KEEP),
    ],
)
def test_a_round_is_measured_task_by_task_as_it_was_drawn(wired, name, options):
    """The very tasks of the prediction; those that follow in it follow, whoever was drawn first."""
    wired.train(name, options, rounds=3, time_scale=2e-2)
    server = wired.server
    orders = set()
    for number, (predicted, measured) in enumerate(
        zip(server.predicted, server.timelines, strict=True)
    ):
        found = compare(predicted, measured)
        assert (found.missing, found.extra, found.steps.out_of_order) == ((), (), 0)
        served = [task.owner for task in measured if task.phase == "server"]
        assert served == [task.owner for task in predicted if task.phase == "server"]
        orders.add(tuple(served))
        assert found.measured_s >= 0.999 * found.predicted_s, number  # nothing is ever faster
    assert (len(orders) == 1) == (name == "federated")  # drawn anew in every round


@pytest.mark.parametrize("options", [KEEP, BY_BATCH], ids=["client", "batch"])
def test_shared_links_and_the_server_have_one_message_or_batch_at_a_time(wired, options):
    """What stands in the simulator's rules, of the moments that were measured."""
    scale = 0.1
    wired.train("splitfed_v2", options, rounds=1, time_scale=scale)
    (measured,) = wired.server.timelines
    late_s = 0.03 / scale  # a host that is busy reads a clock so much too late
    for name in ("uplink", "downlink", "server"):
        tasks = [task for task in measured if task.resource == name]
        assert len({task.owner for task in tasks}) == 3
        for before, after in itertools.pairwise(tasks):
            assert after.start_s >= before.end_s - late_s, name
    last = max(task.end_s for task in measured if task.phase == "device backward")
    assert min(task.start_s for task in measured if task.phase == "model upload") >= last - late_s


class Dying(Device):
    """Its process is killed before the second mini-batch."""

    def _train(self, batch, start_s):
        if batch == 1:
            raise ChannelClosedError("killed")
        return super()._train(batch, start_s)


def without_last(scheme, clients, gone):
    """Train a round in one process, of which a client has its first mini-batch alone."""
    tally, (state, left) = Round(), (gone.stream.state_dict(), gone.batches.state_dict())
    scheme.start_round()
    scheme.hand_out(clients, tally)
    kept = {k: v.clone() for k, v in scheme._copies[gone.name].model.state_dict().items()}
    for turn, order in enumerate(scheme.served(0)):
        for client in (scheme.clients[n] for n in order):
            if turn < (1 if client is gone else scheme.steps(client)):
                scheme._serve(client, client.batches.draw(), tally)
    scheme.collect([client for client in clients if client is not gone], tally)
    gone.stream.load_state_dict(state)
    gone.batches.load_state_dict(left)
    return kept


def test_a_device_that_dies_leaves_its_places_to_the_others(wired):
    """Batch by batch: what the server has learned from it stays, its part counts for nothing."""
    options = replace(BY_BATCH, optimizer_state="reset", momentum=0.0)
    wired.train("splitfed_v2", options, rounds=1, devices={1: Dying})
    wanted = wired.scheme_of("splitfed_v2", options)
    without_last(wanted, wanted.clients, wanted.clients[1])
    for name, value in wanted.model.state_dict().items():
        assert torch.equal(wired.scheme.model.state_dict()[name], value), name
    assert wired.tallies[0].dropped == ("d1",)
    assert [item.client for item in wired.server.dropped] == ["d1"]


@pytest.mark.parametrize("name", ["vanilla", "splitfed_v2"])
def test_a_device_that_dies_in_its_turn_is_passed_over(wired, name):
    """Client by client and in vanilla the next one has its turn; later rounds are of the others."""
    options = replace(KEEP, order="given")
    wired.train(name, options, devices={0: Dying})
    assert [tally.dropped for tally in wired.tallies] == [("d0",), ("d0",)]
    assert [set(tally.clients) for tally in wired.tallies] == [{"d0", "d1", "d2"}, {"d1", "d2"}]
    served = [task.owner for task in wired.server.timelines[0] if task.phase == "server"]
    assert served == ["d0"] + ["d1"] * 8 + ["d2"] * 4
    assert set(wired.errors) == {0}


class Poisoned(Device):
    """Its data holds an infinite number."""

    def __init__(self, client, *others):
        client.batches.inputs[:] = float("inf")
        super().__init__(client, *others)


@pytest.mark.parametrize("options", [KEEP, BY_BATCH], ids=["client", "batch"])
def test_a_loss_that_is_not_finite_stops_all(wired, options):
    """Those who wait for their places wait no longer."""
    before = set(threading.enumerate())
    with pytest.raises(TrainingError, match="the loss of client d1 is nan"):
        wired.train("splitfed_v2", options, devices={1: Poisoned})
    assert isinstance(wired.errors[0], GoneError)
    for thread in set(threading.enumerate()) - before:
        thread.join(60.0)
        assert not thread.is_alive()


class Nonsense(Device):
    """Told of a number of turns that is none."""

    turns = None

    def round(self, begin):
        super().round(replace(begin, fields={**begin.fields, "turns": self.turns}))


@pytest.mark.one_quick
@pytest.mark.parametrize("turns", [-1, "2", True, 1.0])
def test_turns_that_are_none_are_refused(wired, turns):
    kind = type("Told", (Nonsense,), {"turns": turns})
    wired.train("splitfed_v2", KEEP, rounds=1, devices={2: kind})
    assert "a number of turns that is none" in str(wired.errors[2])
    assert wired.tallies[0].dropped == ("d2",)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "options"), [("vanilla", KEEP), ("splitfed_v2", BY_BATCH), ("federated", KEEP)]
)
def test_the_server_receives_no_raw_data(wired, monkeypatch, name, options):
    """Of all that comes: no tensor has the shape of images, and none holds a row of them."""
    came: list[Message] = []
    receive = Channel.receive

    def heard(self, *given, **named):
        message = receive(self, *given, **named)
        came.append(message)
        return message

    monkeypatch.setattr(Channel, "receive", heard)
    wired.train(name, options, rounds=1)
    images = torch.cat([client.batches.inputs for client in wired.scheme.clients])
    rows = {tuple(row) for row in images.reshape(-1, 8).tolist()}
    seen = set()
    for message in came:
        for key, value in message.tensors.items():
            seen.add(f"{message.kind}.{key}".split(".")[0])
            assert value.shape[1:] != images.shape[1:], key
            flat = value.reshape(-1)
            if value.dtype == images.dtype and len(flat) % 8 == 0:
                assert rows.isdisjoint(map(tuple, flat.reshape(-1, 8).tolist())), key
    smashed = {"smashed", "labels", "gradient"} if name != "federated" else set()
    assert seen >= {"begin", "model", "state"} | smashed
    assert seen <= {"begin", "model", "state", "stream"} | smashed


def test_places_are_taken_in_their_order_and_in_no_other():
    """Threads that come in the opposite order, and one that leaves."""
    places = [Place(0), Place(1, 0), Place(2, 0), Place(0, 1), Place(1)]
    queue, taken = Ordered(places), []

    def take(place):
        with queue.taking(place):
            taken.append(place)

    threads = [
        threading.Thread(target=take, args=(place,), daemon=True)
        for place in reversed(places)
        if place.member != 2
    ]
    for thread in threads:
        thread.start()
    queue.leave(2)
    queue.wait_for_all()
    assert taken == [place for place in places if place.member != 2]
