"""What a host needs for the tasks of a plan: the right part for each, and real measurements."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.models.cnn import cnn  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.preparing.matching import match  # noqa: E402
from splitopt.training.preparing.setup import build_scheme  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import Client  # noqa: E402
from splitopt.training.wire.host import (  # noqa: E402
    ChainSeconds,
    Loopback,
    host_seconds,
    measure_host,
    measure_loopback,
    usual_mean,
)
from splitopt.training.wire.speed import check_speed, least_time_scale, proposed_time_scale  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def programs():
    """Return the programs of the shipped small plans, by problem."""
    found = {}
    for name in ("digits-splitfed", "digits-clusters", "digits-pipeline"):
        plan = splitopt.plan(splitopt.Scenario.load(name), time_limit_s=10.0)
        program = program_of(plan)
        found[program.problem] = program
    return found


def scheme_of(program):
    """Build the scheme of a program on random images."""
    clients = []
    for plan in program.clients:
        inputs, targets = torch.rand(plan.samples, 1, 8, 8), torch.zeros(plan.samples).long()
        clients.append(Client(plan.name, Batches(inputs, targets, plan.batch_size, 1), Stream(1)))
    split = match(cnn((1, 8, 8), 10), torch.zeros(8, 1, 8, 8), program.profile)
    return build_scheme(program, split, clients)


def chain(parts):
    """Make up a chain whose numbers tell part and pass apart."""
    forward = 1e-3 * np.arange(1, parts + 1)
    return ChainSeconds(forward, 10 * forward, np.full(parts - 1, 1000.0), 5000.0)


LOOPBACK = Loopback(1e8, 2e-4, 1e-4)


@pytest.mark.parametrize("problem", ["cut_and_resources", "cluster_and_spectrum"])
def test_device_and_server_have_their_parts(programs, problem):
    """The device forward, the server both ways, a message by its size."""
    program = programs[problem]
    line = program.replay.timeline
    parts = {client.name: chain(1 + len(client.cuts)) for client in program.clients}
    found = host_seconds(line, parts, LOOPBACK)
    for row in range(len(line)):
        phase, owner = line.phases[line.phase[row]], line.owners[line.owner[row]]
        last = len(parts[owner].forward) - 1
        wanted = {
            "device forward": 1e-3,
            "device backward": 1e-2,
            "server": 1e-3 * (last + 1) * 11,
            "upload": 1e-5,
            "gradient download": 1e-5,
        }
        assert found.seconds[row] == pytest.approx(wanted.get(phase, 5e-5))
        assert found.late_s[row] == (2e-4 if found.is_message[row] else 1e-4)
        assert found.is_message[row] == (
            phase not in ("device forward", "device backward", "server")
        )


def test_the_server_works_for_a_whole_cluster(programs):
    """In the name of the first device of a cluster it needs so many times one device's work."""
    line = programs["cluster_and_spectrum"].replay.timeline
    parts = {name: chain(2) for name in line.owners}
    crowd = dict.fromkeys(line.owners, 3)
    ratio = host_seconds(line, parts, LOOPBACK, crowd).seconds
    ratio = ratio / host_seconds(line, parts, LOOPBACK).seconds
    server = line.phase == line.phases.index("server")
    assert ratio[server] == pytest.approx(3.0)
    assert ratio[~server] == pytest.approx(1.0)


def test_nodes_have_the_parts_between_in_the_order_of_the_chain(programs):
    """Owners hold the first and the last part, each node the one of its place."""
    line = programs["pipeline_partition"].replay.timeline
    parts = {name: chain(4) for name in line.owners}
    found = host_seconds(line, parts, LOOPBACK).seconds
    nodes = [r.name for r in line.resources if r.kind == "node"]
    for phase, seconds in (
        ("first part forward", 1e-3),
        ("last part", 44e-3),
        ("first part backward", 1e-2),
    ):
        assert found[line.phase == line.phases.index(phase)] == pytest.approx(seconds)
    for place, node in enumerate(nodes):
        at = line.resource == [r.name for r in line.resources].index(node)
        for phase, seconds in (("forward", 1e-3), ("backward", 1e-2)):
            mine = at & (line.phase == line.phases.index(phase))
            assert mine.any()
            assert found[mine] == pytest.approx(seconds * (place + 2))


def test_an_owner_without_measurements_is_refused(programs):
    """It is named."""
    line = programs["pipeline_partition"].replay.timeline
    with pytest.raises(InputError, match="owner-1"):
        host_seconds(line, {}, LOOPBACK)


@pytest.mark.slow
def test_real_parts_are_measured_and_left_as_they_are(programs):
    """Every task takes some time; weights, batches and random numbers are untouched."""
    for program in programs.values():
        scheme = scheme_of(program)
        before, drawn = scheme.state_dict(), torch.get_rng_state()
        line = program.replay.timeline
        found = measure_host(program, scheme, line)
        assert (found.seconds > 0).all()
        assert np.isfinite(found.seconds).all()
        after = scheme.state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert torch.equal(torch.get_rng_state(), drawn)
        assert proposed_time_scale(line, found) > least_time_scale(line, found) > 0
        check_speed(line, found, proposed_time_scale(line, found))


def test_a_moment_of_somebody_else_does_not_count():
    """The largest tenth is left out of the mean, and nothing of a few values."""
    assert usual_mean([*[1.0] * 18, 50.0, 90.0]) == 1.0
    assert usual_mean([1.0, 2.0, 6.0]) == 3.0


def test_loopback_moves_and_waits():
    """It has a rate, and nothing is early."""
    found = measure_loopback()
    assert found.bytes_per_s > 0
    assert found.handing_over_s >= 0
    assert found.waking_s >= 0
