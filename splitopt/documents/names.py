"""What a name or a note may hold: nothing that steers a terminal or turns its text around."""

from __future__ import annotations

import re

from splitopt.errors import InputError, shown

STEERING = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufffe\uffff"
"""Characters that no name has, as the inside of a class of a regular expression.

Controls (C0, DEL, C1), separators of lines and paragraphs, overrides of the direction of writing,
and what XML does not know.
"""
NAME = rf"^[^\s{STEERING}]([^{STEERING}]*[^\s{STEERING}])?$"
"""Pattern of a name: no blank at its ends, nothing that steers; for pydantic, JSON Schema, `re`."""
_SURROGATES = r"\ud800-\udfff"  # JSON may hold halves of pairs, which no file and terminal takes
_STEERING = re.compile(f"[{STEERING}{_SURROGATES}]")
_STEERING_IN_NOTES = re.compile(_STEERING.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))


def clean_name(name: str, place: str) -> str:
    """Return a name as it is; raise `InputError` if it holds a character that steers a terminal.

    Parameters
    ----------
    name
        What is shown to people: the name of a device, a node, a layer, a cut, a profile.
    place
        Where it stands, for the message, such as ``devices[0].name``.
    """
    return _without(_STEERING, name, place)


def clean_note(note: str, place: str) -> str:
    """Return a note as it is, which unlike a name may have several lines and tabs."""
    return _without(_STEERING_IN_NOTES, note, place)


def _without(steering: re.Pattern[str], text: str, place: str) -> str:
    if found := steering.search(text):
        raise InputError.at(
            place,
            f"is {shown(text)}; take out the control character {found[0]!a} "
            "(such characters steer a terminal)",
        )
    return text
