"""Who receives what with two servers, over real connections, and that the same is learned."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.rounds.halves import Halves  # noqa: E402
from splitopt.training.two_servers import received  # noqa: E402
from splitopt.training.validation.comparing import compare  # noqa: E402

pytestmark = pytest.mark.train

CASES = [
    {"local_epochs": 2},
    {"local_epochs": 2, "momentum": 0.9, "optimizer_state": "keep", "batch_norm": "local"},
    {"optimizer": "adam", "learning_rate": 0.01, "optimizer_state": "average"},
    {"local_steps": 3, "order": "shuffled", "client_fraction": 0.7, "batch_norm": "frozen"},
    {"codec": "topk:0.2:feedback", "momentum": 0.9, "optimizer_state": "keep"},
]
IDS = ["reset", "keep, local", "average", "some, shuffled", "codec"]
CONTROL = {"hello", "welcome", "listening", "setup", "begin", "finish", "averaged", "test", "ready"}
CONTROL |= {"save", "saved", "stream", "state", "end", "turn", "taken", "done"}
ORDERS = [{"server_order": "client"}, {"server_order": "batch"}]
ORDER_IDS = ["client", "batch"]
LATE_S = 0.03


def assert_each_has_its_part(fed, options):
    """Compare what both servers have and count with what one process has, bit by bit."""
    wanted = fed.scheme_of(options)
    tallies = [wanted.round(number) for number in range(2)]
    fed.train(options)
    assert fed.errors == {}
    assert fed.tallies == tallies
    client_part, server_part = fed.parts(wanted)
    known = wanted.state_dict()
    compared = set()
    for scheme, names, kinds in (
        (fed.scheme, server_part, ("stream", "crossing")),
        (fed.fed_server.scheme, client_part, ("batches",)),
    ):
        found = scheme.state_dict()
        for key, value in known.items():
            kind, rest = key.split(".")[0], key.split(".", 2)
            is_own = (
                (kind == "model" and key.removeprefix("model.") in names)
                or (kind == "client" and rest[2].split(".")[0] in kinds)
                or (kind == "copy" and rest[2].split(".", 1)[1].rpartition(":")[0] in names)
                or (kind == "copy" and rest[2].removeprefix("model.") in names)
            )
            if is_own:
                assert torch.equal(found[key], value), key
                compared.add(key)
            elif kind != "client":  # of the other one there is not even an old value
                assert key not in found or found[key].numel() == 0, key
    assert compared == set(known)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_each_server_learns_its_part_of_what_one_process_learns(fed, case):
    """Weights, moments, statistics, walks and random numbers, bit by bit, at whoever has them."""
    assert_each_has_its_part(fed, Options(fed_server=True, **case))


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=ORDER_IDS)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_in_turn_as_well(in_turn, case, order):
    """The one server part of SplitFedV2, in both orders of service."""
    assert_each_has_its_part(in_turn, Options(fed_server=True, **case, **order))


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=ORDER_IDS)
def test_links_in_turn_have_one_message_at_a_time(in_turn, order):
    """Also where they lead to the fed server; the tasks are those of the prediction.

    A message may seem to end by `LATE_S` too late: whom it reaches reads its own clock when it is
    scheduled, and the clock of a fed server is known up to what a handshake tells.
    """
    scale = 0.1
    in_turn.train(Options(fed_server=True, local_epochs=2, **order), time_scale=scale)
    assert in_turn.errors == {}
    for predicted, measured in zip(in_turn.server.predicted, in_turn.server.timelines, strict=True):
        found = compare(predicted, measured)
        assert (found.missing, found.extra) == ((), ())
        assert found.measured_s >= 0.999 * found.predicted_s  # nothing is ever faster
        for name in ("uplink", "downlink", "server"):
            tasks = [task for task in measured if task.resource == name]
            assert len({task.owner for task in tasks}) == 3
            for before, after in itertools.pairwise(tasks):
                assert after.start_s >= before.end_s - LATE_S / scale, name


@pytest.mark.parametrize("name", ["fed", "in_turn"])
def test_tests_are_those_of_the_whole_model(request, name):
    """The main server's test data are what the client part of one process makes of them."""
    fed, options = request.getfixturevalue(name), Options(fed_server=True)
    wanted = fed.scheme_of(options)
    fed.train(options, rounds=1)
    wanted.round(0)
    assert torch.equal(fed.smashed[0], Halves(wanted).smashed(fed.tests))


