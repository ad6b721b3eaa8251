"""Pipelines over connections: learning, bytes and times of whole rounds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.simulation.system import Aggregation
from splitopt.training.options import Options
from splitopt.training.wire.crew import Crew, join
from splitopt.training.wire.pipeline.node import _check_certificate
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.listener import listen
from splitopt.training.wire.transport.tokens import Token
from tests.training.wire.pipeline.threads.cases import (
    BATCH,
    MS,
    SIZES,
    UP,
    assert_same_state,
    run,
    scheme_of,
    system,
    timing,
)

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


TOKEN = Token.new()


EXCHANGE = Aggregation(np.array([40, 20, 30]) * MS, np.array([20, 10, 30]) * MS)


COMPUTED = ("forward", "backward")


@pytest.mark.slow
def test_the_parts_are_exchanged_at_the_end_of_a_round(make):
    """Uploads side by side when owners are done, downloads in turn, each as long as planned."""
    planned = replace(system(), aggregation=EXCHANGE)
    _, leader, _ = run(make, Options(), planned, rounds=1, scale=10.0)
    (measured,), predicted = leader.timelines, leader.timing.predicted
    assert measured.phases == predicted.phases
    for line in (predicted, measured):
        phases = np.array(line.phases)[line.phase]
        up, down = (line.select(phases == name) for name in ("parts upload", "parts download"))
        batches = line.select(~np.isin(phases, ["parts upload", "parts download"]))
        for k, planned_ms in enumerate((40, 20, 30)):
            (row,) = [task for task in up if task.owner == f"d{k}"]
            done = batches.end_s[batches.owner == k].max()
            assert row.start_s == pytest.approx(done, abs=0.05)
            assert planned_ms * MS <= row.end_s - row.start_s + 1e-9 < planned_ms * MS + 0.1
            assert row.resource == f"d{k} link"
        downs = sorted(down, key=lambda task: task.start_s)
        assert [task.owner for task in downs] == ["d0", "d1", "d2"]
        assert min(task.start_s for task in downs) >= max(task.end_s for task in up)
        for task, planned_ms in zip(downs, (20, 10, 30), strict=True):
            assert planned_ms * MS <= task.end_s - task.start_s + 1e-9 < planned_ms * MS + 0.1
        for before, after in itertools.pairwise(downs):
            assert after.start_s >= before.end_s - 1e-9 - 0.004  # less the delay, which differs


def with_channels(found):
    """Return a timing whose owners share one uplink and one downlink."""

    def shared(number, leg, way):
        outward = number in (0, way.last_part)
        ends = tuple(
            replace(end, resource="uplink" if outward else "downlink", kind="channel")
            if end.kind == "owner link"
            else end
            for end in leg.ends
        )
        return replace(leg, ends=ends)

    ways = tuple(
        replace(way, legs=tuple(shared(number, leg, way) for number, leg in enumerate(way.legs)))
        for way in found.ways
    )
    return replace(found, ways=ways)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "model"),
    [
        (Options(), {}),
        (Options(momentum=0.9, optimizer_state="keep", local_epochs=2), {"dropout": 0.4}),
        (
            Options(optimizer="adam", optimizer_state="average", batch_norm="local"),
            {"batch_norm": True, "dropout": 0.4},
        ),
        (Options(weights="uniform", order="shuffled", local_steps=3), {"batch_norm": True}),
        (Options(momentum=0.9), {"frozen": (0, 1), "batch_norm": True}),
        (Options(optimizer="adam"), {"frozen": (0,), "adapter": 2, "dropout": 0.4}),
        (Options(batch_norm="frozen"), {"frozen": (7,), "batch_norm": True}),
        (Options(momentum=0.9, optimizer_state="keep"), {"tied": True}),
    ],
    ids=["sgd", "momentum", "adam", "shuffled", "first frozen", "adapter", "last frozen", "tied"],
)
@pytest.mark.parametrize("averaged", [False, True])
def test_as_in_one_process_bit_by_bit(make, options, model, averaged):
    planned = replace(system(), aggregation=EXCHANGE) if averaged else system()
    scheme, _, tallies = run(make, options, planned, **model)
    alone = scheme_of(make, options, **model)
    expected = [alone.round(number) for number in range(2)]
    assert_same_state(scheme, alone)
    for tally, wanted in zip(tallies, expected, strict=True):
        assert (tally.loss_sum, tally.samples) == (wanted.loss_sum, wanted.samples)
        assert tally.traffic == wanted.traffic


@pytest.mark.slow
def test_within_tls_too(make, tmp_path):
    """Every party has a certificate of its own, nodes and owners look at each other's."""
    pytest.importorskip("cryptography", reason="needs the extra 'tls'")
    from splitopt.training.wire.transport.certificates import write_certificates
    from splitopt.training.wire.transport.tls import Tls

    planned, options = system(), Options(momentum=0.9, optimizer_state="keep")
    parties = (*planned.owner_names, *planned.node_names)
    write_certificates(tmp_path, parties)
    files = [[tmp_path / f"rank-{rank}.{kind}" for kind in ("pem", "key")] for rank in range(6)]
    tls = [Tls.load(*pair, tmp_path / "ca.pem") for pair in files]
    scheme, _, _ = run(make, options, planned, tls=tls)
    alone = scheme_of(make, options)
    for number in range(2):
        alone.round(number)
    assert_same_state(scheme, alone)
    words = "rank 4 is 'one', and its certificate is for 'two'; give each rank its own"
    listener = listen(None, 0, TOKEN, tls=tls[0])
    with Crew(listener, parties, {}), pytest.raises(InputError, match=words):
        join("127.0.0.1", listener.port, TOKEN, 4, {}, 120.0, tls[5])


