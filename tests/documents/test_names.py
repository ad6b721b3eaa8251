"""Names hold nothing that steers a terminal."""

from __future__ import annotations

import re

import pytest

from splitopt.documents.names import NAME, clean_name, clean_note
from splitopt.errors import InputError

BAD = [
    "\x00",
    "\x07",
    "\x1b",
    "\r",
    "\n",
    "\t",
    "\x7f",
    "\x9b",
    "\u2028",
    "\u202e",
    "\u2066",
    "\ufffe",
]


@pytest.mark.parametrize("sign", BAD)
def test_a_name_has_no_character_that_steers(sign):
    """The pattern and the function refuse the same characters."""
    with pytest.raises(InputError, match=r"^devices\[0\].name: is .*control character"):
        clean_name(f"a{sign}b", "devices[0].name")
    assert not re.match(NAME, f"a{sign}b")


def test_half_a_pair_is_no_character():
    """JSON may hold a lone surrogate, which no file takes."""
    with pytest.raises(InputError, match="control character"):
        clean_name("a\ud800", "name")


@pytest.mark.parametrize("name", ["pi 5", "größe", "設備", "שלום", "a", "é", "<b>&\"'", "👩🏽‍💻"])
def test_names_of_all_languages_pass(name):
    """Letters, marks, joiners and signs are no controls."""
    assert clean_name(name, "name") == name
    assert re.match(NAME, name)


def test_the_pattern_refuses_blanks_at_the_ends():
    """A name is what is seen of it."""
    for name in ("", " a", "a ", " "):
        assert not re.match(NAME, name)


def test_a_note_may_have_lines():
    """A note differs from a name in lines and tabs, not in escapes."""
    assert clean_note("a\n\tb", "note") == "a\n\tb"
    with pytest.raises(InputError, match="control character"):
        clean_note("a\x1b[2J", "note")


def test_pydantic_takes_the_pattern():
    """The regular expressions of pydantic are of another library."""
    from pydantic import BaseModel, Field, ValidationError

    class Named(BaseModel):
        name: str = Field(pattern=NAME)

    assert Named(name="größe 1").name == "größe 1"
    for sign in BAD:
        with pytest.raises(ValidationError):
            Named(name=f"a{sign}b")
