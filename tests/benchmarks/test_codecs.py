"""The benchmark of codecs runs, and its bytes are those that a hand counts."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


@pytest.mark.slow
def test_a_small_run_writes_all_rows(tmp_path, capsys, monkeypatch):
    """Six devices with 160 samples of 128 values each, in ten batches of 16, both ways."""
    main = importlib.import_module("benchmarks.codecs.__main__")
    monkeypatch.setattr(main, "WAYS", (("none", "none"), ("int8", "fp16")))
    threads = torch.get_num_threads()
    try:
        assert main.main(["--seeds", "2", "--rounds", "1", "--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    printed = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    table = (tmp_path / "accuracy.md").read_text().splitlines()
    assert table[2].count("|") == len(main.HEAD) + 1
    assert [line.strip("| ").split(" | ") for line in table[-2:]] == printed
    values, batches = 6 * 160 * 128, 6 * 10
    sizes = (2 * 4 * values, values + 5 * batches + 2 * values)
    for row, size in zip(printed, sizes, strict=True):
        assert row[2] == f"{size / 1e3:.1f}"
        assert float(row[3]) == pytest.approx(8 * size / (2 * values), abs=0.005)
        low, high = map(float, row[-2:])
        assert low <= float(row[-3]) <= high
