"""What rank 0 takes of another server: a server that says nothing, nonsense, or that it cannot."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.errors import TrainingError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.dropping import LateError  # noqa: E402
from splitopt.training.wire.star.several import links  # noqa: E402
from splitopt.training.wire.star.several.links import ServerLink, read_served, served_fields  # noqa: E402
from splitopt.training.wire.star.several.states import (  # noqa: E402
    common_of,
    load_after,
    load_before,
    state_after,
    state_before,
)
from splitopt.training.wire.transport.connecting import connect  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture
def pair():
    """Return a link of rank 0 to a server, and the server's end."""
    token = Token.new()
    with (
        listen(None, 0, token) as listener,
        connect("127.0.0.1", listener.port, token) as far,
        listener.accept() as near,
    ):
        yield ServerLink("far", near), far


def test_a_device_that_was_served(pair):
    link, far = pair
    fields = served_fields(2, [(0.5, 8), (0.25, 1)], Round().traffic)
    far.send("alive")
    far.send("served", fields, {"a": torch.ones(3)})
    message = link.served(2)
    assert read_served(message) == ([(0.5, 8), (0.25, 1)], Round().traffic)
    assert message.tensors["a"].tolist() == [1, 1, 1]
    far.send("lost", {"device": 1, "phase": "upload", "reason": "nothing came"})
    with pytest.raises(LateError, match="nothing came"):
        link.served(1)
    assert not link.is_gone


def test_a_server_that_says_nothing_is_gone(pair, monkeypatch):
    monkeypatch.setattr(links, "SILENT_S", 0.05)
    link, _ = pair
    with pytest.raises(LateError, match=r"its server far is gone \(it has said nothing for"):
        link.served(0)
    assert link.is_gone


@pytest.mark.parametrize(
    ("kind", "fields"), [("served", {"device": -1}), ("served", {}), ("what", {}), ("lost", {})]
)
def test_nonsense_ends_the_connection(pair, kind, fields):
    link, far = pair
    far.send(kind, fields)
    with pytest.raises(LateError, match="its server far is gone"):
        link.served(0)


@pytest.mark.parametrize(
    "changed",
    [
        {"losses": [[0.5, 0]]},
        {"losses": [["a", 1]]},
        {"losses": None},
        {"traffic": {}},
        {"traffic": None},
    ],
)
def test_losses_and_bytes_that_are_none(pair, changed):
    link, far = pair
    far.send("served", served_fields(0, [(0.5, 8)], Round().traffic) | changed)
    with pytest.raises(FrameError, match="losses or bytes of a device that are none"):
        read_served(link.served(0))


def test_a_server_that_cannot_go_on(pair):
    link, far = pair
    far.send("failed", {"message": "far: the loss of client b is nan"})
    with pytest.raises(TrainingError, match="the loss of client b is nan"):
        link.word("over")


@pytest.fixture(scope="module")
def scheme():
    """Return a scheme whose clients have moments of their own, and one before its first round."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"] = [
        {"name": name, "compute": "40 MFLOP/s", "samples": 9, "batch_size": 8} for name in "ab"
    ]
    options = Options(momentum=0.9, optimizer_state="keep", codec="topk:0.2:feedback")
    job = TrainingJob(splitopt.plan(Scenario.from_dict(document)), options=options)
    found, other = prepare(job).scheme, prepare(job).scheme
    found.round(0)
    return found, other


def test_states_come_whole(scheme):
    """What differs from the common model and the common model make the same next round."""
    here, there = scheme
    clients, tally = here.clients, Round()
    here.begin(clients, tally)
    client, own = clients[0], here.copies()[0]
    common = common_of(here.model, own, with_fixed=True)
    state = state_before(client, own, common)
    assert not any(name.startswith("copy.0.model.") for name in state)  # all have begun alike
    load_before(state, common, there.clients[0], there.copies()[0])
    wanted, found = state_after(client, own), state_after(there.clients[0], there.copies()[0])
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    load_after(found, client, own)


def first_weight(state):
    return next(name for name in state if name.startswith("copy.0.model."))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop(first_weight(state)), "a copy with other entries"),
        (lambda state: state.update({"copy.0.moments.x:y": torch.ones(1)}), "belongs to no param"),
        (lambda state: state.update({"client.0.batches.order": torch.ones(2)}), "a walk through"),
        (lambda state: state.update({"client.0.stream.more": torch.ones(2)}), "the random state"),
        (lambda state: state.update({"client.0.crossing.x": torch.ones(2)}), "left out"),
    ],
)
def test_states_that_are_none(scheme, change, words):
    """Refused before anything is loaded."""
    here, _ = scheme
    client, own = here.clients[0], here.copies()[0]
    state = state_after(client, own)
    change(state)
    with pytest.raises(FrameError, match=words):
        load_after(state, client, own)
