from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import Curve, ModelProfile, load_profile, profile_names


def test_columns_are_read_only_float64(make_profile):
    """Every array is float64, cannot be written, and does not follow the array it came from."""
    source = np.array([100, 200, 300])
    profile = make_profile(device_model_bytes=source)
    source[0] = -1
    for name in ModelProfile.REQUIRED:
        array = getattr(profile, name)
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    assert profile.device_model_bytes.tolist() == [100.0, 200.0, 300.0]


def test_seconds_add_up_by_hand(make_profile):
    """Device seconds accumulate from the input, server seconds are what remains behind the cut."""
    profile = make_profile()
    assert profile.device_seconds("bench").tolist() == [6.0, 20.0, 27.0]
    assert profile.server_seconds("bench").tolist() == [21.0, 7.0, 0.0]


def test_seconds_of_an_unmeasured_row_are_refused(make_profile):
    """A layer that was not measured is named with its row and the ways to fill it."""
    for seconds in (make_profile().device_seconds, make_profile().server_seconds):
        with pytest.raises(InputError, match=r"'board'.*row 2 \(b\).*zero.*flop_ratio.*machine"):
            seconds("board")


def test_an_unknown_machine_is_refused(make_profile):
    """The error names the machines there are, or says that there are none."""
    with pytest.raises(InputError, match="board, bench"):
        make_profile().device_seconds("phone")
    with pytest.raises(InputError, match="it has none"):
        make_profile(machines={}).server_seconds("phone")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smashed_bytes": [8.0, 4.0]}, r"smashed_bytes: has 2 numbers.*3 layers"),
        ({"device_forward_flop": [[1.0, 2.0, 3.0]]}, "device_forward_flop: entry 1"),
        ({"device_forward_flop": np.ones((1, 3))}, r"device_forward_flop: has the shape \(1, 3\)"),
        ({"device_forward_flop": np.array([True] * 3)}, "dtype bool"),
        ({"gradient_bytes": [8.0, -4.0, 0.0]}, "gradient_bytes: entry 2 is -4.0"),
        ({"gradient_bytes": [np.nan, 4.0, 0.0]}, "gradient_bytes: entry 1 is nan"),
        ({"device_model_bytes": [1, 10**400, 3]}, "device_model_bytes: .*too large"),
        ({"device_model_bytes": [1, True, 3]}, "entry 2 is True"),
        ({"device_model_bytes": "many"}, "must be a list of numbers"),
        ({"smashed_bytes": [8.0, 4.0, 2.0]}, "smashed_bytes: is 2.0 at the last cut"),
        ({"server_forward_flop": [1.0, 1.0, 1.0]}, "server_forward_flop: is 1.0 at the last cut"),
        ({"leakage": [0.5, 1.5, 0.0]}, "leakage: entry 2 is 1.5"),
        ({"work_unit": "flops"}, "work_unit: is 'flops'"),
        ({"name": " "}, "name: must be a text"),
        ({"layers": ()}, "layers: is empty"),
        ({"layers": "abc"}, "layers: must be a list"),
        ({"curves": {"leakage": Curve("reciprocal", (1.0, 0.0))}}, "curves: 'leakage'"),
    ],
)
def test_wrong_values_are_refused(make_profile, changes, message):
    """Each wrong value ends in one sentence that starts with its field."""
    with pytest.raises(InputError, match=message):
        make_profile(**changes)


def test_machine_rows_must_match_the_layers(make_profile, bench):
    """Times with another number of rows than the model has layers are refused."""
    with pytest.raises(InputError, match=r"machines\.bench: has 3 rows, but there are 2 layers"):
        make_profile(
            layers=("a", "b"),
            **{name: [1.0, 0.0] for name in ModelProfile.REQUIRED},
            machines={"bench": bench},
        )


def test_device_work_may_fall(make_profile):
    """A regression table whose device work falls from one cut to the next is accepted."""
    assert make_profile(device_forward_flop=[5.0, 4.0, 6.0]).layer_count == 3


@pytest.mark.parametrize("name", profile_names())
def test_a_file_gives_back_the_profile(tmp_path, name):
    """Saving and loading a shipped profile changes neither its content nor its digest."""
    profile = load_profile(name)
    path = tmp_path / "profile.json"
    profile.save(path)
    again = ModelProfile.load(path)
    assert again == profile
    assert again.digest() == profile.digest()
    assert hash(again) == hash(profile)
    assert again.provenance == profile.provenance


def test_digest_depends_on_every_number(make_profile):
    """Changing one number by one unit in the last place changes the digest and equality."""
    changed = make_profile(device_model_bytes=[100.0, np.nextafter(200.0, 300.0), 300.0])
    assert changed.digest() != make_profile().digest()
    assert changed != make_profile()
    assert make_profile() == make_profile()
    assert make_profile() != "three"


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))])
def test_copies_stay_read_only(make_profile, clone):
    """A copy, also one that went through another process, is equal and cannot be written."""
    again = clone(make_profile())
    assert again == make_profile()
    assert not again.device_forward_flop.flags.writeable
    assert not again.machines["bench"].forward_s.flags.writeable


def _document(make_profile, **changes):
    document = json.loads(json.dumps(make_profile().to_dict()))
    return {**document, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "splitopt-plan"}, "is a plan, which .*; here a model profile is needed"),
        ({"version": 2}, "version is 2"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"layers": ["a", 2, "c"]}, r"layers\[1\]"),
        ({"leakage": [0.1, "0.2", 0.3]}, "leakage: entry 2 is '0.2'"),
        ({"machines": ["d1"]}, "machines: must be an object"),
        ({"machines": {"d1": {"forward_s": []}}}, r"machines\.d1: lacks 'backward_s'"),
        ({"curves": {"smashed_bytes": {"family": "cubic", "coefficients": []}}}, "cubic"),
        ({"provenance": {"kind": "guess", "source": "x"}}, "provenance.kind"),
        ({"provenance": {"kind": "user"}}, "provenance: lacks 'source'"),
    ],
)
def test_a_wrong_document_is_refused(make_profile, changes, message):
    """A wrong document ends in one sentence that starts with the name of its file."""
    with pytest.raises(InputError, match=rf"^mine\.json: .*{message}"):
        ModelProfile.from_dict(_document(make_profile, **changes), "mine.json")


def test_a_missing_column_is_named(make_profile):
    """A document without a required column is refused by the column's name."""
    document = _document(make_profile)
    del document["smashed_bytes"]
    with pytest.raises(InputError, match="lacks 'smashed_bytes'"):
        ModelProfile.from_dict(document, "mine.json")


def test_null_means_unknown(make_profile):
    """An optional column may be null, which reads as unknown."""
    document = _document(make_profile, leakage=None, curves=None)
    assert ModelProfile.from_dict(document, "mine.json") == make_profile()
