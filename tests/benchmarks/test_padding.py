"""The benchmark of padding runs, and shorter batches send less."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


@pytest.mark.slow
def test_a_small_run_writes_its_row(tmp_path, capsys, monkeypatch):
    main = importlib.import_module("benchmarks.padding.__main__")
    monkeypatch.setattr(main, "MOST", 40)
    monkeypatch.setattr(main, "SAMPLES", 20)
    monkeypatch.setattr(main, "WIDTH", 8)
    threads = torch.get_num_threads()
    try:
        arguments = ["--batches", "2", "--rounds", "1", "--output", str(tmp_path)]
        assert main.main(arguments) == 0
    finally:
        torch.set_num_threads(threads)
    assert capsys.readouterr().out.startswith("2  ")
    last = (tmp_path / "padding.md").read_text().splitlines()[-1]
    _, _, _, ratio, far = last.strip("| ").split(" | ")
    assert 0 < float(ratio) < 1
    assert float(far) < 1e-5
