"""What rows say of the machine that they were made on."""

from __future__ import annotations

from types import SimpleNamespace

from splitopt.bench.reporting.summary import machines


def test_names_in_a_row_are_no_templates():
    """A file of rows says what it likes, and none of it is filled in or looked up."""
    row = SimpleNamespace(machine={"cores": 2, "{0.__class__} {x}": "{1}", "python": None})
    assert machines([row]) == ("2 cores, {0.__class__} {x} {1}",)
