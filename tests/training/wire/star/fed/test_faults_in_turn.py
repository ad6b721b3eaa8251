"""SplitFedV2 with a fed server: who dies or changes frames in an order of devices, and resuming."""

from __future__ import annotations

import itertools
import threading
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.setting import OwnFiles  # noqa: E402
from splitopt.training.wire.star.device import GoneError  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.star.fed.keeping import Kept  # noqa: E402
from splitopt.training.wire.star.fed.main import FedServerGoneError  # noqa: E402
from splitopt.training.wire.star.fed.server import FedServer  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

ORDERS = {
    order: Options(
        fed_server=True, local_steps=2, momentum=0.9, optimizer_state="keep", server_order=order
    )
    for order in ("client", "batch")
}
EVERY_ORDER = pytest.mark.parametrize("options", ORDERS.values(), ids=ORDERS)


def killed(*_):
    raise ChannelClosedError("killed")


class WithoutPart(FedDevice):
    """Its process is killed when it should take its part."""

    trained = 0
    take_part = killed


class Dying(FedDevice):
    """Its process is killed before the second mini-batch."""

    trained = 1

    def _train(self, batch, start_s):
        return super()._train(batch, start_s) if batch == 0 else killed()


class DyingBeforeItsPart(FedDevice):
    """Its process is killed when it should give its part back."""

    trained = 2
    give_part = killed


class Babbling(FedDevice):
    """It gives a part of another shape to the fed server."""

    trained = 2

    def give_part(self, steps):
        send = self._fed.send

        def changed(kind, fields, tensors, **named):
            if kind == "model":
                tensors = {name: value[:1] for name, value in tensors.items()}
            return send(kind, fields, tensors, **named)

        self._fed.send = changed
        super().give_part(steps)


class Withholding(FedDevice):
    """It tells the main server that all is done, and gives the fed server nothing."""

    trained = 2

    def give_part(self, steps):
        pass


KINDS = [WithoutPart, Dying, DyingBeforeItsPart, Babbling, Withholding]


def without(scheme, rounds):
    """Train in one process; of each round the server learns only so many batches of device 1.

    None is all, and then its part counts; else it counts for nothing.
    """
    for number, trained in enumerate(rounds):
        lost = trained is not None
        tally, gone = Round(), scheme.clients[1]
        gone_before = number and rounds[number - 1] is not None
        there = [c for c in scheme.clients if not (gone_before and lost and c is gone)]
        drawn = gone.stream.state_dict()
        scheme.begin(there, tally)
        if scheme.options.server_order == "batch":
            places = [
                (scheme.clients[n], turn)
                for turn, order in enumerate(scheme.served(number))
                for n in order
            ]
        else:
            places = list(itertools.product(scheme.order(number), range(2)))
        for client, batch in places:
            if client is not gone or trained is None or batch < trained:
                scheme._serve(client, client.batches.draw(), tally)
        scheme.end([client for client in there if not (lost and client is gone)], tally)
        if lost:
            gone.stream.load_state_dict(drawn)
    return scheme


def assert_same_model(fed, wanted):
    """Compare the common model, each part where it is."""
    client_part, server_part = fed.parts(wanted)
    known = wanted.model.state_dict()
    for scheme, names in ((fed.scheme, server_part), (fed.fed_server.scheme, client_part)):
        for name in names:
            assert torch.equal(scheme.model.state_dict()[name], known[name]), name


@pytest.mark.slow
@EVERY_ORDER
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_gone_for_one_server_counts_for_neither(in_turn, kind, options):
    """What the one server part has learned of it stays; its own part is in no average."""
    in_turn.train(options, devices={1: kind}, deadline=Deadline(None, 2.0))
    assert_same_model(in_turn, without(in_turn.scheme_of(options), [kind.trained, 0]))
    assert [tally.dropped for tally in in_turn.tallies] == [("d1",), ("d1",)]
    assert [item.client for item in in_turn.server.dropped] == ["d1"]
    assert set(in_turn.errors) == {1}


