"""IoTSL's trainings in miniature: which cells there are, and tables of outcomes by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.papers.iotsl.replay import cells, run, tables


def outcome(cell):
    """Return an outcome that says which cell it is of."""
    return {
        "tuned": [0.5, 0.9, 0.8],
        "plain": [0.1, 0.2 + cell.seed / 100, 0.1],
        "pretrained": 0.6,
        "epsilon": None if cell.sigma is None else 123.0,
        "counts": [[1, 0], [2, 3]],
        "transfers": 2,
        "bytes": 10,
    }


def test_every_part_has_its_cells():
    size = replace(tables.FULL, seeds=3)
    assert len(tables.imputation(size)) == 2 * 4 * 3
    assert len(tables.pretraining(size)) == 2 * 2 * 3
    assert len(tables.random_shares(size)) == 2 * 3
    assert len(tables.colour(size)) == 3
    every = [cell for make, _ in tables.PARTS.values() for cell in make(size)]
    assert len({cell.key for cell in every}) == len(every)


def test_tables_say_what_outcomes_are(monkeypatch, tmp_path):
    """Highest and last accuracies, turns of five devices to a target, and what was printed."""
    monkeypatch.setattr(
        run, "outcomes", lambda wanted, kept, workers: ((cell, outcome(cell)) for cell in wanted)
    )
    size = replace(tables.FULL, data=("fashion-mnist",), seeds=2)
    found = {t.name: t for t in run.replayed(list(tables.PARTS), size, tmp_path / "k.json", 1)}
    row = found["figure-12"].rows[1]
    assert row[0] == "fashion-mnist, 4 classes"
    assert row[1:] == ["20.5 ± 0.7", 45.99, "10.0 ± 0.0", "90.0 ± 0.0", 82.0]
    noisy = found["figures-9-10-13"].rows[1]
    assert noisy[1:6] == ["123", "60.0 ± 0.0", 78.48, "never, never", "10, 10"]
    assert found["figure-14"].rows[0][1:4] == ["1", pytest.approx(30.0), pytest.approx(10.0)]
    assert [row[0] for row in found["figure-15-stand-in"].rows] == [
        "random", "3 of 8 classes", "all classes",
    ]  # fmt: skip


def test_what_is_kept_is_not_trained_again(tmp_path, monkeypatch):
    cell = cells.Cell("mnist", "blocks:2", 0)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({cell.key: {"tuned": [1.0]}}))
    monkeypatch.setattr(cells, "outcome", None)
    assert list(cells.outcomes([cell], kept, 1)) == [(cell, {"tuned": [1.0]})]


@pytest.mark.slow
@pytest.mark.train
def test_a_cell_is_trained():
    """Of digits, which come with scikit-learn: accuracies of every round, and bytes."""
    cell = cells.Cell(
        "digits", "blocks:10", 0, per_class=20, tested=10, steps=2, rounds=1, pretrain_epochs=1
    )
    found = cells.outcome(cell)
    assert len(found["tuned"]) == len(found["plain"]) == 1
    assert 0 <= found["pretrained"] <= 1
    assert found["transfers"] == 0  # every device has every class
    assert found["bytes"] > 5 * 12 * 10
