"""The benchmark of leakage runs, and writes tables that can be read back."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.privacy.leakage.table import LeakageTable

pytestmark = pytest.mark.train


@pytest.mark.slow  # every attack at every cut
def test_a_small_run_writes_all_cuts(tmp_path, capsys):
    main = importlib.import_module("benchmarks.leakage.__main__")
    given = ["--networks", "cnn-digits", "--epochs", "1", "--samples", "2", "--steps", "1"]
    assert main.main([*given, "--output", str(tmp_path)]) == 0
    printed = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    written = (tmp_path / "leakage.md").read_text().splitlines()
    assert [line.strip("| ").split(" | ") for line in written[-6:]] == printed[1:]
    table = LeakageTable.load(tmp_path / "cnn-digits.json")
    assert [row[2] for row in printed[1:-1]] == list(table.layers[:-1])
    assert printed[-1][2] == "the mean image"
