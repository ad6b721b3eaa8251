"""The benchmark of generators runs, and writes tables with a row for each training."""

from __future__ import annotations

import csv
import importlib

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

pytestmark = pytest.mark.train


@pytest.fixture
def main():
    return importlib.import_module("benchmarks.generators.__main__")


@pytest.mark.slow  # seven trainings, and classifiers for each
def test_a_small_run_writes_all_trainings(main, tmp_path, capsys):
    """Epsilon stands where there is noise alone, and membership everywhere."""
    assert main.main(["--quick", "--steps", "2", "--output", str(tmp_path)]) == 0
    assert "trained on generated" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "quality.csv").read_text().splitlines()))
    wanted = ["no", "no", "batch", "sample", "value", "sample", "sample"]
    assert [row["reading"] for row in rows] == wanted
    assert all(bool(row["epsilon"]) == (row["reading"] != "no") for row in rows)
    assert all(0 <= float(row["auc_by_distance"]) <= 1 for row in rows)
    assert float(rows[-1]["epsilon"]) == pytest.approx(10, rel=1e-3)


def test_noise_for_an_epsilon(main):
    """The noise of the last training, by the account of its options."""
    from dataclasses import replace

    from splitopt.generators import GeneratorOptions, NetworkSpec, Sanitizing, account_of

    base = GeneratorOptions(steps=1000)
    own = replace(base, sanitize=Sanitizing("sample", 1.0, main.noise_for(10.0, base)))
    assert account_of(NetworkSpec("small", (1, 8, 8), 10), own).epsilon == pytest.approx(10)
