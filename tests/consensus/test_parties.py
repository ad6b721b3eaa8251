"""The protocol between parties: the answer of one process, sums alone, and whoever breaks it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

from splitopt import CutAndResources, Scenario, solve  # noqa: E402
from splitopt.consensus.coordinator import Account, PartyGoneError  # noqa: E402
from splitopt.consensus.launch import check_devices, scenario_of  # noqa: E402
from splitopt.consensus.packing import WIRE_KINDS, bytes_in, pack, tensor_of, unpack  # noqa: E402
from splitopt.consensus.parties import run_device  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.solvers.cut_and_resources.price_consensus import PriceConsensus  # noqa: E402
from splitopt.solvers.cut_and_resources.price_consensus.messages import KINDS  # noqa: E402
from splitopt.training.wire.transport.errors import ChannelClosedError, FrameError  # noqa: E402

SUMS = PriceConsensus(branching=False)
PROOF = PriceConsensus()


@pytest.fixture(scope="module")
def problem():
    """Return a problem of five devices whose rounding leaves a gap."""
    return CutAndResources.from_scenario(Scenario.generate(seed=3, devices=5))


@pytest.mark.parametrize("solver", [SUMS, PROOF], ids=["sums", "proof"])
def test_the_answer_is_that_of_one_process(parties, problem, solver):
    """Cuts, shares, bound and the number of every kind of message; the masks are others."""
    alone = solve(problem, solver)
    found = parties.run(problem, solver)
    assert not found.errors
    wanted = alone.decision.to_dict()
    given = found.granted.to_dict()
    assert given["cut"] == wanted["cut"]
    for name in ("download_share", "upload_share", "server_share"):
        assert given[name] == wanted[name]
    unit = problem.devices * 2.0**-64 * 1e6  # of totals, in what they are multiplied to
    assert found.account.bound == pytest.approx(alone.bound, abs=unit)
    assert found.account.objective == pytest.approx(alone.objective, rel=1e-12)
    for name in ("rounds", "messages", "messages_by_kind", "coordinator_saw"):
        assert found.account.details[name] == alone.details[name]
    assert found.stopped == ("converged" if solver is SUMS else "proved")
    if solver is PROOF:
        assert found.account.objective == pytest.approx(solve(problem, "exact").objective, rel=1e-9)


def test_bytes_are_counted_as_they_travel(parties, problem):
    """A byte of each message is its kind, in the header; plans are sealed, 16 bytes more."""
    alone = solve(problem, PROOF)
    found = parties.run(problem, PROOF).account.details
    plans = found["messages_by_kind"]["plan"]
    assert found["message_bytes"] == alone.details["message_bytes"] + 16 * plans
    assert found["payload_bytes"] == found["message_bytes"] - found["messages"]
    assert found["key_bytes"] == 5 * 32 + 5 * 6 * 32


def test_the_coordinator_receives_sums_alone(parties, problem):
    """Of all that comes: kinds, no number of any device, no share; masked numbers are uniform."""
    found = parties.run(problem, SUMS)
    kinds = {message.kind for message in found.seen}
    assert kinds == {"hello", "public_keys", "answer", "plan"} - {"hello"}
    code = SUMS.code
    values = [*problem.roots.ravel().tolist(), *problem.device_s.ravel().tolist()]
    secret = {code.encode(value).to_bytes(16, "little") for value in values if value > 0}
    plain = {np.float64(v).tobytes() for v in (*values, *np.ravel(found.granted.shares)) if v}
    every = b"".join(bytes_in(m.tensors) for m in found.seen)
    assert not any(one in every for one in secret | plain)
    masked = np.frombuffer(
        b"".join(bytes_in(m.tensors) for m in found.seen if m.kind == "answer"), dtype=np.uint8
    )
    counts = np.bincount(masked // 16, minlength=16)
    expected = len(masked) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # 0.1 % of uniform ones are above


def test_two_runs_send_other_numbers(parties, problem):
    """Keys are the operating system's: there is no seed to derive them from."""
    sent = []
    for _ in range(2):
        parties.seen.clear()
        parties.run(problem, SUMS)
        sent.append({bytes_in(m.tensors) for m in parties.seen})
    assert not sent[0] & sent[1]


