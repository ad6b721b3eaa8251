"""Plans of a U shape for a server with devices, against sums by hand, events and all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import splitopt
from splitopt import InputError, Scenario

SCALE = {"compute": "100 MFLOP/s"}


def star(count=1, **given):
    """Return a scenario of alike devices with a server, as plain data."""
    found = Scenario.load("digits-splitfed").to_dict()
    found["devices"] = [
        {"name": "d", "count": count, "compute": "3 MFLOP/s", "samples": 64, "batch_size": 16}
    ]
    return {**found, **given}


def plan(document):
    return splitopt.plan(Scenario.from_dict(document), scheme="u_shaped")


def by_hand(first, last, batches=4, batch=16):
    """Sum the round of one device: FLOP and bytes of its own tables over speeds and rates."""
    table = Scenario.load("digits-splitfed").load_model()
    device = table.device_forward_flop + table.device_backward_flop  # of the first l layers
    up_to = {cut: float(device[cut - 1]) for cut in (first, last, table.layer_count)}
    ends = up_to[first] + up_to[table.layer_count] - up_to[last]
    middle = up_to[last] - up_to[first]
    moved = sum(
        float(column[cut - 1])
        for column in (table.smashed_bytes, table.gradient_bytes)
        for cut in (first, last)
    )
    each = batch * (ends / 3e6 + middle / 100e6 + 8 * moved / 4e6)
    parts = table.layer_parameter_bytes
    held = float(parts[:first].sum() + parts[last:].sum())
    return batches * each + 2 * 8 * held / 4e6


@pytest.mark.parametrize("shared", [True, False])
def test_the_round_of_one_device_is_what_its_tasks_take(shared):
    """By hand, and event by event; nobody is in its way."""
    document = star()
    document["links"]["shared"] = shared
    found = plan(document)
    first, last = found.prediction["first_cut"], found.prediction["last_cut"]
    assert found.prediction["round_s"] == pytest.approx(by_hand(first, last), rel=1e-9)
    events = splitopt.simulate(found).simulated_s
    assert events == pytest.approx(by_hand(first, last), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_other_pair_of_cuts_is_shorter(seed):
    """All pairs, each planned with its cuts stated."""
    rng = np.random.default_rng(seed)
    document = star()
    document["devices"] = [
        {**document["devices"][0], "name": f"d{k}", "compute": f"{rng.uniform(1, 20):.3g} MFLOP/s"}
        for k in range(3)
    ]
    rate = f"{rng.uniform(0.5, 20):.3g} Mbit/s"
    document["links"] = {"downlink": rate, "uplink": rate, "shared": bool(seed % 2)}
    found = plan(document)
    server = document.pop("servers")[0]
    rounds = {}
    for first, last in itertools.combinations(range(1, 6), 2):
        stated = {**document, "nodes": [server]}
        stated["pipeline"] = {"first_cut": first, "last_cut": last}
        rounds[first, last] = splitopt.plan(Scenario.from_dict(stated)).prediction["round_s"]
    chosen = found.prediction["first_cut"], found.prediction["last_cut"]
    assert rounds[chosen] == min(rounds.values()) == found.prediction["round_s"]


def test_limits_of_devices_and_server_hold():
    """A device without room for two layers keeps one; a server without room has no plan."""
    cuts = {}
    for memory in ("100 kB", "60 kB"):
        document = star()
        document["devices"][0]["memory"] = memory
        found = plan(document).prediction
        cuts[memory] = found["first_cut"], found["last_cut"]
        assert found["round_s"] == pytest.approx(by_hand(*cuts[memory]), rel=1e-9)
    assert cuts == {"100 kB": (2, 5), "60 kB": (1, 5)}
    document = star()
    document["servers"][0]["memory"] = "1 kB"
    none = plan(document)
    assert none.decision is None
    assert "needs 58.11 kB for 1 owner and the largest node has 1 kB" in none.result["message"]


def test_what_the_server_says_of_its_links_holds_for_all():
    """Over the links of all, and under those of a device."""
    plain, own = star(2), star(2)
    own["servers"][0]["links"] = {"uplink": "1 Mbit/s"}
    plain["links"]["uplink"] = "1 Mbit/s"
    assert plan(own).prediction == plan(plain).prediction


def test_it_says_what_it_is():
    """The note names the server; guesses go with it."""
    found = plan(star(guesses=["servers.gateway.compute"]))
    assert any("U-shaped: devices keep labels" in note for note in found.notes)
    assert found.scenario["guesses"] == ["nodes.gateway.compute"]
    assert "servers" not in found.scenario
    assert splitopt.Plan.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits-clusters", "scheme: is 'u_shaped', whose plans know no 'clusters'"),
        ("digits-pipeline", "this scenario has nodes of its own; leave the scheme out"),
    ],
)
def test_scenarios_that_are_no_star(name, words):
    with pytest.raises(InputError, match=words):
        splitopt.plan(name, scheme="u_shaped")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"servers": [{"name": n, **SCALE} for n in "ab"]}, r"needs one server, and there are 2"),
        ({"servers": [{"name": "a", "seats": 1, **SCALE}]}, "whose devices choose a first and"),
    ],
)
def test_stars_that_are_more(change, words):
    with pytest.raises(InputError, match=words):
        plan(star(**change))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"problem": "common_cut"}, "which asks for pipeline_partition, and problem is"),
        ({"server_order": "batch"}, "server_order: is for the scheme splitfed_v2"),
        ({"by_group": True}, "by_group: is for cut_and_resources"),
        ({"objective": "sum"}, "objective"),
    ],
)
def test_what_else_is_asked(given, words):
    with pytest.raises(InputError, match=words):
        splitopt.plan(Scenario.from_dict(star()), scheme="u_shaped", **given)


def test_the_scheme_is_offered_where_it_is_misspelt():
    with pytest.raises(InputError, match="u_shaped"):
        splitopt.plan(Scenario.from_dict(star()), scheme="u_shape")
