"""Devices at several servers, each a party of its own: what is learned, sent and measured."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.rounds.halves import Halves  # noqa: E402
from splitopt.training.schemes import Round  # noqa: E402
from splitopt.training.wire.dropping import LateError  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402
from splitopt.training.wire.link_rates import of_devices, of_two_servers  # noqa: E402
from splitopt.training.wire.roles import roles_of  # noqa: E402
from splitopt.training.wire.star.fed.server import FedServer  # noqa: E402
from splitopt.training.wire.star.several.places import server_rank  # noqa: E402
from splitopt.training.wire.star.timing import SERVER, UPLOAD, Timing  # noqa: E402

pytestmark = pytest.mark.train

CASES = [
    {"momentum": 0.9, "optimizer_state": "keep"},
    {"optimizer": "adam", "learning_rate": 0.01, "optimizer_state": "average"},
    {"client_fraction": 0.7, "order": "shuffled"},
    {"codec": "topk:0.2:feedback", "momentum": 0.9, "optimizer_state": "keep"},
    {"privacy": Privacy(1.0, noise_multiplier=0.5, insecure_test_seed=3)},
]
IDS = ["keep", "adam, average", "some", "codec", "private"]


def alone(job, rounds=2):
    """Return the scheme of one process after some rounds, and their sums."""
    one = prepare(job)
    return one, [one.scheme.round(number) for number in range(rounds)]


def assert_same_state(found, wanted):
    """Compare all that two schemes know, bit by bit."""
    found, wanted = found.state_dict(), wanted.state_dict()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("own_cuts", [False, True], ids=["one cut", "own cuts"])
def test_servers_learn_what_one_process_learns(over_connections, plan_of_servers, case, own_cuts):
    """Weights, moments, walks, random numbers and bytes: rank 0 has all that one process has."""
    job = TrainingJob(plan_of_servers(own_cuts), options=Options(**case))
    one, wanted = alone(job)
    lead, tallies = over_connections(job)
    assert tallies == wanted
    assert_same_state(lead.scheme, one.scheme)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_fed_server_over_all_of_them(over_connections, plan_of_servers, case):
    """Rank 0 has the server part of what one process learns, and the same sums."""
    job = TrainingJob(plan_of_servers(), options=Options(fed_server=True, **case))
    one, wanted = alone(job)
    lead, tallies = over_connections(job)
    assert tallies == wanted
    own = {id(value) for value in Halves(one.scheme).server.state_dict(keep_vars=True).values()}
    found = lead.scheme.model.state_dict()
    for name, value in one.scheme.model.state_dict(keep_vars=True).items():
        if id(value) in own:
            assert torch.equal(found[name], value.detach()), name
        else:
            assert found[name].numel() == 0


def test_a_round_of_several_servers(over_connections, plan_of_servers):
    """The quick one of them, in which one device is too weak for more than a layer."""
    job = TrainingJob(plan_of_servers(True))
    one, wanted = alone(job, 1)
    lead, tallies = over_connections(job, 1)
    assert tallies == wanted
    assert_same_state(lead.scheme, one.scheme)


def test_who_is_who(plan_of_servers):
    """A server without devices is no party; the first with some is rank 0."""
    program = program_of(plan_of_servers())
    assert program.server_names == ("near", "far")
    assert roles_of(program).parties(program) == ("a", "b", "c", "far")
    assert roles_of(program, True).parties(program) == ("a", "b", "c", "far", "fed")
    assert [server_rank(program, n) for n in range(3)] == [0, 4, 4]
    assert set(of_devices(program, 1.0)) == {(1, 0), (0, 1), (2, 4), (4, 2), (3, 4), (4, 3)}
    pairs = {(1, 0), (0, 1), (2, 4), (4, 2), (3, 4), (4, 3)}
    pairs |= {pair for n in (1, 2, 3) for pair in ((n, 5), (5, n))}
    assert set(of_two_servers(program, 1.0)) == pairs


def test_every_server_has_links_and_time_of_its_own(plan_of_servers):
    timing = Timing(program_of(plan_of_servers()))
    assert [timing.shared(UPLOAD, n) for n in range(3)] == [
        "uplink of near",
        *["uplink of far"] * 2,
    ]
    assert [timing.shared(SERVER, n) for n in range(3)] == ["near", "far", "far"]


def test_names_are_of_one_party_each(plan_of_servers):
    document = plan_of_servers().scenario
    servers = [
        server | {"name": "c"} if server["name"] == "far" else server
        for server in document["servers"]
    ]
    devices = [
        device | {"servers": ["c" if name == "far" else name for name in device["servers"]]}
        for device in document["devices"]
    ]
    program = program_of(
        splitopt.plan(Scenario.from_dict(document | {"servers": servers, "devices": devices}))
    )
    with pytest.raises(InputError, match=r"^servers: one is called c, as another party is"):
        roles_of(program).parties(program)


def test_masked_parts_need_one_party_that_is_sent_all(plan_of_servers):
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    masked = Options(secure_aggregation=True)
    with pytest.raises(InputError, match=r"near and far; add a fed server"):
        run_wire(plan_of_servers(), rounds=1, any_speed=True, options=masked)


@pytest.mark.slow
def test_masked_parts_go_to_a_fed_server(over_connections, plan_of_servers):
    """After a round rank 0 has the same server part as without masks; client parts are rounded."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    found = [
        over_connections(
            TrainingJob(plan_of_servers(), options=Options(fed_server=True, **more)), 1
        )
        for more in ({}, {"secure_aggregation": True})
    ]
    (plain, _), (masked, _) = found
    assert_same_state(masked.scheme, plain.scheme)


@pytest.mark.slow
def test_whom_the_fed_server_drops_is_let_go_by_its_server(
    over_connections, plan_of_servers, monkeypatch
):
    """The others go on; the device hears that its connection has ended, and could join again."""
    take = FedServer._take

    def taken(server, n, *given):
        if n == 1 and server._rounds == 0:
            raise LateError("model upload", "nothing came")
        take(server, n, *given)

    monkeypatch.setattr(FedServer, "_take", taken)
    job = TrainingJob(plan_of_servers(), options=Options(fed_server=True))
    lead, tallies = over_connections(job, 2, fails=("b",))
    assert [tally.dropped for tally in tallies] == [("b",), ("b",)]
    one = prepare(job).scheme
    for number in range(2):
        clients = [client for client in one.clients if client.name != "b"]
        one.begin(clients, Round(), number)
        for client in clients:
            one._train_alone(client, Round())
        one.end(clients, Round(), number)
    for name, value in lead.scheme.model.state_dict().items():
        assert value.numel() == 0 or torch.equal(one.model.state_dict()[name], value), name
