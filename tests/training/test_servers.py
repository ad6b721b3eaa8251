"""Plans of several servers and of bits by device, trained in one process."""

from __future__ import annotations

import functools

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.export.holders import chains_of  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402

pytestmark = pytest.mark.train

OPTIONS = {"learning_rate": 0.1, "momentum": 0.9}


@functools.cache
def planned(**changes):
    """Plan the shipped fleet of the digits with few samples and some changes at the top."""
    document = Scenario.load("digits-splitfed").to_dict()
    for device in document["devices"]:
        device["samples"] = 40
    kind = changes.get("kind")
    if kind in ("two", "bits"):
        first = document["servers"][0]
        document["servers"] = [first, first | {"name": "other", "seats": 3}]
    if kind == "bits":
        bits = {"up": [32, 8], "down": [8], "up_distortion": [0, 1], "down_distortion": [0]}
        document["precision"] = bits | {"limit": 2}
    if kind in ("all 8", "all 32"):
        bits = int(kind.removeprefix("all "))
        if bits == 8:
            document["precision"] = {"up": [bits], "down": [bits]}
    return splitopt.plan(Scenario.from_dict(document))


def trained(plan, rounds=2, scheme=None, **options):
    return splitopt.train(plan, rounds=rounds, scheme=scheme, options=Options(**OPTIONS, **options))


def assert_same(found, wanted):
    first, second = found.model.state_dict(), wanted.model.state_dict()
    assert first.keys() == second.keys()
    for name, value in second.items():
        assert torch.equal(first[name], value), name


@pytest.mark.slow
def test_who_computes_changes_nothing_of_what_is_learned():
    """Two servers learn as one, and as federated learning, to the last bit."""
    two = planned(kind="two")
    used = {row["server"] for row in two.prediction["devices"]}
    assert len(used) == 2
    found = trained(two, rounds=1)
    assert_same(found, trained(planned(), rounds=1))
    assert_same(found, trained(two, rounds=1, scheme="federated"))


def test_every_server_holds_the_copies_of_its_own_devices():
    """The chain of a device ends at the server that the plan gave it, and is exported so."""
    plan = planned(kind="two")
    program = program_of(plan)
    assert [party.role for party in program.holders] == ["server", "server"]
    wanted = {row["name"]: row["server"] for row in plan.prediction["devices"]}
    for chain in chains_of(program):
        names = [party.name for party in chain.parties]
        assert names == [chain.name, wanted[chain.name]][: len(names)]


def test_all_bits_alike_are_the_codec_of_the_options():
    """8 bits for everybody by the plan are --codec int8, bit for bit and byte for byte."""
    chosen, usual = planned(kind="all 8"), planned(kind="all 32")
    cuts = [[row["cut"] for row in plan.prediction["devices"]] for plan in (chosen, usual)]
    assert cuts[0] == cuts[1]
    by_plan, by_option = trained(chosen, 1), trained(usual, 1, codec="int8")
    assert_same(by_plan, by_option)
    assert by_plan.history.traffic_bytes() == by_option.history.traffic_bytes()
    assert by_plan.history.traffic_bytes()["smashed"] > 0


@pytest.mark.slow
def test_bits_by_device_cross_as_planned():
    """Bytes of activations and gradients are those of the plan, batch by batch."""
    plan = planned(kind="bits")
    rows = plan.prediction["devices"]
    assert {row["bits_up"] for row in rows} == {8, 32}
    found = trained(plan, rounds=1)
    profile = splitopt.planning.planner.open_plan(plan).profile
    devices = Scenario.from_dict(plan.scenario).fleet()
    sent = back = 0
    for device, row in zip(devices, rows, strict=True):
        batches = [device.batch_size] * (device.samples // device.batch_size)
        batches += [device.samples % device.batch_size] * (device.samples % device.batch_size > 0)
        values = int(profile.smashed_bytes[row["cut"] - 1]) // 4
        for count in batches:
            sent += count * values * row["bits_up"] // 8 + (5 if row["bits_up"] == 8 else 0)
            back += count * values + 5
    epochs = Scenario.from_dict(plan.scenario).training.epochs
    assert found.history.traffic_bytes()["smashed"] == epochs * sent
    assert found.history.traffic_bytes()["gradient"] == epochs * back


def test_a_codec_beside_chosen_bits_is_refused():
    with pytest.raises(InputError, match=r"^codec: is chosen for each device by the plan"):
        trained(planned(kind="bits"), codec="int8")
