"""The benchmark of secure aggregation runs, and its bytes are those of the formula."""

from __future__ import annotations

import csv
import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

from splitopt.secure_sum.protocol import sum_bytes  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.slow
def test_a_small_run_writes_its_rows(tmp_path, capsys):
    main = importlib.import_module("benchmarks.secure_aggregation.__main__")
    threads = torch.get_num_threads()
    try:
        assert main.main(["--clients", "5", "--pairs", "1", "--output", str(tmp_path)]) == 0
    finally:
        torch.set_num_threads(threads)
    assert capsys.readouterr().out.count("clients 5") == 2
    whole, fewer = csv.DictReader((tmp_path / "rounds.csv").read_text().splitlines())
    planned = sum_bytes(5, 61_706)
    assert float(whole["masked_mb"]) * 1e6 == planned.masked
    assert float(whole["control_kb"]) * 1e3 == pytest.approx(sum(planned) - planned.masked)
    assert float(whole["masked_mb"]) == 2 * float(whole["plain_mb"])
    assert float(fewer["masked_mb"]) * 1e6 == planned.masked * 4 / 5
