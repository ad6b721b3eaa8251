"""Rounds of a pipeline over real connections, with its parties as threads.

They learn what one process does, bit by bit, go the simulator's way, and send the cuts' bytes.
"""

from __future__ import annotations

import itertools
import re
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.latency.pipeline import Hops, OwnerParts, Stages  # noqa: E402
from splitopt.simulation.system import Aggregation, PipelineSystem, Ports  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import Multihop, Round, TrainingError  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.pipeline.batch_worker import BatchWorker  # noqa: E402
from splitopt.training.wire.pipeline.coordinator import Pipeline  # noqa: E402
from splitopt.training.wire.pipeline.node import _check_certificate  # noqa: E402
from splitopt.training.wire.pipeline.parties import take_part  # noqa: E402
from splitopt.training.wire.pipeline.timing import timing_of  # noqa: E402
from splitopt.training.wire.transport.errors import FrameError  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

TOKEN = Token.new()
SIZES, BATCH, CUTS = (10, 16, 7), 5, (2, 4, 6)
UP = DOWN = np.array([4 * 64, 4 * 16, 4 * 16]) * 4.0 * BATCH  # bytes of a batch at the cuts
MS = 1e-3
EXCHANGE = Aggregation(np.array([40, 20, 30]) * MS, np.array([20, 10, 30]) * MS)
SENT_BY_D0 = SIZES[0] * 256 * 4  # activations: nobody else sends as many bytes
COMPUTED = ("forward", "backward")


def timing(planned, scale=1.0):
    """Compute the timing of a pipeline, with one size per boundary."""
    count = len(planned.node_names) + 1
    return timing_of(planned, np.resize(UP, count), np.resize(DOWN, count), scale)


