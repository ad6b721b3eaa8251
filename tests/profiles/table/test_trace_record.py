from __future__ import annotations

import json

import pytest

from splitopt.errors import InputError
from splitopt.profiles import ModelProfile, load_profile
from splitopt.profiles.table.trace_record import TraceRecord


def test_plain_data_gives_back_the_record():
    """What `to_dict` writes, `from_dict` reads, with and without the optional parts."""
    short = TraceRecord("fx")
    full = TraceRecord("stages", "net.py:Net", ("a", "b.0"), (3, 32, 32), "float32", 10)
    for item in (short, full):
        assert TraceRecord.from_dict(json.loads(json.dumps(item.to_dict()))) == item
    assert short.to_dict() == {"method": "fx"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "guess"}, "trace.method: is 'guess'; choose one of sequential, fx"),
        ({"model": ""}, "trace.model"),
        ({"stages": "a,b", "method": "stages"}, "trace.stages: must be a list"),
        ({"stages": ["a"]}, "trace.stages: are names of submodules, of a model whose method is"),
        ({"stages": [], "method": "stages"}, "trace.stages"),
        ({"input_shape": [3, 0]}, r"trace.input_shape: is \[3, 0\]"),
        ({"input_shape": "3,32"}, "trace.input_shape"),
        ({"classes": 1.5}, "trace.classes: is 1.5"),
        ({"how": "well"}, "unknown key 'how'"),
    ],
)
def test_wrong_records_are_refused(changes, message):
    """Each wrong part is refused by its name."""
    with pytest.raises(InputError, match=message):
        TraceRecord.from_dict({"method": "fx", **changes})


def test_a_profile_has_a_record_or_none(tmp_path):
    """Files of before are read as they are; a record goes through a file."""
    old = load_profile("cnn-digits").to_dict()
    old.pop("trace", None)
    assert ModelProfile.from_dict(old, "old").trace is None
    new = old | {"trace": {"method": "fx", "model": "net.py:Net"}}
    profile = ModelProfile.from_dict(new, "new")
    profile.save(tmp_path / "new.json")
    assert ModelProfile.load(tmp_path / "new.json").trace == TraceRecord("fx", "net.py:Net")
    with pytest.raises(InputError, match=r"wrong: trace.method: is 'x'"):
        ModelProfile.from_dict(old | {"trace": {"method": "x"}}, "wrong")