@pytest.mark.one_quick
@EVERY_ORDER
def test_a_device_that_comes_back_takes_its_places_again(in_turn, options):
    """Both servers give a new process all that it needs."""
    threads = []

    def between(crew, number):
        if number == 0:
            work = (options, crew.listener.port, 1, FedDevice)
            threads.append(threading.Thread(target=in_turn.device, args=work))
            threads[-1].start()
            crew.wait(120.0)

    in_turn.train(options, devices={1: WithoutPart}, between=between)
    threads[0].join()
    assert [tally.dropped for tally in in_turn.tallies] == [("d1",), ()]
    assert_same_model(in_turn, without(in_turn.scheme_of(options), [0, None]))


class Dead(FedServer):
    """Its process is killed at some word of rank 0."""

    at = "finish"

    def _die(self, message):
        self.control.close()
        for n in list(self._devices):
            self._hang_up(n)
        killed()

    def __init__(self, *arguments):
        super().__init__(*arguments)
        setattr(self, f"_{self.at}", self._die)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["begin", "finish", "test", "save"])
def test_a_fed_server_that_dies_ends_the_run_in_one_sentence(in_turn, at):
    """Whenever it dies, rank 0 and the devices end by themselves: nobody waits for a place."""
    kind = type("Dead", (Dead,), {"at": at})
    with pytest.raises(FedServerGoneError, match=r"the fed server is gone .* start the run again"):
        in_turn.train(ORDERS["batch"], fed=kind, deadline=Deadline(None, 2.0))
    lost = {k for k in range(3) if isinstance(in_turn.errors.get(k), GoneError)}
    assert lost == {0, 1, 2}


@EVERY_ORDER
def test_a_changed_frame_on_the_way_to_the_fed_server_drops_the_device(in_turn, options, changing):
    """Nothing of it gets into the average, and rank 0 says why it was dropped."""
    in_turn.train(options, devices={2: changing}, rounds=1)
    assert in_turn.tallies[0].dropped == ("d2",)
    assert "changed on the way" in in_turn.server.dropped[0].reason
    wanted = in_turn.scheme_of(options)
    tally = Round()
    wanted.begin(wanted.clients, tally)
    if options.server_order == "batch":
        wanted._batch_by_batch(0, tally)
    else:
        for client in wanted.order(0):
            for batch in client.batches.take(2):
                wanted._serve(client, batch, tally)
    wanted.end(wanted.clients[:2], tally)
    assert_same_model(in_turn, wanted)


@pytest.mark.slow
@EVERY_ORDER
def test_both_servers_go_on_from_the_round_that_rank_0_has(in_turn, wired, tmp_path, options):
    """Rank 0 may have died before or after it wrote; each has nothing but its own part."""
    wanted = in_turn.scheme_of(options)
    for number in range(3):
        wanted.round(number)
    keep = partial(Kept, identity={"plan": "x"}, files=OwnFiles(tmp_path / "fed"))
    states = []
    in_turn.train(
        options, kept=keep, between=lambda crew, number: states.append(in_turn.scheme.state_dict())
    )
    again = partial(Kept, identity={"plan": "x"}, files=OwnFiles(tmp_path / "fed", resume=True))
    for first in (1, 2):
        resumed = type(in_turn)(wired, "splitfed_v2")
        resumed.train(options, kept=again, first=first, rounds=3 - first, state=states[first - 1])
        assert_same_model(resumed, wanted)
    with pytest.raises(TrainingError, match=r"is of round 3, and rank 0 goes on from round 1"):
        in_turn.train(options, kept=again, first=1, state=states[0])


@pytest.mark.slow
def test_certificates_say_who_is_the_fed_server(in_turn, fed_certificates):
    """With them the run is the same."""
    options = ORDERS["batch"]
    in_turn.train(options, tls=fed_certificates, rounds=1)
    assert in_turn.errors == {}
    assert_same_model(in_turn, without(in_turn.scheme_of(options), [None]))
