"""SplitFed's figures in miniature: epsilon against a limit theorem, and a small run."""

from __future__ import annotations

import importlib
import math

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

pytestmark = pytest.mark.train


@pytest.mark.slow
def test_accounts_hold_a_bound_that_is_no_accountants():
    """A lower bound of one step, and that sigma for an epsilon gives this epsilon back."""
    noise = importlib.import_module("benchmarks.papers.splitfed.noise")
    table = noise.accounts()
    rows, note = table.rows, table.note
    assert [row[0] for row in rows] == ["1,024", "256", "64"]
    assert [row[1] for row in rows] == ["3,000", "11,750", "47,000"]
    assert f"sigma {math.sqrt(2 * math.log(125_000)) / 0.5:.2f}" in note
    for batch, row in zip((1024, 256, 64), rows, strict=True):
        rate, steps = batch / 12_000, 250 * math.ceil(12_000 / batch)
        # Composition cannot cost less than a central limit: mu = q sqrt(steps (e^(1/sigma^2) - 1))
        # (Bu et al. 2020), whose epsilon at this delta is about mu^2 / 2 + mu sqrt(2 ln(1/delta)).
        mu = rate * math.sqrt(steps * (math.exp(1 / 1.3**2) - 1))
        about = mu**2 / 2 + mu * math.sqrt(2 * math.log(1e5))
        assert 0.6 * about < float(row[2]) < 1.5 * about
        back = noise.epsilon_of(float(row[3]), rate, steps, 1e-5)
        assert back == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_a_quick_run_writes_every_table(tmp_path, capsys):
    main = importlib.import_module("benchmarks.papers.splitfed.__main__")
    assert main.main([str(tmp_path), "--quick"]) == 0
    printed = capsys.readouterr().out
    for name, rows in (("figure-5-accounts", 3), ("figure-5", 4), ("figures-2-to-4", 7)):
        text = (tmp_path / f"{name}.md").read_text()
        assert text in printed
        assert len([line for line in text.splitlines() if line.startswith("| ")]) == rows + 2
    table = (tmp_path / "figures-2-to-4.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in table if line.startswith("| iid")]
    by_scheme = {cell[0]: cell[1] for cell in cells}
    assert by_scheme["iid, FL"] == by_scheme["iid, SFLV1"]  # they are one algorithm