def system(links="uniform", duplex="full", nodes=2):
    """Make a pipeline of three owners whose every task takes a few milliseconds."""
    hops = ports = None
    if links != "none":
        hops = Hops(*(np.full(nodes - 1, value * MS) for value in (3, 2, 1, 1)))
    if links in ("nic", "serial"):
        # 5 ms for the largest message, so that the owners' links are sometimes the slower ones.
        bandwidth = np.full(nodes, UP[0] / (5 * MS))
        ports = Ports(UP[: nodes + 1], DOWN[: nodes + 1], bandwidth, links == "serial")
    owners = OwnerParts(*(np.array([1, 2, 3]) * value * MS for value in (1, 1, 1, 2, 1, 1, 2, 1)))
    stages = Stages(np.array([2, 3, 2][:nodes]) * MS, np.array([3, 2, 3][:nodes]) * MS)
    batches = np.array([-(-size // BATCH) for size in SIZES])
    names = tuple(f"d{k}" for k in range(len(SIZES)))
    return PipelineSystem(
        stages, owners, batches, hops, ports, duplex, ("one", "two", "three")[:nodes], names
    )


def scheme_of(make, options, cuts=CUTS, criterion=nn.functional.cross_entropy, **model):
    clients = make.clients(SIZES, cuts, BATCH)
    return Multihop(make.cnn(**model), clients, options, make.split, criterion)


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


class Threads:
    """All parties but rank 0, each with a scheme of its own; errors are kept."""

    def __init__(self, scheme_for, planned, port, token, timed=timing, tls=None):
        self.errors = {}
        count = len(planned.owner_names) + len(planned.node_names)

        def follow(rank, scheme_for=scheme_for):
            try:
                own = tls and tls[rank]
                with join("127.0.0.1", port, token, rank, {}, 20.0, own) as channel:
                    timing_at = lambda s: timed(planned, s)  # noqa: E731
                    take_part(scheme_for(rank), rank, channel, timing_at, token, tls=own)
            except Exception as error:
                self.errors[rank] = error

        self.follow, self.threads = follow, []
        for rank in range(1, count + 1):
            self.start(rank)

    def start(self, *arguments):
        thread = threading.Thread(target=self.follow, args=arguments)
        self.threads.append(thread)
        thread.start()

    def join(self):
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


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


def run(
    make,
    options,
    planned,
    rounds=2,
    scale=0.1,
    cuts=CUTS,
    criteria=None,
    again=(),
    timed=timing,
    tls=None,
    **model,
):
    """Train over connections; return the scheme, the leader and the tallies.

    ``tls`` are the certificates of all ranks.

    ``timed`` says what the pipeline takes at a scale, a tenth unless times are looked at.

    ``criteria`` are losses of single ranks, which then may end as they like; the ranks ``again``
    are started anew, and without such a loss, after the first round.
    """
    token, criteria = Token.new(), criteria or {}
    listener = listen(None, 0, token, tls=tls and tls[0])
    names = (*planned.owner_names, *planned.node_names)

    def scheme_for(rank):
        usual = nn.functional.cross_entropy
        other_weights = model | {"seed": 9}
        return scheme_of(make, options, cuts, criteria.get(rank) or usual, **other_weights)

    threads = Threads(scheme_for, planned, listener.port, token, timed, tls)
    scheme = scheme_of(make, options, cuts, **model)
    try:
        with Crew(listener, names, {}) as crew:
            crew.wait(20)
            deadline = Deadline(None, 20.0)
            leader = Pipeline(scheme, timed(planned, scale), crew, deadline)
            tallies = []
            for number in range(rounds):
                tallies.append(leader.round(number))
                for rank in again if number == 0 else ():
                    threads.start(rank, lambda _: scheme_of(make, options, cuts, **model))
                if again:
                    crew.wait(20)
    finally:
        threads.join()
    assert threads.errors.keys() <= criteria.keys()
    return scheme, leader, tallies


def assert_same_state(one, other):
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


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
        join("127.0.0.1", listener.port, TOKEN, 4, {}, 20.0, tls[5])


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


def failing_at(number, value):
    """Make a loss that at its call of this number raises an error, or is times a value."""
    calls = itertools.count(1)

    def criterion(outputs, targets):
        if next(calls) == number:
            if isinstance(value, Exception):
                raise value
            return nn.functional.cross_entropy(outputs, targets) * value
        return nn.functional.cross_entropy(outputs, targets)

    return criterion


@pytest.mark.slow
def test_an_owner_that_dies_is_dropped_and_the_others_are_averaged(make):
    dying = {2: failing_at(3, RuntimeError("a device dies"))}  # 4 batches, in the first round
    options = Options(momentum=0.9, optimizer_state="keep")
    scheme, leader, tallies = run(make, options, system("nic"), 2, criteria=dying, dropout=0.3)
    assert [tally.dropped for tally in tallies] == [("d1",), ("d1",)]
    assert [item.client for item in leader.dropped] == ["d1"]
    alone = scheme_of(make, options, dropout=0.3)
    others = [alone.clients[0], alone.clients[2]]
    for _ in range(2):
        tally = Round()
        alone.begin(others, tally)
        for client in others:
            alone._train_alone(client, tally)
        alone.end(others, tally)
    for name, value in alone.model.state_dict().items():
        assert torch.equal(scheme.model.state_dict()[name], value), name
    assert tallies[1].loss_sum == tally.loss_sum


@pytest.mark.slow
def test_an_owner_that_is_started_again_takes_part_in_the_next_round(make):
    dying = {2: failing_at(2, RuntimeError("a device dies"))}
    scheme, _, tallies = run(make, Options(), system(), 2, criteria=dying, again=[2], dropout=0.3)
    assert [tally.dropped for tally in tallies] == [("d1",), ()]
    assert [tally.samples for tally in tallies] == [SIZES[0] + SIZES[2], sum(SIZES)]
    alone = scheme_of(make, Options(), dropout=0.3)
    for clients in ([alone.clients[0], alone.clients[2]], alone.clients):
        tally = Round()
        alone.begin(clients, tally)
        for client in clients:
            alone._train_alone(client, tally)
        alone.end(clients, tally)
    assert_same_state(scheme, alone)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("_forward", r"two says it cannot take a batch: RuntimeError: out of memory"),
        ("_backward", r"two says it was sent gradients of another shape or type"),
    ],
)
def test_an_owner_that_a_node_cannot_serve_is_dropped(make, monkeypatch, method, why):
    """What it sent is not for these layers; the others are served."""
    usual = getattr(BatchWorker, method)

    def broken(self, part, values):
        if self.owner == 1 and self.node.index == 1:
            if method == "_forward":
                raise RuntimeError("out of memory")
            values = values[:, :1]
        return usual(self, part, values)

    monkeypatch.setattr(BatchWorker, method, broken)
    _, leader, tallies = run(make, Options(), system(), rounds=1, criteria={2: None})
    assert tallies[0].dropped == ("d1",)
    assert re.search(why, leader.dropped[0].reason)


@pytest.mark.one_quick
@pytest.mark.parametrize("what", ["losses", "held.model.0.weight", "batches.next", "stream.state"])
def test_an_owner_whose_state_makes_no_sense_is_dropped(make, monkeypatch, what):
    from splitopt.training.wire.transport.channel import Channel

    usual = Channel.send

    def send(self, kind, fields=None, tensors=None, **rest):
        if kind == "state" and what in tensors and fields["sent"].get("activations") == SENT_BY_D0:
            tensors = {**tensors, what: torch.zeros(1, 1, 1, 1, 1)}
        return usual(self, kind, fields or {}, tensors or {}, **rest)

    monkeypatch.setattr(Channel, "send", send)
    _, leader, tallies = run(make, Options(), system(), rounds=1, criteria={1: None})
    assert tallies[0].dropped == ("d0",)
    assert "it sent" in leader.dropped[0].reason


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_owner(make):
    criteria = {3: failing_at(1, float("nan"))}
    with pytest.raises(TrainingError, match="the loss of client d2 is nan"):
        run(make, Options(), system(), rounds=1, criteria=criteria)


def test_nobody_is_left(make):
    dying = {rank: failing_at(1, RuntimeError("a device dies")) for rank in (1, 2, 3)}
    with pytest.raises(
        TrainingError, match=r"no owner is left to train with: dropped were d[012] in"
    ):
        run(make, Options(), system(), rounds=1, criteria=dying)


def test_a_node_on_another_machine_that_only_listens_to_itself(make, monkeypatch):
    """It is refused at once: owners would look for it on their own machines."""
    from splitopt.training.wire import addresses

    monkeypatch.setattr(addresses, "is_of_this_machine", lambda host: host != "127.0.0.1")
    with pytest.raises(TrainingError, match=r"one failed \(beginning: it runs on 127.0.0.1 but"):
        run(make, Options(), system(), rounds=1)
