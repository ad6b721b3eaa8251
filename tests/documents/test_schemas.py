"""Documents are checked whole, and all their mistakes are told."""

from __future__ import annotations

from typing import Literal

import pytest

from splitopt.documents.schemas import Amount, Document, Name, Record, Share, validated
from splitopt.errors import InputError


class Part(Document):
    name: Name
    size: Amount
    share: Share | None = None


class Whole(Document):
    kind: Literal["a", "b"]
    parts: list[Part]
    more: dict[str, float | list[float]] | None = None


def refused(schema, data):
    with pytest.raises(InputError) as caught:
        validated(schema, data, "file.json")
    message = str(caught.value)
    assert message.startswith("file.json: ")
    return message.removeprefix("file.json: ")


def test_a_document_is_read():
    """Whole numbers are numbers."""
    part = {"name": "x", "size": 3}
    found = validated(Whole, {"kind": "a", "parts": [part]}, "file.json")
    assert found.parts[0].size == 3
    assert found.parts[0].share is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "3"}, "parts[0] (x).size: is '3'; it must be a number"),
        ({"size": True}, "parts[0] (x).size: is True; it must be a number"),
        ({"size": -1}, "parts[0] (x).size: is -1; it must be greater than or equal to 0"),
        ({"size": float("inf")}, "parts[0] (x).size: is inf; it must be a finite number"),
        ({"share": []}, "parts[0] (x).share: is []; it must be a number"),
        ({"weight": 1}, "parts[0] (x).weight: this field is unknown; there are name, size, share"),
        ({"name": 3}, "parts[0].name: is 3; it must be a text; write it in quotes"),
    ],
)
def test_a_mistake_has_its_place_its_value_and_its_mend(change, message):
    """One mistake, one sentence."""
    part = {"name": "x", "size": 3} | change
    assert refused(Whole, {"kind": "a", "parts": [part]}) == message


def test_a_control_character_in_a_name_is_refused():
    """The message shows it in a form that does nothing."""
    message = refused(Part, {"name": "a\x1b[2J", "size": 1})
    assert message.startswith("name: is 'a\\x1b[2J'; take out the control character")


def test_numbers_beyond_floats_are_refused_shortly():
    """A number of any length is shown in few characters."""
    message = refused(Part, {"name": "x", "size": 10**4000})
    assert message == "size: is a whole number of about 4001 digits; it must be a number"


def test_all_mistakes_are_told_up_to_eight():
    """Who mends a file wants to know all of it, but not a thousand times the same."""
    assert refused(Whole, {"kind": "c", "parts": [{"name": "x"}], "extra": 1}) == (
        "3 mistakes:\n"
        "  kind: is 'c'; it must be 'a' or 'b'\n"
        "  parts[0] (x).size: this field is missing\n"
        "  extra: this field is unknown; there are kind, parts, more"
    )
    message = refused(Whole, {"kind": "a", "parts": [{"name": "x"}] * 30})
    assert "parts[7] (x).size" in message
    assert message.endswith("\n  and 22 more")


def test_of_several_types_tried_one_is_told_at_the_place_of_the_value():
    """Names of types are no part of the place."""
    data = {"kind": "a", "parts": [], "more": {"odd key": "x"}}
    assert refused(Whole, data) == "more.'odd key': is 'x'; it must be a number"


def test_a_record_may_hold_more():
    """Fields that are not read are kept."""

    class Open(Record):
        size: float

    assert validated(Open, {"size": 1, "other": []}, "f").size == 1


@pytest.mark.parametrize("data", [None, 3, "text", [1]])
def test_what_is_no_object_is_refused(data):
    """The whole may be of another kind."""
    assert refused(Whole, data).endswith("it must be an object")
