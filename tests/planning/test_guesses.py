"""Guesses are called guesses in plans, pages and comparisons, and nothing else is."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from splitopt import InputError, Scenario, compare_schemes, load_profile, plan
from splitopt.profiles import ModelProfile
from splitopt.report import plan_to_html
from splitopt.report.comparison import comparison_to_html, comparison_to_terminal
from splitopt.report.terminal import plan_to_terminal


def text_of(renderable):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def fleet(**changes):
    """Return two devices at a server, with powers."""
    device = {"samples": 100, "batch_size": 10, "compute_power": "5 W", "transmit_power": "1 W"}
    document = {
        "model": "resnet18-imagenet",
        "devices": [
            {"name": "a", "compute": "20 GFLOP/s", **device},
            {"name": "b", "compute": "90 GFLOP/s", **device},
        ],
        "links": {"downlink": "80 Mbit/s", "uplink": "40 Mbit/s"},
        "servers": [{"name": "edge", "compute": "1 TFLOP/s"}],
    }
    return Scenario.from_dict(document | changes)


@pytest.mark.slow
def test_the_leakage_of_the_papers_profiles():
    """The limit binds the four slowest boards, whose cut 4 leaks 0.583 by the logistic guess."""
    scenario = Scenario.load("dp-mora-resnet18")
    made = plan(scenario)
    found = made.prediction["leakage"]
    assert found["state"] == "guess"
    assert found["largest"] == pytest.approx(1 / (1 + 2.718281828459045 ** (0.5 / 1.5)))
    assert found["bound_devices"] == ["rpi3-1", "rpi3-2", "rpi3-3", "rpi3-4"]
    (note,) = [note for note in made.notes if "guess" in note]
    assert "the leakage limit, which binds rpi3-1" in note
    for words in (text_of(plan_to_terminal(made)), plan_to_html(made)):
        assert "0.417 (a guess); the limit of 0.5 binds 4 of the devices" in words
        assert "is a guess" in words
    compared = compare_schemes(scenario)
    assert compared.guesses == ("leakage",)
    assert compared.to_dict()["guesses"] == ["leakage"]
    assert any("the leakage of dp-mora-resnet18-recovered is a guess" in n for n in compared.notes)
    for words in (text_of(comparison_to_terminal(compared)), comparison_to_html(compared)):
        assert "Leakage (guess)" in words


def test_a_limit_that_does_not_bind():
    """With a high limit the note says so; without one a plan says nothing of leakage."""
    loose = Scenario.load("dp-mora-resnet18").to_dict()
    loose["privacy"] = {"leakage_limit": 0.99}
    made = plan(Scenario.from_dict(loose))
    assert made.prediction["leakage"]["bound_devices"] == []
    assert any(note.endswith("the leakage limit does not bind here") for note in made.notes)
    loose["privacy"] = {}
    free = plan(Scenario.from_dict(loose))
    assert not any("guess" in note for note in free.notes)
    assert "Leakage" not in text_of(plan_to_terminal(free))
    strict = dict(loose, privacy={"leakage_limit": 0.001})
    none = plan(Scenario.from_dict(strict))
    assert "which is a guess: raise the limit" in none.result["message"]


def test_a_measured_leakage_is_no_guess():
    """The word stands only where the profile says so; a file that says nothing is unknown."""
    profile = load_profile("dp-mora-resnet18-recovered")
    document = profile.to_dict()
    document["provenance"]["columns"]["leakage"] = "measured"
    assert ModelProfile.from_dict(document, "p").guesses() == ()
    del document["provenance"]["columns"]
    old = ModelProfile.from_dict(document, "p")
    assert old.state_of("leakage") is None
    assert old.guesses() == ()


def test_states_are_checked():
    """A state that is none, and a column that the profile lacks, are refused by name."""
    profile = load_profile("resnet18-imagenet")
    for columns, words in (
        ({"smashed_bytes": "guessed"}, "provenance.columns.smashed_bytes: is 'guessed'; choose"),
        ({"leakage": "guess"}, "provenance.columns.leakage: is no column that the profile has"),
        ({"layers": "guess"}, "provenance.columns.layers: is no column"),
        ([1], "provenance.columns"),
    ):
        document = profile.to_dict()
        document["provenance"]["columns"] = columns
        with pytest.raises(InputError, match=words):
            ModelProfile.from_dict(document, "p")


def test_guesses_of_a_scenario():
    """Paths and values stand in the notes, and the columns that rest on them are marked."""
    guesses = ["devices.*.compute_power", "links.uplink", "devices.b.compute"]
    made = plan(fleet(guesses=guesses))
    (note,) = [note for note in made.notes if "guess" in note]
    assert note == (
        "guesses of the scenario: devices.*.compute_power (5 W), links.uplink (40 Mbit/s), "
        "devices.b.compute (90 GFLOP/s)"
    )
    compared = compare_schemes(fleet(guesses=guesses))
    assert compared.guesses == ("energy_j",)
    assert note in compared.notes
    assert "Energy, J (guess)" in text_of(comparison_to_terminal(compared))
    again = Scenario.from_dict(json.loads(json.dumps(made.scenario)))
    assert list(again.guesses) == guesses
    plain = compare_schemes(fleet())
    assert plain.guesses == ()
    assert "guess" not in text_of(comparison_to_terminal(plain))
    assert "guesses" not in fleet().to_dict()


@pytest.mark.parametrize(
    ("guesses", "words"),
    [
        (["links.uplinc"], "'links.uplinc' leads to nothing that the scenario states"),
        (["devices.c.compute"], "leads to nothing"),
        (["devices.2.compute"], "leads to nothing"),
        (["tradeoff.seconds_per_joule"], "leads to nothing"),
        (["links.uplink", "links.uplink"], "stands twice"),
    ],
)
def test_paths_are_checked(guesses, words):
    """A path must lead to something that is there, once."""
    with pytest.raises(InputError, match=words):
        fleet(guesses=guesses)


def test_guessed_columns_that_matter():
    """Guessed bytes matter always, guessed memory only where a device has a limit."""
    profile = load_profile("resnet18-imagenet")
    states = {"smashed_bytes": "guess", "device_memory_fixed_bytes": "guess"}
    document = replace(profile, provenance=replace(profile.provenance, columns=states)).to_dict()
    assert ModelProfile.from_dict(document, "p").guesses() == tuple(states)
    from splitopt.planning.guesses import guess_notes, guessed_numbers

    guessed = ModelProfile.from_dict(document, "p")
    (note,) = guess_notes(fleet(), guessed)
    assert note == "guesses of the profile resnet18-imagenet: smashed_bytes"
    limited = fleet().to_dict()
    limited["devices"][0]["memory"] = "4 GiB"
    (note,) = guess_notes(Scenario.from_dict(limited), guessed)
    assert note.endswith("smashed_bytes, device_memory_fixed_bytes")
    assert guessed_numbers(fleet(), guessed) == ("traffic_bytes", "device_memory_bytes")
