"""The command that measures NoPeek, U-shaped splits and noise layers."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = [pytest.mark.train, pytest.mark.slow]


def test_it_writes_its_tables(tmp_path, monkeypatch):
    """With one round and one seed, in the form of the tables that the documentation shows."""
    main = importlib.import_module("benchmarks.defences.__main__")
    monkeypatch.setattr(main, "WEIGHTS", (0.0, 1.0))
    monkeypatch.setattr(main, "NOISE", (("laplace", 0.1, "normalise"),))
    flags = ("--rounds", "1", "--seeds", "1", "--steps", "2", "--noisy-rounds", "1")
    threads = torch.get_num_threads()
    try:
        assert main.main([*flags, "--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    tables = (("nopeek", main.NOPEEK, 2), ("labels", main.LABELS, 5), ("pixel", main.PIXEL, 3))
    for name, head, rows in tables:
        made = (tmp_path / f"{name}.md").read_text().splitlines()
        shown = (main.RESULTS / f"{name}.md").read_text().splitlines()
        table = [line for line in made if line.startswith("|")]
        assert table[0] == next(line for line in shown if line.startswith("|"))
        assert [cell.strip() for cell in table[0].strip("|").split("|")] == head
        assert len(table) == 2 + rows
