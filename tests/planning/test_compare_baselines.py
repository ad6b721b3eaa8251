"""The sequential baselines of a comparison: published rounds, hand calculations, brute force."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, Scenario, compare_schemes, load_profile, plan
from splitopt.planning.comparison.rows import BASELINES, LABELS
from splitopt.planning.comparison.sweeping import with_field

P = load_profile("resnet18-imagenet")
SIZES, SPEEDS, SAMPLES = (10, 30), (20e9, 5e9), (100, 60)


def fleet(shared=True, sizes=SIZES):
    """Return two devices with other speeds, samples and batch sizes, and one server."""
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "two",
        "model": "resnet18-imagenet",
        "devices": [
            {
                "name": f"d{n}",
                "compute": SPEEDS[n],
                "samples": SAMPLES[n],
                "batch_size": sizes[n],
                "compute_power": "5 W",
                "transmit_power": "1 W",
            }
            for n in range(2)
        ],
        "links": {"downlink": "80 Mbit/s", "uplink": "40 Mbit/s", "shared": shared},
        "servers": [{"name": "edge", "compute": "1 TFLOP/s", "price_per_hour": 0.36}],
        "training": {"epochs": 2},
    }
    return Scenario.from_si(document)


def phases(n, cut):
    """Return seconds of a device alone with everything: down, up, own work, server's work."""
    passes, at = 2 * SAMPLES[n], cut - 1
    model = 8 * P.device_model_bytes[at]
    return (
        (model + 8 * passes * P.gradient_bytes[at]) / 80e6,
        (model + 8 * passes * P.smashed_bytes[at]) / 40e6,
        passes * (P.device_forward_flop[at] + P.device_backward_flop[at]) / SPEEDS[n],
        passes * (P.server_forward_flop[at] + P.server_backward_flop[at]) / 1e12,
    )


@pytest.mark.parametrize("shared", [True, False])
def test_sequential_baselines_by_hand(shared):
    """Kept shares stretch what is shared; links of their own are not; SF1 is at cut 1."""
    scenario = fleet(shared)
    found = compare_schemes(scenario, baselines=True)
    cuts = plan(scenario, problem="cut_and_resources", objective="sum").decision["cut"]
    kept = {"": (1.0, 1.0), "_af": (0.5, 0.5), "_pf": (0.25, 0.75)}
    for scheme in ("sf1_af", "sf1_pf", "sf2", "sf2_af", "sf2_pf"):
        at = (1, 1) if scheme.startswith("sf1") else cuts
        share = kept[scheme[3:]]
        seconds, energy, served = 0.0, 0.0, []
        parts = np.zeros(4)
        for n in range(2):
            down, up, own, server = phases(n, at[n])
            link = share[n] if shared else 1.0
            parts += (down / link, up / link, own, server / share[n])
            energy += 5 * own + 1 * up
            fixed = 2 * (P.device_model_bytes[-1] - P.device_model_bytes[at[n] - 1])
            served.append(fixed + SIZES[n] * P.layer_saved_bytes[at[n] :].sum())
        seconds = parts.sum()
        row = found.row(scheme)
        assert row.round_s == pytest.approx(seconds, rel=1e-9)
        assert row.energy_j == pytest.approx(energy, rel=1e-9)
        assert row.round_cost == pytest.approx(seconds * 0.36 / 3600, rel=1e-9)
        assert row.server_memory_bytes == pytest.approx(max(served))
        assert row.saved_per_percent_s == pytest.approx(parts.max() / 100)
        names = ("the downlink", "the uplink", "the devices", "the server")
        assert row.helps_most == names[parts.argmax()]
        traffic = sum(
            2 * P.device_model_bytes[cut - 1]
            + 2 * SAMPLES[n] * (P.smashed_bytes[cut - 1] + P.gradient_bytes[cut - 1])
            for n, cut in enumerate(at)
        )
        assert row.traffic_bytes == pytest.approx(traffic)
    time = {row.scheme: row.round_s for row in found.feasible}
    assert time["sl"] <= time["sf1_af"]
    assert time["sf2"] <= min(time["sf2_af"], time["sf2_pf"])


