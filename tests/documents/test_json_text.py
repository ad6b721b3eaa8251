"""JSON is read strictly: what is not what it claims to be is refused."""

from __future__ import annotations

import pytest

from splitopt.documents import json_text, reading
from splitopt.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "beyond all floating-point numbers"),
        ('{"a": 1' + "0" * 400 + "}", "beyond all floating-point numbers"),
        ('{"a": -1' + "0" * 309 + "}", "beyond all floating-point numbers"),
        ('{"a": [1e999]}', "1e999' is beyond"),
        ('{"a": -1e309}', "-1e309' is beyond"),
    ],
)
def test_json_is_strict(text, words):
    """Broken, ambiguous or unbounded JSON is refused in one sentence."""
    with pytest.raises(InputError, match=words):
        json_text.parse_json(text, "file.json")


def test_json_reads_all_numbers_that_floats_reach():
    """Whole numbers stay exact, up to the largest float."""
    text = f"[{10**308}, 1e308, 2.5, -{2**70}, 1e-999]"
    assert json_text.parse_json(text, "file.json") == [10**308, 1e308, 2.5, -(2**70), 0.0]


def test_a_repeated_key_is_found_quickly():
    """The message does not compare every key with every other."""
    keys = ", ".join(f'"{index}": 1' for index in [*range(20_000), 19_999])
    with pytest.raises(InputError, match="19999' stands twice"):
        json_text.parse_json(f"{{{keys}}}", "file.json")


def test_missing_and_unreadable_files(tmp_path):
    """A path that cannot be read says why."""
    with pytest.raises(InputError, match="no such file"):
        reading.read_text(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="is a folder"):
        reading.read_text(tmp_path)
    (tmp_path / "binary").write_bytes(b"a\nb\xff")
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 0xff in line 2\)"):
        reading.read_text(tmp_path / "binary")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "must be an object"),
        ({"format": "other", "version": 1}, "format is 'other'"),
        ({"format": "mine", "version": 2}, "version is 2"),
        ({"format": "mine", "version": True}, "version is True"),
        ({"format": "mine"}, "version is None"),
    ],
)
def test_format_and_version_are_checked(document, words):
    """A document of another format or version is refused."""
    with pytest.raises(InputError, match=words):
        json_text.expect_format(document, "file", "mine", 1)
