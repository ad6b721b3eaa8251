"""Operators without known work in a profile: reading, writing, and when they matter."""

from __future__ import annotations

import json
import pickle

import pytest

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile, flop_model
from splitopt.profiles.table.uncounted import TRIFLE, Uncounted, more_than_a_trifle, uncounted_note


def entry(layer="b", phase="forward", at_most=6.0, operator="mylib::scan", runs=1):
    return Uncounted(operator, layer, phase, runs, 40.0, at_most)


def test_entries_go_through_a_file(make_profile, tmp_path):
    """They are in the document, in the digest and in pickles; without any the file has no key."""
    profile = make_profile(uncounted=(entry(), entry("c", "backward")))
    profile.save(tmp_path / "p.json")
    read = ModelProfile.load(tmp_path / "p.json")
    assert read == profile == pickle.loads(pickle.dumps(profile))
    assert read.uncounted == (entry(), entry("c", "backward"))
    plain = make_profile()
    assert profile.digest() != plain.digest()
    assert "uncounted" not in plain.to_dict()


def test_a_file_of_before_loads(make_profile, tmp_path):
    """A file without the key is a profile with nothing uncounted."""
    document = make_profile().to_dict()
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert ModelProfile.load(tmp_path / "old.json").uncounted == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": "d"}, r"uncounted\[0\].layer: 'd' is not one of the layers"),
        ({"phase": "sideways"}, r"uncounted\[0\].phase: is 'sideways'"),
        ({"runs": 0}, r"uncounted\[0\].runs: is 0"),
        ({"runs": True}, r"uncounted\[0\].runs: is True"),
        ({"elements": -1.0}, r"uncounted\[0\].elements: is -1"),
        ({"at_most_flop": "many"}, r"uncounted\[0\].at_most_flop: is 'many'"),
        ({"operator": ""}, r"uncounted\[0\].operator: must be a text"),
        ({"color": "red"}, r"uncounted\[0\]: has the unknown key 'color'"),
    ],
)
def test_entries_are_checked(make_profile, tmp_path, change, message):
    """With the field and the value."""
    document = make_profile(uncounted=(entry(),)).to_dict()
    document["uncounted"][0] |= change
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        ModelProfile.load(tmp_path / "p.json")
    document["uncounted"] = {"mylib::scan": 1}
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="uncounted: must be a list, found dict"):
        ModelProfile.load(tmp_path / "p.json")


@pytest.mark.parametrize(
    ("layer", "phase", "counted"),
    [("a", "forward", 10), ("b", "forward", 6), ("b", "backward", 4), ("c", "backward", 60)],
)
def test_a_trifle_is_a_hundredth_of_the_layers_own_work(make_profile, layer, phase, counted):
    """Layers by themselves have 10, 6, 30 forward and 20, 4, 60 backward (see conftest)."""
    assert TRIFLE == 0.01
    below = make_profile(uncounted=(entry(layer, phase, 0.0099 * counted),))
    below.expect_work()
    assert below.has_work
    above = make_profile(uncounted=(entry(layer, phase, 0.0101 * counted),))
    assert not above.has_work
    work = {"forward": above.device_forward_flop, "backward": above.device_backward_flop}
    assert more_than_a_trifle(above.uncounted, above.layers, work) == above.uncounted
    with pytest.raises(InputError, match=f"no formula for mylib::scan in layer {layer}, "):
        above.expect_work()


def test_entries_of_a_layer_add_up(make_profile):
    """Two halves of more than a hundredth are too much together."""
    halves = (entry(at_most=0.04), entry(at_most=0.04, operator="mylib::other"))
    assert make_profile(uncounted=halves[:1]).has_work
    assert not make_profile(uncounted=halves).has_work


def test_a_layer_without_counted_work_has_no_trifle(make_profile):
    """Where nothing is counted, anything may be all of it."""
    flat = {"device_forward_flop": [10.0, 10.0, 46.0], "server_forward_flop": [36.0, 36.0, 0.0]}
    assert not make_profile(**flat, uncounted=(entry(at_most=1e-9),)).has_work


def test_refused_where_work_is_asked_for(make_profile):
    """Speeds and fills by FLOP need the work; times do not."""
    profile = make_profile(uncounted=(entry(), entry("c", operator="mylib::two")))
    for ask in (
        profile.expect_work,
        profile.layer_work,
        lambda: flop_model(profile, "bench"),
        lambda: profile.with_fill("board", "flop_ratio"),
    ):
        with pytest.raises(InputError) as caught:
            ask()
        for words in (
            "mylib::scan, mylib::two",
            "2 layers, b first",
            "--measure",
            "it has board, bench",
            "--flop OPERATOR=FILE.py:FUNCTION",
        ):
            assert words in str(caught.value)
    assert profile.device_seconds("bench").tolist() == [6.0, 20.0, 27.0]
    assert profile.with_fill("board", "zero").uncounted == profile.uncounted


def test_the_note_names_all_operators():
    """How often each ran in both passes and all layers, and on how many numbers."""
    entries = (entry(runs=2), entry("c"), entry("c", "backward", operator="mylib::scan_backward"))
    assert uncounted_note(entries) == (
        "Not counted in the work, since its cost is not known: mylib::scan (3 times in a pass, 80 "
        "numbers per sample); mylib::scan_backward (once in a pass, 40 numbers per sample)."
    )