@pytest.mark.parametrize(
    ("model", "within"), [("resnet18", 1e-4), ("resnet34", 0.021)], ids=["Table 2", "Table 3"]
)
def test_sf1_is_the_published_round(model, within):
    """The turns of Tables 2 and 3 give SF1AF's round; Table 3's are 2 % above the printed model.

    The last device is a Pi 3 with 5000 samples; those with 3000 and 6000 have turns that are
    printed, and a turn is linear in the samples.
    """
    starts, three, six = {
        "resnet18": (238.55, 20.99, 103.12 - 61.15),
        "resnet34": (394.58, 34.49, 170.29 - 101.32),
    }[model]
    row = compare_schemes(Scenario.load(f"dp-mora-{model}"), baselines=True).row("sf1_af")
    published = 1000 * (starts + three + (six - three) * 2 / 3)
    assert row.round_s == pytest.approx(published, rel=within)


@pytest.mark.slow
def test_sf1_takes_the_shallowest_cut_within_limits():
    """A limit of leakage or of the server's memory moves the cut behind the first layer."""
    strict = with_field(Scenario.load("dp-mora-resnet18"), "privacy.leakage_limit", 0.0)
    found = compare_schemes(strict, baselines=True)
    assert found.row("sf1_af").status == "infeasible"
    assert "leakage limit" in found.row("sf1_af").reason
    held = with_field(fleet(), "servers.edge.memory", "400 MB")
    need = [
        2 * (P.device_model_bytes[-1] - P.device_model_bytes[c - 1])
        + 30 * P.layer_saved_bytes[c:].sum()
        for c in range(1, 10)
    ]
    shallowest = 1 + next(i for i, size in enumerate(need) if size <= 400e6)
    assert shallowest > 1
    row = compare_schemes(held, baselines=True).row("sf1_pf")
    assert int(row.cut.split()[0]) == shallowest


def test_rows_that_say_the_same_are_left_out():
    """With equal batch sizes PF is AF; without a batch size there is nothing to divide by."""
    found = compare_schemes(fleet(sizes=(10, 10)), baselines=True)
    assert found.row("sf2_pf").reason.endswith("so that it is SF2AF")
    document = fleet().to_dict()
    del document["devices"][0]["batch_size"]
    lacking = compare_schemes(Scenario.from_si(document), baselines=True)
    assert "batch_size of every device" in lacking.row("sf1_pf").reason
    assert lacking.row("sf1_af").status == "feasible"


def test_baselines_come_on_request():
    """Without the option nothing of them is there; with it they learn as vanilla SL does."""
    assert {row.scheme for row in compare_schemes(fleet()).rows} == set(LABELS)
    found = compare_schemes(fleet(), baselines=True, rounds={"sl": 7, "fl": 3})
    assert {row.scheme for row in found.rows} == set(LABELS) | set(BASELINES)
    assert found.row("sf2_af").rounds == 7
    assert any("hand one model from device to device" in note for note in found.notes)
    with pytest.raises(InputError, match="sf2 is a baseline"):
        compare_schemes(fleet(), rounds={"sf2": 7})


def owners(count=(2, 1), model="none", **changes):
    """Return owners in two groups and two nodes for a small network of six layers."""
    nodes = [
        {"name": "slow", "compute": "10 MFLOP/s", "price_per_hour": 0.1},
        {"name": "fast", "compute": "40 MFLOP/s", "price_per_hour": 0.3},
    ]
    links = {"model": model, "latency": 0.02}
    if model == "nic":
        links["rate"] = 2e6  # slower than the owners' links
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "owners",
        "model": "cnn-digits",
        "devices": [
            {"name": "a", "count": count[0], "compute": 5e6, "samples": 40, "batch_size": 16},
            {
                "name": "b",
                "compute": 2e6,
                "samples": 64,
                "batch_size": 16,
                "uplink": "3 Mbit/s",
            },
        ][: len(count)],
        "links": {
            "downlink": "10 Mbit/s",
            "uplink": "5 Mbit/s",
            "nodes": {"model": "none"} if model == "none" else links,
        },
        "nodes": nodes,
        "pipeline": {"first_cut": "auto", "last_cut": "auto", "memory": "gradients"},
        "training": {"epochs": 2},
    }
    return Scenario.from_si(document | changes)


