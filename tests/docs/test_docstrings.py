"""Docstrings begin with a plain verb of the field, as CONTRIBUTING says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTEAD = {
    "Take": "Receive, Read, Load or Remove",
    "Give": "Return, Compute or Send",
    "Say": "Report or State",
    "Tell": "Send, Report or Record",
    "Ask": "Request or Read",
    "Hand": "Pass, Send or Return",
    "Refuse": "Reject or Raise",
    "Let": "Have or Allow",
    "Be": "Run",
    "Make sure": "Check",
}
"""What a docstring does not begin with, and what to write in its place."""
OTHERWISE = re.compile(rf':\n +"""({"|".join(INSTEAD)})s?\b')
"""Such a docstring, which follows the colon of its function or class."""


@pytest.mark.parametrize("words", [*INSTEAD, "Gives", "Says"])
def test_other_words_are_found(words):
    """The check sees what it is for."""
    assert OTHERWISE.search(f'def f(a: int) -> int:\n    """{words} the cut."""\n')


@pytest.mark.parametrize("words", ["Return", "Report", "Make", "Beside", "Handle", "Task"])
def test_plain_verbs_pass(words):
    """It sees nothing else."""
    assert not OTHERWISE.search(f'def f(\n    a: int,\n) -> int:\n    """{words} a cut."""\n')


@pytest.mark.parametrize("room", ["splitopt", "benchmarks", "tests"])
def test_docstrings_begin_with_a_plain_verb(room):
    """No function or class of the tree says what it does in other words."""
    paths = sorted((ROOT / room).rglob("*.py"))
    assert len(paths) > 10
    wrong = [
        f"{path.relative_to(ROOT)}: {found} -> {INSTEAD[found]}"
        for path in paths
        for found in OTHERWISE.findall(path.read_text())
    ]
    assert wrong == []