def test_each_device_needs_its_own_numbers_alone(parties, problem):
    """All others' are replaced by nonsense in what a device is given."""
    scenario = Scenario.generate(seed=3, devices=5)
    alone = solve(problem, SUMS)

    def device(channel, _, row, index, solver):
        own = CutAndResources.from_scenario(scenario_of(scenario, index))
        assert own.devices == 1
        assert np.array_equal(own.roots[0], problem.roots[index])
        run_device(channel, own, 0, index, solver)

    found = parties.run(problem, SUMS, device=device)
    assert found.granted.to_dict()["cut"] == alone.decision.to_dict()["cut"]


def test_a_device_that_is_lost_ends_the_run_in_one_sentence(parties, problem):
    """A plan without it would be another problem's."""

    def device(channel, problem, row, index, solver):
        if index == 2:
            receive = channel.receive
            calls = itertools.count()

            def once(*given):
                if next(calls) == 3:
                    raise ChannelClosedError("killed")
                return receive(*given)

            channel.receive = once
        run_device(channel, problem, row, index, solver)

    with pytest.raises(PartyGoneError, match=r"device-3 is lost .* another problem") as found:
        parties.run(problem, SUMS, device=device)
    assert found.value.exit_code == 1


def test_a_round_is_answered_once(parties, problem):
    """Two answers under one mask would give their difference away."""

    def device(channel, problem, row, index, solver):
        if index == 0:
            receive, last = channel.receive, []

            def again(*given):
                if last and last[-1].kind == "quote":
                    return last[-1]
                last.append(receive(*given))
                return last[-1]

            channel.receive = again
        run_device(channel, problem, row, index, solver)

    with pytest.raises(PartyGoneError, match="device-1"):
        parties.run(problem, SUMS, device=device)
    assert "has been answered" in str(parties.errors["device-1"])


def test_numbers_that_do_not_fit_are_the_device_s_to_refuse(parties, problem):
    """The coordinator cannot know; it ends with what the device says."""
    with pytest.raises(PartyGoneError, match=r"device-\d is lost .* larger unit"):
        parties.run(problem, PriceConsensus(branching=False, fraction_bits=124))
    assert any(isinstance(error, InputError) for error in parties.errors.values())


def test_no_time_gives_the_first_plan(parties, problem):
    """A limit of 0 ends with what the devices have adopted."""
    found = parties.run(problem, SUMS, account=Account(time_limit_s=0.0))
    assert found.stopped == "time"
    assert len(found.granted.cuts) == problem.devices


@pytest.mark.parametrize("name", sorted(WIRE_KINDS))
def test_packed_messages_come_back(name):
    """Each kind with numbers at the ends of their ranges, in as many bytes as it says."""
    kind = (KINDS if name == "plan" else WIRE_KINDS)[name]
    rng = np.random.default_rng(0)
    several = {"prices", "rounds", "weights", "totals", "masked", "shares"}
    fields = {}
    for field, size in kind.fields.items():
        top = float(rng.normal()) if size == 8 else 2 ** (8 * size) - 1
        fields[field] = (top, 0 if size != 8 else 0.1, top) if field in several else top
    counts, raw = pack(kind, fields)
    sizes = sum(size * (3 if field in several else 1) for field, size in kind.fields.items())
    assert len(raw) == sizes
    assert unpack(kind, counts, bytes_in(tensor_of(raw))) == fields
    for wrong in (raw[:-1], raw + b"x"):
        with pytest.raises(FrameError):
            unpack(kind, counts, wrong)
    for counted in (None, {}, {**counts, "more": 1}, dict.fromkeys(counts, -1)):
        with pytest.raises(FrameError):
            unpack(kind, counted, raw)


def test_what_is_refused():
    """Two devices would know each other's numbers."""
    with pytest.raises(InputError, match="at least 3: of a sum of two"):
        check_devices(2)
