"""YAML is read as version 1.2 has it, within bounds, and every value is found by its line."""

from __future__ import annotations

import math
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from splitopt.documents.yaml_text import parse_yaml, read_yaml, write_yaml
from splitopt.errors import InputError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "is not YAML"),
        ("a: 1\na: 2", "stands twice"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("a: \t- b", "is not YAML"),
        ("a: " + "9" * 5000, "cannot be read"),
        ("[" * 100_000, "nested too deeply"),
        ("a: &a [1, *a]", "line 1 contains itself"),
        ("a: 1\nb: \0", r"line 2: the character U\+0000 is not allowed"),
        ("a: 1\n--- \nb: 2", "is not YAML"),
        ("!!bool maybe", "neither true nor false"),
        ("a: *unknown", "is not YAML"),
    ],
)
def test_yaml_is_strict_and_runs_nothing(text, words):
    """Broken YAML, repeated keys and tags that would build objects are refused."""
    with pytest.raises(InputError, match=words):
        parse_yaml(text, "file.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000.0),
        ("-2.5E-3", -0.0025),
        (".5", 0.5),
        ("12", 12),
        ("+7", 7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0", 0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        # What version 1.1 takes for numbers, truth values and dates:
        ("0100", "0100"),
        ("1:40", "1:40"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("2024-01-31", "2024-01-31"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_version_1_2(text, value):
    """The core schema of YAML 1.2, worked out by hand."""
    found = parse_yaml(f"a: {text}", "file.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "place", ["format: *a8", "note: *a8", "*a8 : 1", "devices: *a8", "x: {<<: *a8}"]
)
def test_a_kilobyte_of_aliases_ends_in_a_sentence(place):
    """Ten aliases of ten aliases, eight times: 10^9 values, of which none is built."""
    rungs = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rungs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    start = time.process_time()
    with pytest.raises(InputError, match="aliases") as caught:
        parse_yaml("\n".join([*rungs, place]), "bomb.yaml")
    assert time.process_time() - start < 1.0
    assert len(str(caught.value)) < 300


def test_aliases_and_merges_that_save_typing_are_read():
    """An alias of one part, and a part that overrides another, as people write them."""
    text = "base: &b {compute: 1, samples: 2}\none: *b\nother: {<<: *b, samples: 3}"
    found = parse_yaml(text, "file.yaml")
    assert found["one"] == {"compute": 1, "samples": 2}
    assert found["other"] == {"compute": 1, "samples": 3}


def test_every_value_is_found_by_its_line():
    """Keys, entries of lists in both styles, and merged keys."""
    text = "a: 1\nb:\n  - {x: 1,\n     y: 2}\n  - x: &k\n      z: 1\nc:\n  <<: *k\n  w: 0\n"
    read = read_yaml(text, "file.yaml")
    lines = {
        ("a",): 1,
        ("b", 0): 3,
        ("b", 0, "y"): 4,
        ("b", 1, "x", "z"): 6,
        ("c", "z"): 6,
        ("c", "w"): 9,
        ("b", 7, "x"): 2,
        ("none",): None,
        ("a", "inside"): 1,
    }
    assert {path: read.line(path) for path in lines} == lines


def test_json_is_read_as_json():
    """Tabs between tokens and pairs of surrogates, which readers of YAML refuse or take apart."""
    text = '{\n\t"name":\t"\\ud83d\\ude00",\n\t"list": [1e3,\n\t\t0.5]\n}'
    read = read_yaml(text, "file.json")
    assert read.document == {"name": "\U0001f600", "list": [1000.0, 0.5]}
    assert (read.line(("name",)), read.line(("list", 1))) == (2, 4)
    with pytest.raises(InputError, match=r"'a' stands twice \(line 2\)"):
        read_yaml('{"a": 1,\n "a": 2}', "file.json")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff")
    )
    | st.sampled_from(["0100", "1e3", "1E5", "yes", "No", "0o17", "1:40", "1_000", ".5e1", "<<"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abyn0e1", min_size=1), inner),
    max_leaves=10,
)


@pytest.mark.slow
@given(plain)
def test_what_is_written_reads_the_same_in_both_versions(document):
    """No text becomes a number and no number a text, here or in a reader of YAML 1.1."""
    text = write_yaml(document)
    assert parse_yaml(text, "file.yaml") == document
    assert yaml.safe_load(text) == document
