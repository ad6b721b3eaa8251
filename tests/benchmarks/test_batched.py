"""The benchmark of clients side by side runs, and both ways learn the same."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


def test_a_small_run_writes_all_rows(tmp_path, capsys):
    main = importlib.import_module("benchmarks.batched.__main__")
    threads = torch.get_num_threads()
    try:
        assert main.main(["--clients", "2", "--rounds", "1", "--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(main.networks())
    table = (tmp_path / "speed-cpu.md").read_text().splitlines()[-len(printed) :]
    for line in table:
        _, clients, alone, together, ratio, far = line.strip("| ").split(" | ")
        assert clients == "2"
        assert (
            min(float(alone), float(together), float(ratio)) >= 0
        )  # a stalled host may round to 0
        assert float(far) < 1e-5
