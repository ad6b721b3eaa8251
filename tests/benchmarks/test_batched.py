"""The benchmark of clients side by side runs, and both ways learn the same."""

from __future__ import annotations

import importlib
import itertools
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


@pytest.mark.slow
def test_a_small_run_writes_all_rows(tmp_path, capsys, monkeypatch):
    """On a clock that is read before and after a round: 3 s one by one, then 2 s side by side."""
    main = importlib.import_module("benchmarks.batched.__main__")
    clock = itertools.accumulate(itertools.cycle([0.0, 3.0, 0.0, 2.0]))
    monkeypatch.setattr(main, "time", SimpleNamespace(perf_counter=clock.__next__))
    threads = torch.get_num_threads()
    try:
        assert main.main(["--clients", "2", "--rounds", "1", "--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(main.networks())
    table = (tmp_path / "speed-cpu.md").read_text().splitlines()[-len(printed) :]
    for line, network in zip(table, main.networks(), strict=True):
        *told, far = line.strip("| ").split(" | ")
        assert told == [network, "2", "3.000", "2.000", "1.5"]
        assert float(far) < 1e-5
