"""The counts and timings of pairings: tables of small cases, and results that meet the goals."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pairing():
    """Yield the module, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.pairing.__main__")


def test_tables_have_a_row_for_every_case(pairing, monkeypatch):
    """Small cases run through all solvers."""
    monkeypatch.setattr(pairing, "DRAWS", 2)
    for name in ("PLAIN", "CAPPED", "OPTIONS"):
        monkeypatch.setattr(pairing, name, ((8, 6),))
    assert len(pairing.answers_table().rows) == 4
    assert [row[1] for row in pairing.plain_table().rows] == ["optimal"] * 3
    assert [row[1] for row in pairing.capped_table().rows] == ["optimal"] * 6
    assert [row[1] for row in pairing.options_table().rows] == ["optimal"] * 3


def test_algorithm_2_fails_as_often_as_counting_says(pairing):
    """With two of ten classes nobody has all others; with eight, all four fail with (17/45)^4."""
    lines = (pairing.RESULTS / "answers.csv").read_text().splitlines()[1:]
    shares = {line.split(",")[0]: float(line.split(",")[1]) for line in lines}
    assert shares["2"] == 100.0
    assert shares["8"] == pytest.approx(100 * (1 - 28 / 45) ** 4, abs=1.0)


def test_committed_results_are_proved(pairing):
    for name in ("plain", "capped", "options"):
        lines = (pairing.RESULTS / f"{name}.csv").read_text().splitlines()[1:]
        assert all(",optimal," in line for line in lines)
