"""Devices and fed servers that die or send nonsense, frames that are changed, and what is kept."""

from __future__ import annotations

import threading
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.dropping import DevicesGoneError  # noqa: E402
from splitopt.training.wire.setting import OwnFiles  # noqa: E402
from splitopt.training.wire.star.device import GoneError  # noqa: E402
from splitopt.training.wire.star.fed.device import FedDevice  # noqa: E402
from splitopt.training.wire.star.fed.keeping import Kept  # noqa: E402
from splitopt.training.wire.star.fed.main import FedServerGoneError  # noqa: E402
from splitopt.training.wire.star.fed.server import FedServer  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

KEEP = Options(fed_server=True, local_steps=2, momentum=0.9, optimizer_state="keep")


class Dying(FedDevice):
    """Its process is killed before the second mini-batch."""

    def _train(self, batch, start_s):
        if batch == 1:
            raise ChannelClosedError("killed")
        return super()._train(batch, start_s)


class DyingBeforeItsPart(FedDevice):
    """Its process is killed when it should give its part back."""

    def give_part(self, steps):
        raise ChannelClosedError("killed")


class Babbling(FedDevice):
    """It gives a part of another shape to the fed server."""

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

    def give_part(self, steps):
        pass


def without(scheme, rounds):
    """Train in one process with some clients left out of some rounds."""
    for left_out in rounds:
        clients = [c for k, c in enumerate(scheme.clients) if k not in left_out]
        tally = Round()
        scheme.begin(clients, tally)
        for client in clients:
            scheme._train_alone(client, tally)
        scheme.end(clients, tally)
    return scheme


def assert_same_model(fed, wanted):
    """Compare the common model, each part where it is."""
    client_part, server_part = fed.parts(wanted)
    known = wanted.model.state_dict()
    for scheme, names in ((fed.scheme, server_part), (fed.fed_server.scheme, client_part)):
        for name in names:
            assert torch.equal(scheme.model.state_dict()[name], known[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Dying, DyingBeforeItsPart, Babbling, Withholding])
def test_a_round_goes_on_with_those_whose_part_both_servers_have(fed, kind):
    """Who is gone for one of them counts for neither, in either average."""
    fed.train(KEEP, devices={1: kind}, deadline=Deadline(None, 2.0))
    assert_same_model(fed, without(fed.scheme_of(KEEP), [(1,), (1,)]))
    assert [tally.dropped for tally in fed.tallies] == [("d1",), ("d1",)]
    assert [item.client for item in fed.server.dropped] == ["d1"]
    assert set(fed.errors) == {1}


@pytest.mark.slow
def test_a_device_that_comes_back_takes_part_in_the_next_round(fed):
    """Both servers give a new process all that it needs."""
    threads = []

    def between(crew, number):
        if number == 0:
            work = (KEEP, crew.listener.port, 1, FedDevice)
            threads.append(threading.Thread(target=fed.device, args=work))
            threads[-1].start()
            crew.wait(120.0)

    fed.train(KEEP, devices={1: Dying}, between=between)
    threads[0].join()
    assert [tally.dropped for tally in fed.tallies] == [("d1",), ()]
    assert_same_model(fed, without(fed.scheme_of(KEEP), [(1,), ()]))


def test_a_run_ends_when_nobody_is_left(fed):
    """In one sentence that says why."""
    with pytest.raises(DevicesGoneError, match="no device is left to train with: dropped were d"):
        fed.train(KEEP, devices=dict.fromkeys(range(3), Dying))


class Dead(FedServer):
    """Its process is killed at some word of rank 0."""

    at = "finish"

    def _die(self, message):
        self.control.close()
        for n in list(self._devices):
            self._hang_up(n)
        raise ChannelClosedError("killed")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        setattr(self, f"_{self.at}", self._die)