def split_nn_round(first, last, node_flops, count=(2, 1), delay=0.0, interface=np.inf):
    """Return seconds and bytes of a round, owner after owner and message by message."""
    p = load_profile("cnn-digits")
    forward = np.diff(p.device_forward_flop, prepend=0.0)
    work = forward + np.diff(p.device_backward_flop, prepend=0.0)
    groups = [(5e6, 3, 5e6), (2e6, 4, 3e6)]  # speed, batches of 16 in an epoch, uplink
    queue = [group for n, group in zip(count, groups, strict=False) for _ in range(n)]
    seconds, sent = 0.0, 0.0
    held = p.device_model_bytes
    parts = held[first - 1] + held[-1] - held[last - 1]
    for speed, batches, uplink in queue:
        for _ in range(2 * batches):
            seconds += 16 * work[:first].sum() / speed + 16 * work[last:].sum() / speed
            seconds += 16 * work[first:last].sum() / node_flops
            for size, rate in (
                (p.smashed_bytes[first - 1], uplink),
                (p.smashed_bytes[last - 1], 10e6),
                (p.gradient_bytes[last - 1], uplink),
                (p.gradient_bytes[first - 1], 10e6),
            ):
                seconds += 16 * 8 * size / min(rate, interface) + delay
                sent += 16 * size
        seconds += 8 * parts / uplink + 8 * parts / 10e6 + 2 * delay  # all downlinks are alike
        sent += 2 * parts
    return seconds, sent


@pytest.mark.one_quick
@pytest.mark.parametrize("model", ["none", "nic"])
@pytest.mark.parametrize("count", [(2, 1), (1,)])
def test_split_nn_by_brute_force(count, model):
    """The best of all pairs of cuts and of both nodes."""
    row = compare_schemes(owners(count, model), baselines=True).row("split_nn")
    nic = {"delay": 0.02, "interface": 2e6} if model == "nic" else {}
    every = {
        (a, z, name): split_nn_round(a, z, flops, count, **nic)
        for a in range(1, 5)
        for z in range(a + 1, 6)
        for name, flops in (("slow", 10e6), ("fast", 40e6))
    }
    first, last, name = min(every, key=lambda key: every[key][0])
    seconds, sent = every[first, last, name]
    assert row.cut == f"{first} and {last}, on {name}"
    assert row.round_s == pytest.approx(seconds, rel=1e-9)
    assert row.traffic_bytes == pytest.approx(sent, rel=1e-9)
    assert row.round_cost == pytest.approx(seconds * {"slow": 0.1, "fast": 0.3}[name] / 3600)


def test_split_nn_within_memory():
    """A node holds the middle part for one owner: with too little the other one is taken."""
    p = load_profile("cnn-digits")
    held = np.diff(p.device_model_bytes, prepend=0.0)[1:5]
    need = 2 * held.sum() + 16 * p.layer_saved_bytes[1:5].sum()
    pipeline = {"first_cut": 1, "last_cut": 5, "memory": "gradients"}
    names = (("slow", "10 MFLOP/s"), ("fast", "40 MFLOP/s"))

    def row(fast, slow):
        sizes = {"fast": fast, "slow": slow}
        nodes = [{"name": n, "compute": c, "memory": f"{sizes[n]} byte"} for n, c in names]
        scenario = owners(pipeline=pipeline, nodes=nodes)
        return compare_schemes(scenario, baselines=True).row("split_nn")

    both = row(need, need)
    assert both.cut == "1 and 5, on fast"
    assert both.server_memory_bytes == pytest.approx(need)
    other = row(need - 1, need)
    assert other.cut == "1 and 5, on slow"
    assert other.round_s == pytest.approx(split_nn_round(1, 5, 10e6)[0])
    none = row(need - 1, need - 1)
    assert none.status == "infeasible"
    assert "between the cuts need" in none.reason


def test_split_nn_needs_nodes():
    """Without compute nodes the row says what is missing."""
    row = compare_schemes(fleet(), baselines=True).row("split_nn")
    assert (row.status, "'nodes'" in row.reason) == ("not_comparable", True)


def test_sf2_without_cuts_says_whose_are_missing():
    """A server without room for DP-MORA's copies leaves SF2 without cuts."""
    held = with_field(fleet(), "servers.edge.memory", "100 MB")
    held = with_field(held, "devices.*.memory", "100 MiB")
    row = compare_schemes(held, baselines=True).row("sf2_af")
    assert row.status == "infeasible"
    assert row.reason.startswith("DP-MORA (sum), whose cuts it takes, has none: ")
