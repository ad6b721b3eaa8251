"""Devices that die, stall, talk nonsense or diverge: who is dropped, and what is learned then."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError, TrainingError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.deadlines import LEAST_S, Deadline  # noqa: E402
from splitopt.training.wire.dropping import DevicesGoneError  # noqa: E402
from splitopt.training.wire.star.device import Device, GoneError  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError  # noqa: E402

pytestmark = pytest.mark.train

KEEP = Options(local_steps=3, momentum=0.9, optimizer_state="keep")


class Dying(Device):
    """Its process is killed before the second mini-batch."""

    def _train(self, batch, start_s):
        if batch == 1:
            raise ChannelClosedError("killed")
        return super()._train(batch, start_s)


class DyingAtOnce(Device):
    """Its process is killed when a round begins."""

    def round(self, begin):
        raise ChannelClosedError("killed")


class Stalled(Device):
    """Its process is stopped before the second mini-batch, until the server has hung up."""

    go_on = threading.Event()

    def _train(self, batch, start_s):
        if batch == 1:
            self.go_on.wait(120.0)
        return super()._train(batch, start_s)


class Babbling(Device):
    """It sends smashed data of another shape."""

    def _send(self, kind, tensors, rate):
        if kind == "smashed":
            tensors = {"smashed": tensors["smashed"][:, :1]}
        return super()._send(kind, tensors, rate)


class Poisoned(Device):
    """Its data holds an infinite number."""

    def __init__(self, client, *others):
        client.batches.inputs[:] = float("inf")
        super().__init__(client, *others)


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


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", [Dying, DyingAtOnce, Babbling])
def test_a_round_goes_on_with_the_average_of_those_who_finish(wired, kind):
    """The client that died counts as if it had not been there, its own state included."""
    wired.train("splitfed_v1", KEEP, devices={1: kind})
    wanted = without(wired.scheme_of("splitfed_v1", KEEP), [(1,), (1,)])
    wired.assert_same_state(wired.scheme, wanted)
    assert [tally.dropped for tally in wired.tallies] == [("d1",), ("d1",)]
    assert [item.client for item in wired.server.dropped] == ["d1"]
    assert str(wired.server.dropped[0]).startswith("d1 in round 1 (")


@pytest.mark.slow
def test_a_device_that_stalls_is_dropped_by_the_deadline(wired):
    """When it goes on, it is told that the server has hung up."""
    Stalled.go_on.clear()
    wired.train(
        "splitfed_v1",
        KEEP,
        devices={0: Stalled},
        deadline=Deadline(None, 2.0),
        between=lambda crew, number: Stalled.go_on.set(),
    )
    assert [tally.dropped for tally in wired.tallies] == [("d0",), ("d0",)]
    assert "nothing came within" in wired.server.dropped[0].reason
    assert isinstance(wired.errors[0], GoneError)
    wanted = without(wired.scheme_of("splitfed_v1", KEEP), [(0,), (0,)])
    wired.assert_same_state(wired.scheme, wanted)


@pytest.mark.slow
def test_a_device_that_comes_back_takes_part_in_the_next_round(wired):
    """A new process is given all that it needs by the server."""
    program, threads = wired.programs["splitfed_v1"], []

    def between(crew, number):
        if number == 0:
            thread = threading.Thread(
                target=wired.follow,
                args=("splitfed_v1", KEEP, program, crew.listener.port, wired.token, 1, Device, {}),
            )
            thread.start()
            threads.append(thread)
            crew.wait(120.0)

    wired.train("splitfed_v1", KEEP, devices={1: Dying}, between=between)
    threads[0].join()
    assert [tally.dropped for tally in wired.tallies] == [("d1",), ()]
    wanted = without(wired.scheme_of("splitfed_v1", KEEP), [(1,), ()])
    wired.assert_same_state(wired.scheme, wanted)


def test_a_cluster_goes_on_without_a_device(wired):
    """What the server has learned from it until then stays; its own part is not averaged."""
    wired.train("clustered", KEEP, rounds=1, devices={2: Dying})
    wanted = wired.scheme_of("clustered", KEEP)
    d0, d1, d2 = wanted.clients
    kept = {name: v for name, v in wanted.state_dict().items() if "client.2" in name}
    tally = Round()
    wanted.start_round()
    wanted.hand_out([d0, d2], tally)
    before = {name: v.clone() for name, v in wanted.copies()[3].model.state_dict().items()}
    wanted._step([d0, d2], tally)
    wanted._step([d0], tally)
    wanted._step([d0], tally)
    wanted.collect([d0], tally)
    wanted.hand_out([d1], tally)
    for _ in range(3):
        wanted._step([d1], tally)
    wanted.collect([d1], tally)
    found, known = wired.scheme.state_dict(), wanted.state_dict()
    of_others = [n for n in known if not n.startswith(("client.2", "copy.3"))]
    assert of_others
    for name in of_others:
        assert torch.equal(found[name], known[name]), name
    for name, value in kept.items():
        assert torch.equal(found[name], value), name
    own = wired.scheme.copies()[3].model.state_dict()
    assert before.keys() == own.keys()
    for name, value in before.items():
        assert torch.equal(own[name], value), name
    assert wired.tallies[0].dropped == ("d2",)


@pytest.mark.parametrize("name", ["splitfed_v1", "clustered"])
def test_a_run_ends_when_nobody_is_left(wired, name):
    """In one sentence that says why; the common model is that of the last whole round."""
    with pytest.raises(DevicesGoneError) as caught:
        wired.train(name, KEEP, devices=dict.fromkeys(range(3), DyingAtOnce))
    message = str(caught.value)
    assert message.startswith("no device is left to train with: dropped were d")
    assert all(f"d{k} in round 1 (" in message for k in range(3))
    wanted = wired.scheme_of(name, KEEP)
    wired.assert_same_state(wired.scheme, wanted)


@pytest.mark.parametrize(
    ("name", "index"), [("splitfed_v1", 0), ("splitfed_v1", 2), ("clustered", 2)]
)
def test_a_loss_that_is_not_finite_stops_all(wired, name, index):
    """Whether the server takes it or a device that has all layers; the client is named."""
    with pytest.raises(TrainingError, match=f"the loss of client d{index} is nan"):
        wired.train(name, KEEP, devices={index: Poisoned})
    others = set(range(3)) - {index}
    assert {k for k in others if isinstance(wired.errors.get(k), GoneError)} == others


@pytest.mark.parametrize(
    ("text", "planned_s", "waits_s"),
    [("3x", 10.0, 30.0), ("3x", 0.1, LEAST_S), ("10 s", 4.0, 14.0), ("500 ms", 1.0, 1.5)],
)
def test_deadlines(text, planned_s, waits_s):
    """A factor of what is planned, or seconds more."""
    assert Deadline.read(text).wait_s(planned_s) == waits_s


@pytest.mark.parametrize("text", ["", "3", "0.5x", "x", "nanx", "-1 s", "0 s", "3 MB", "infx"])
def test_wrong_deadlines(text):
    """One sentence that names the flag."""
    with pytest.raises(InputError, match="deadline"):
        Deadline.read(text)


class Lying(Device):
    """Its record of what it did, or the losses that it reports, are no such thing."""

    false = None

    def round(self, begin):
        send = self.channel.send

        def changed(kind, fields=None, *others, **named):
            fields = {**fields, **self.false} if kind == "state" else fields
            return send(kind, fields or {}, *others, **named)

        self.channel.send = changed
        super().round(begin)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "false",
    [
        {"rows": 3},
        {"rows": [["d2", "device", "x", "d2", 0.5, 0.0, 1.0, 1.0]]},
        {"rows": [["d2", "device", "x", "d2", 0, 1e300, 1.0, 1.0]]},
        {"losses": [[1.0, 0]]},
        {"losses": [["1", 1]]},
        {"losses": None},
    ],
)
def test_reports_that_make_no_sense_drop_a_device(wired, false):
    """Nothing of them enters the history or the timeline."""
    kind = type("Lying", (Lying,), {"false": false})
    wired.train("splitfed_v1", KEEP, rounds=1, devices={2: kind})
    assert wired.tallies[0].dropped == ("d2",)
    assert "it sent" in wired.server.dropped[0].reason
    assert {t.phase for t in wired.server.timelines[0] if t.owner == "d2"} == {"model download"}
