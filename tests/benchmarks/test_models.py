"""The table of models: its rows are the families, and a package that is missing is a reason."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train

main = importlib.import_module("benchmarks.models.__main__")


def rows_of(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_the_committed_table_is_of_all_models():
    """Every model has its row, in the columns that the command prints."""
    head, _, *rows = rows_of((main.RESULTS / "models.md").read_text())
    assert head == main.HEAD
    assert [row[0].strip(" |") for row in rows] == [family.name for family in main.FAMILIES]


def test_what_cannot_be_imported_is_a_reason(tmp_path, capsys, monkeypatch):
    """The steps behind the one that failed are left out."""
    missing = main.FAMILIES[-1].__class__("gone", target="no_such_package:net", shape=(3, 8, 8))
    monkeypatch.setattr(main, "FAMILIES", (missing,))
    threads = torch.get_num_threads()
    try:
        assert main.main(["--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    assert "gone" in capsys.readouterr().out
    text = (tmp_path / "models.md").read_text()
    assert text.count("**no**") == 1
    assert "* gone, profile: 'no_such_package' cannot be imported (ModuleNotFoundError" in text