@pytest.mark.one_quick
@pytest.mark.parametrize("at", ["begin", "finish", "test", "save"])
def test_a_fed_server_that_dies_ends_the_run_in_one_sentence(fed, at):
    """Whenever it dies, rank 0 and the devices end by themselves."""
    with pytest.raises(FedServerGoneError, match=r"the fed server is gone .* start the run again"):
        fed.train(KEEP, fed=type("Dead", (Dead,), {"at": at}), deadline=Deadline(None, 2.0))
    assert {k for k in range(3) if isinstance(fed.errors.get(k), GoneError)} == {0, 1, 2}


class Raving(FedServer):
    """It answers rank 0 with what is no answer."""

    fields = None

    def _finish(self, message):
        good = {"members": [0], "lost": [], "rows": [], "model_bytes": 1, "received": {}}
        self.control.send("averaged", {**good, **self.fields})


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "fields",
    [{"lost": [3]}, {"members": None}, {"rows": 1}, {"model_bytes": -1}, {"received": {"x": "y"}}],
)
def test_a_fed_server_that_makes_no_sense_ends_the_run(fed, fields):
    """In one sentence; rank 0 averages nothing."""
    with pytest.raises(FedServerGoneError, match="the fed server sent what cannot be"):
        fed.train(KEEP, fed=type("Raving", (Raving,), {"fields": fields}))


def test_a_changed_frame_on_the_way_to_the_fed_server_drops_the_device(fed, changing):
    """Nothing of it gets into the average."""
    fed.train(KEEP, devices={2: changing}, rounds=1)
    assert fed.tallies[0].dropped == ("d2",)
    assert "changed on the way" in fed.server.dropped[0].reason
    assert_same_model(fed, without(fed.scheme_of(KEEP), [(2,)]))


def test_a_changed_frame_between_the_servers_ends_the_run(fed, monkeypatch, spoiled):
    """Rank 0 uses nothing of it."""
    do = fed.fed

    def watched(scheme, port, kind, kept):
        do(scheme, spoiled(port, 2000).port, kind, kept)

    monkeypatch.setattr(fed, "fed", watched)
    with pytest.raises(FedServerGoneError, match=r"the fed server is gone .* changed on the way"):
        fed.train(KEEP)


@pytest.mark.slow
def test_both_servers_go_on_from_the_round_that_rank_0_has(fed, wired, tmp_path):
    """Rank 0 may have died before or after it wrote; each has nothing but its own part."""
    wanted = fed.scheme_of(KEEP)
    for number in range(3):
        wanted.round(number)
    keep = partial(Kept, identity={"plan": "x"}, files=OwnFiles(tmp_path / "fed"))
    states = []
    fed.train(KEEP, kept=keep, between=lambda crew, number: states.append(fed.scheme.state_dict()))
    assert sorted(place.name for place in (tmp_path / "fed").iterdir()) == ["even", "odd"]
    again = partial(Kept, identity={"plan": "x"}, files=OwnFiles(tmp_path / "fed", resume=True))
    for first in (1, 2):
        resumed = type(fed)(wired)
        resumed.train(KEEP, kept=again, first=first, rounds=3 - first, state=states[first - 1])
        assert_same_model(resumed, wanted)
    with pytest.raises(
        TrainingError, match=r"is of round 3, and rank 0 goes on from round 1; take"
    ):
        fed.train(KEEP, kept=again, first=1, state=states[0])
    with pytest.raises(TrainingError, match=r"started without a checkpoint to go on from"):
        fed.train(KEEP, kept=keep, first=1, state=states[0])
    other = partial(Kept, identity={"plan": "y"}, files=OwnFiles(tmp_path / "fed", resume=True))
    with pytest.raises(TrainingError, match=r"is of another run: plan is x there and y here"):
        fed.train(KEEP, kept=other, first=2, state=states[1])


@pytest.mark.slow
def test_certificates_say_who_is_the_fed_server(fed, fed_certificates):
    """With them the run is the same; who has another party's is no fed server to any device."""
    fed.train(KEEP, tls=fed_certificates, rounds=1)
    assert fed.errors == {}
    assert_same_model(fed, without(fed.scheme_of(KEEP), [()]))
    with pytest.raises(DevicesGoneError, match="certificate"):
        fed.train(KEEP, tls=fed_certificates, rounds=1, listens_as="d1")
