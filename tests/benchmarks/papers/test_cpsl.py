"""The reproduction of CPSL: committed results are current, and anchored outside the code."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the reproduction, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.papers.cpsl.{name}")


@pytest.mark.slow
def test_committed_tables_are_current(part):
    """The tables that need no search are today what is committed."""
    results = part("__main__").RESULTS
    headline, clustering, cuts = part("headline"), part("clustering"), part("cuts")
    tables = (headline.headline_table, headline.cluster_size_table, clustering.greedy_table)
    for make in (*tables, cuts.figure_1):
        table = make()
        assert table.markdown() == (results / f"{table.name}.md").read_text(), table.name
        assert table.csv() == (results / f"{table.name}.csv").read_text(), table.name


def test_every_table_is_committed(part):
    """All tables of the command are there, as Markdown and as CSV."""
    names = {path.name for path in part("__main__").RESULTS.iterdir()}
    figures = ("figure-1", "figure-6", "figure-7", "figure-8", "figure-8a")
    for stem in ("headline", "greedy-trap", "delta", *figures):
        assert {f"{stem}.md", f"{stem}.csv"} <= names
    assert {"figure-7.svg", "figure-8.svg", "figure-8a.svg"} <= names


def test_the_readings_by_hand(part):
    """Rounds that were worked from the paper's equations by other means, to their digits."""
    headline = part("headline")
    rounds = [
        (headline.round_s(r, 5), headline.round_s(r, 1), headline.federated_s(r))
        for r in headline.readings()
    ]
    known = [(4.57, 13.92, 29.88), (3.783, 13.895, 29.88), None, (3.891, 14.228, 33.453)]
    for found, wanted in zip(rounds, known, strict=False):
        if wanted is not None:
            assert found == pytest.approx(wanted, abs=0.005)


@pytest.mark.slow
def test_figure_8_is_the_reverse_of_the_paper(part):
    """On every population grouping by capability beats random clusters, and gains are small."""
    clustering = part("clustering")
    for seed in range(3):
        problem = clustering.instance(seed, 30)
        against_similar, against_random, *_ = clustering._gains(problem, seed)
        assert 0 <= against_similar < against_random < 40


def test_rounds_vary_as_stated(part):
    """Speeds and signals of a population spread by 0.05 GHz and 2 dB, no speed is below the floor.

    What is cut off below the floor lifts the mean of slow devices, so that only fast ones are
    compared with theirs.
    """
    drawn = list(part("rounds").rounds(400, 1))
    mean, signal = part("cells").population(0)
    compute = np.array([one.compute for one in drawn])
    fast = mean > 0.3e9
    assert compute.min() >= 0.05e9
    assert compute[:, fast].std(axis=0) == pytest.approx(np.full(fast.sum(), 0.05e9), rel=0.15)
    assert compute[:, fast].mean(axis=0) == pytest.approx(mean[fast], abs=5 * 0.05e9 / 20)
    snr = np.array([one.snr_db for one in drawn])
    assert snr.std(axis=0) == pytest.approx(np.full(30, 2.0), rel=0.15)
    assert snr.mean(axis=0) == pytest.approx(signal, abs=5 * 2 / 20)


def test_a_round_belongs_to_its_population(part):
    """Rounds are dealt out over populations, and more rounds never change earlier ones."""
    rounds = part("rounds").rounds
    few, many = list(rounds(4, 2)), list(rounds(9, 2))
    for one, other in zip(few, many, strict=False):
        assert np.array_equal(one.compute, other.compute)
    signal = part("cells").population(1)[1]
    assert abs(few[1].snr_db - signal).max() < 10


def test_traffic_of_figure_1_by_hand(part):
    """POOL1 in the valid network: two convolutions of 32 channels and sixteen 12 x 12 x 32 maps."""
    model = 4 * (32 * 9 + 32 + 32 * 32 * 9 + 32)
    sent = (model + 16 * 4 * 12 * 12 * 32) / 2**20
    table = part("cuts").figure_1()
    row = next(row for row in table.rows if row[0] == "`cpsl-lenet-valid`, POOL1")
    assert row[1] == pytest.approx(sent)