WAYS = [("fed", {}), *(("in_turn", order) for order in ORDERS)]
WAY_IDS = ["side by side", *ORDER_IDS]


@pytest.mark.one_quick
@pytest.mark.parametrize(("name", "order"), WAYS, ids=WAY_IDS)
def test_the_message_log_says_that_neither_gets_what_is_the_others(request, log, name, order):
    """Kinds and bytes by party; no tensor of a client part goes to the main server."""
    fed = request.getfixturevalue(name)
    options = Options(fed_server=True, momentum=0.9, optimizer_state="keep", **order)
    fed.train(options, log=log, rounds=1)
    assert fed.errors == {}
    width = fed.server.examples.smashed(0)[0].numel()
    server, main = log.received("fed"), log.received("server")
    assert set(main) - CONTROL == {"smashed", "labels", "test_smashed"}
    assert set(server) - CONTROL == {"model"}
    by_tally = received(fed.tallies[0].traffic, 600 * width * 4)
    assert main["smashed"] == by_tally["server"]["smashed"]
    assert main["labels"] == by_tally["server"]["label"] + streams(log)
    assert main["test_smashed"] == by_tally["server"]["test_smashed"]
    assert server["model"] == by_tally["fed"]["model"]
    assert sum(log.received(name)["model"] for name in ("d0", "d1", "d2")) == server["model"]
    assert (
        sum(log.received(name)["gradient"] for name in ("d0", "d1", "d2"))
        == (by_tally["devices"]["gradient"])
    )
    # What is control says so by its names, and so do its sizes.
    for kind, own in (
        ("server", ("stream", "crossing")),
        ("fed", ("batches", "buffers", "moments")),
    ):
        states = [m for who, m in log.messages if who == kind and m.kind == "state"]
        names = {name.split(".")[0] for m in states for name in m.tensors}
        assert names <= set(own), kind
        assert len(states) == 3
    for kind, size in fed.server.received_bytes["server"].items():
        assert size == main[kind]
    assert fed.server.received_bytes["fed"] == {k: v for k, v in server.items() if v}


def streams(log):
    """Bytes of random states that came to the main server with labels."""
    labels = [m for who, m in log.messages if who == "server" and m.kind == "labels"]
    return sum(v.numel() for m in labels for name, v in m.tensors.items() if name == "stream")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "order"), WAYS, ids=WAY_IDS)
def test_no_value_of_a_client_part_reaches_the_main_server(request, log, name, order):
    """Looked for by value: neither a part that a device gave, nor their average."""
    fed = request.getfixturevalue(name)
    options = Options(fed_server=True, batch_norm="average", **order)
    fed.train(options, log=log, rounds=2)
    given = [m for who, m in log.messages if who == "fed" and m.kind in ("model", "state")]
    secret = [v.reshape(-1) for m in given for v in m.tensors.values() if v.is_floating_point()]
    secret += [v.reshape(-1) for v in fed.fed_server.scheme.model.state_dict().values()]
    secret = [v for v in secret if v.numel() > 1 and v.is_floating_point()]
    assert len(secret) > 20
    seen = [v.reshape(-1) for v in log.values("server") if v.is_floating_point()]
    assert seen
    for value in secret:
        for other in seen:
            n = value.numel()
            if n <= other.numel():
                assert not (other.unfold(0, n, 1) == value).all(1).any()
    smashed = [m for who, m in log.messages if who == "server" and m.kind == "smashed"]
    sent = [v.reshape(-1)[:64] for m in smashed for v in m.tensors.values()]
    for value in sent:
        for other in log.values("fed"):
            flat = other.reshape(-1)
            if flat.dtype == value.dtype and flat.numel() >= 64:
                assert not (flat.unfold(0, 64, 1) == value).all(1).any()
