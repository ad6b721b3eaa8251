"""Texts that a spreadsheet would take for formulas.

A device may be called ``=1+2``. A program that opens a CSV file calculates what begins so, and may
run what it names (OWASP, "CSV Injection"); an apostrophe before it makes it a text.
"""

from __future__ import annotations

SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula begins with, for one program or another."""
MARK = "'"


def harmless(text: str) -> str:
    """Return a text with an apostrophe before it, if a spreadsheet would calculate it.

    One that begins with an apostrophe gets another, so that `as_given` is its inverse.
    """
    return MARK + text if text.startswith((*SIGNS, MARK)) else text


def as_given(text: str) -> str:
    """Return the text that `harmless` was given."""
    return text.removeprefix(MARK)