def test_a_node_looks_at_the_certificate_of_who_connects():
    _check_certificate(SimpleNamespace(name="d0"), "d0")
    _check_certificate(SimpleNamespace(name=None), "d0")  # without TLS
    with pytest.raises(FrameError, match="that it is 'd0', and its certificate is for 'd1'"):
        _check_certificate(SimpleNamespace(name="d1"), "d0")


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("links", "duplex"),
    [("none", "full"), *itertools.product(["uniform", "nic", "serial"], ["full", "half"])],
)
def test_the_route_is_the_simulators(make, links, duplex):
    """Each owner's batch takes the same steps on the same resources, nodes one at a time."""
    planned = system(links, duplex)
    _, leader, _ = run(make, Options(), planned, rounds=1)
    measured, predicted = leader.timelines[0], leader.timing.predicted
    assert len(measured) == len(predicted)
    for name in planned.owner_names:
        for batch in range(max(planned.batches_per_owner)):
            steps = [
                [
                    (t.resource, t.phase, t.share)
                    for t in line
                    if (t.owner, t.batch) == (name, batch)
                ]
                for line in (measured, predicted)
            ]
            assert sorted(steps[0]) == sorted(steps[1])
    kinds = {item.name: item.kind for item in predicted.resources}
    assert {item.name: item.kind for item in measured.resources} == kinds
    for node in planned.node_names:
        computed = [t for t in measured if t.resource == node and t.phase in COMPUTED]
        assert len(computed) == 2 * planned.batches_per_owner.sum()
        for one, after in itertools.pairwise(computed):
            assert after.start_s >= one.end_s


@pytest.mark.slow
@pytest.mark.parametrize(
    "links",
    [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("uniform", "serial")), "nic"],
)
def test_channels_of_all_owners_carry_one_message_at_a_time(make, links):
    """First come, first served: no two messages overlap, and each takes its planned time.

    What is learned is the same, and so are the tasks, with the channels instead of the links.
    """
    planned, options = system(links), Options(momentum=0.9)
    scheme, leader, _ = run(
        make,
        options,
        planned,
        rounds=1,
        scale=9.0,  # so that what the host is late by is little beside a message
        timed=lambda p, s=1.0: with_channels(timing(p, s)),
    )
    alone = scheme_of(make, options)
    alone.round(0)
    assert_same_state(scheme, alone)
    measured, batches = leader.timelines[0], planned.batches_per_owner
    assert len(measured) == len(leader.timing.predicted)
    assert not any(task.resource.endswith(" link") for task in measured)
    for name, moved in (
        ("uplink", planned.owners.to_first_s + planned.owners.to_last_s),
        ("downlink", planned.owners.from_last_s + planned.owners.from_first_s),
    ):
        tasks = sorted((t.start_s, t.end_s) for t in measured if t.resource == name)
        assert len(tasks) == 2 * batches.sum()
        late = [one[1] - after[0] > 1 * MS for one, after in itertools.pairwise(tasks)]
        assert sum(late) <= len(late) / 3  # only where this host was late with the one before
        # of whole batches: the last one of an owner is smaller
        whole = float(((SIZES / np.array(BATCH)) * moved).sum())
        # what begins late still ends when it was to end, and looks shorter by as much
        assert sum(end - start for start, end in tasks) >= 0.75 * whole
        assert measured.makespan_s >= whole


@pytest.mark.slow
def test_one_node_and_three(make):
    for cuts, nodes in (((2, 5), 1), ((1, 3, 5, 6), 3)):
        planned = system("none", nodes=nodes)
        scheme, leader, _ = run(make, Options(), planned, cuts=cuts, rounds=1)
        alone = scheme_of(make, Options(), cuts)
        alone.round(0)
        assert_same_state(scheme, alone)
        assert len(leader.timelines[0]) == len(leader.timing.predicted)


def test_the_bytes_are_those_of_the_cuts(make):
    _, leader, tallies = run(make, Options(), system(), rounds=1)
    samples = sum(SIZES)
    width = (UP / BATCH).sum()
    assert leader.sent_bytes == {"activations": samples * width, "gradients": samples * width}
    assert tallies[0].traffic.smashed == samples * width


def test_a_time_scale_shrinks_everything():
    one, tenth = (timing(system("nic"), scale) for scale in (1.0, 0.1))
    for way, small in zip(one.ways, tenth.ways, strict=True):
        assert [task.seconds / 10 for task in way.tasks] == pytest.approx(
            [task.seconds for task in small.tasks]
        )
        for leg, less in zip(way.legs, small.legs, strict=True):
            assert less.delay_s == pytest.approx(leg.delay_s / 10)
            assert less.rate_bytes_per_s == pytest.approx(leg.rate_bytes_per_s * 10)
            assert [end.seconds / 10 for end in leg.ends] == pytest.approx(
                [end.seconds for end in less.ends]
            )


def test_what_a_message_occupies():
    """The receiver's interface begins as early as it can without ending before the sender's."""
    leg = timing(system("nic")).ways[0].legs[0]
    assert [end.resource for end in leg.ends] == ["d0 link", "one in"]
    assert leg.planned_bytes == UP[0]
    assert leg.seconds(0, UP[0]) == pytest.approx(2 * MS)
    assert leg.seconds(1, UP[0] / 2) == pytest.approx(2.5 * MS)
    assert leg.wanted_s(10.0, UP[0]) == pytest.approx(10 + leg.delay_s)
    slow = timing(system("nic")).ways[2].legs[0]  # 6 ms against 5 ms
    assert slow.wanted_s(10.0, UP[0]) == pytest.approx(10 + 1 * MS + slow.delay_s)
