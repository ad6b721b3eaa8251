"""What is said of ranks and powers: reports, differences, and mistakes by their field."""

from __future__ import annotations

import copy
import re

import pytest

from splitopt import (
    InputError,
    ModelProfile,
    Scenario,
    diff_plans,
    plan,
    simulate,
)
from splitopt.cli.entry import run
from splitopt.planning.comparison.comparing import compare_schemes
from splitopt.profiles.counting.adapter_ranks import at_rank
from tests.planning.ranks_and_powers.cases import (
    COLUMNS,
    DOCUMENT,
    MODEL_BYTES,
    RANK,
    SAMPLES,
    SMASHED,
    WATT,
    at,
    devices,
)


@pytest.mark.slow
def test_simulation_and_comparison_know_ranks(scenario):
    """The replay ends when the plan promises; the model's bytes are those of each rank."""
    loaded = scenario(devices=devices(), adapters={"rank": [2, 8], "least_total": 12})
    made = plan(loaded)
    rows = made.prediction["devices"]
    assert len({row["adapter_rank"] for row in rows}) == 2
    replay = simulate(made)
    assert replay.simulated_s == pytest.approx(made.prediction["round_s"], rel=1e-9)
    line = replay.timeline
    for n, row in enumerate(rows):
        own = (line.owner == n) & (line.phase == line.phases.index("model download"))
        seconds = (line.end_s - line.start_s)[own].sum()
        wanted = 8 * at(MODEL_BYTES, row["adapter_rank"])[row["cut"] - 1] / 20e6
        assert seconds == pytest.approx(wanted / row["download_share"], rel=1e-9)
    found = compare_schemes(loaded)
    assert found.row("sflv1").status == "not_comparable"
    mine = found.row("dp_mora_sum")
    assert mine.traffic_bytes == pytest.approx(
        sum(
            2 * at(MODEL_BYTES, row["adapter_rank"])[row["cut"] - 1]
            + 2 * 2 * SAMPLES[row["name"]] * SMASHED[row["cut"] - 1]
            for row in rows
        )
    )


BAD = [
    (("adapters",), {"rank": []}, "must be a list of ranks, such as [4, 8, 16]"),
    (("adapters",), {"rank": [4, 0]}, "entry 1 is 0, it must be a whole number >= 1"),
    (("adapters",), {"rank": [4, 4]}, "entry 1 is 4, which stands twice"),
    (("adapters",), {"rank": ["4"]}, "entry 0 is '4', it must be a whole number"),
    (("adapters",), {"rank": [4, 8], "quality": [1]}, "1 entries for the 2 of rank"),
    (("adapters",), {"ranks": [4, 8]}, "did you mean 'rank'?"),
    (("devices", 0, "transmit_power"), {"min": "1 W", "max": "20 mW"}, "above max"),
    (("devices", 0, "transmit_power"), {"min": "1 mW"}, "transmit_power.max: this field is miss"),
    (("devices", 0, "transmit_power"), {"min": "1 mW", "max": "1 W", "steps": 1}, "steps: is 1"),
    (("devices", 0, "uplink"), "4 Mbit/s", "is a range, and its uplink to near has a rate"),
    (("devices", 0, "snr"), 20, "is a range, and its uplink to near has an snr"),
    (
        ("devices", 0, "uplink"),
        {"transmit_power": "1 W"},
        "is a range, and its uplink to near has a power of its own",
    ),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_mistakes_are_told_by_field(path, value, words):
    """One sentence with the field, the value and the mend."""
    document = copy.deepcopy(DOCUMENT) | {"devices": devices()}
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InputError, match=re.escape(words)):
        Scenario.from_dict(document)


def test_what_cannot_be_chosen_is_refused_by_name(scenario, folder):
    """Profiles without adapters, ranks beyond a layer's size, and measured machines."""
    plain = devices(transmit_power="320 mW")
    with pytest.raises(InputError, match=r"adapters\.rank: adapters of rank 64 are too large"):
        plan(scenario(devices=plain, adapters={"rank": [2, 64]}))
    with pytest.raises(InputError, match=r"does not say what a rank of adapters costs; profile"):
        plan(scenario(devices=plain, model="resnet18-imagenet"))
    machine = [plain[0] | {"machine": "board"}]
    del machine[0]["compute"]
    with pytest.raises(InputError, match=r"adapters: need work at every rank, and the seconds of"):
        plan(scenario(devices=machine))
    least = {"rank": [2, 8], "least_total": 25}
    made = plan(scenario(devices=plain, adapters=least))
    assert made.result["outcome"] == "infeasible"
    assert (
        "adapters.least_total is 25, and the 3 devices with the best rank have 24 together"
        in (made.result["message"])
    )
    made = plan(scenario(devices=plain, adapters={"rank": [2, 8], "device_least": 9}))
    assert (
        "adapters.device_least is 9, and the best of the ranks has 8: lower it"
        in (made.result["message"])
    )
    scenario(devices=plain, adapters=least)
    assert run(["plan", str(folder / "scenario.json")]) == 1


def test_a_scenario_is_written_and_read_back(scenario):
    """Ranges of powers and ranks survive, and the fields that others leave unused are named."""
    first = scenario(devices=devices(), adapters={"rank": [2, 8], "quality": [1, 3]})
    assert Scenario.from_dict(first.to_dict()) == first
    assert first.devices[0].transmit_power.powers() == pytest.approx(WATT)
    single = scenario(devices=devices(), servers=DOCUMENT["servers"][:1])
    notes = " ".join(plan(single, problem="common_cut").notes)
    assert "adapters" in notes
    assert "devices[].transmit_power.min" in notes
    assert "devices[].transmit_power.max" not in notes


@pytest.mark.slow
def test_the_report_has_a_column_for_each(scenario, folder, capsys):
    scenario(devices=devices(), adapters={"rank": [2, 8], "least_total": 12})
    made = str(folder / "plan.json")
    assert run(["plan", str(folder / "scenario.json"), "-o", made]) == 0
    printed = capsys.readouterr().out
    assert "Rank" in printed
    assert "Power W" in printed
    assert "the best rank for all: rank 8" in printed
    assert "everyone at its highest power" in printed
    assert "Adapter quality below the best" in printed
    assert run(["report", made, "-o", str(folder / "page.html")]) == 0
    assert "adapter rank" in (folder / "page.html").read_text()


def test_profiles_at_any_rank_are_one_another(folder):
    """From the table of any rank that of any other follows; what was measured is left out."""
    first = ModelProfile.load(folder / "model.json")
    for rank in (1, 2, 8, 32):
        other = at_rank(first, rank)
        for name, pairs in COLUMNS.items():
            assert getattr(other, name).tolist() == at(pairs, rank)
        assert at_rank(other, RANK) == first
        assert ModelProfile.from_dict(other.to_dict(), "again") == other


def test_the_difference_of_plans_names_ranks_and_powers(scenario):
    """Who has another rank or power in the second plan, and from what to what."""
    floors = [{"rank": [2, 8], "device_least": least} for least in (1, 8)]
    first, second = (plan(scenario(devices=devices(1), adapters=own)) for own in floors)
    (change,) = [one for one in diff_plans(first, second).decision if one.names]
    assert (change.before["adapter_rank"], change.after["adapter_rank"]) == (2, 8)
