"""The benchmark of fine-tuning runs; bytes and unigram model are those that a hand counts."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


@pytest.mark.slow  # it trains three networks
def test_a_small_run_writes_all_rows(tmp_path, capsys, monkeypatch):
    """A device has two blocks of a gpt of width 128, and embeddings of 256 bytes and 8 places."""
    main = importlib.import_module("benchmarks.finetune.__main__")
    ways = (main.Way("everything"), main.Way("adapters", 2, targets="qkv"))
    monkeypatch.setattr(main, "WAYS", ways)
    given = ["--length", "8", "--pretraining", "1", "--rounds", "1", "--share", "200"]
    assert main.main([*given, "--output", str(tmp_path)]) == 0
    _, *rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    table = (tmp_path / "perplexity.md").read_text().splitlines()
    assert [line.strip("| ").split(" | ") for line in table[-2:]] == rows
    block = sum(a * b + b for a, b in ((128, 384), (128, 128), (128, 512), (512, 128)))
    whole = 4 * (2 * (block + 4 * 128) + (256 + 8) * 128)
    assert rows[0][3] == f"{3 * whole / 1e3:.1f}"
    assert rows[1][3] == f"{3 * 2 * 4 * 2 * (128 + 384) / 1e3:.1f}"
    assert float(rows[1][5]) == pytest.approx((whole + 2 * 4 * 2 * (128 + 384)) / 1e3, abs=0.06)


def test_a_unigram_model_by_hand():
    """Of two symbols counted from 1: 3 of 4 and 1 of 4; perplexity of one of each."""
    main = importlib.import_module("benchmarks.finetune.__main__")
    found = main.unigram(torch.tensor([[0, 0]]), torch.tensor([[0, 1]]), 2)
    assert found == pytest.approx((3 / 4 * 1 / 4) ** -0.5)
