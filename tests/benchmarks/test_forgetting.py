"""The command that measures forgetting, on digits alone and for a moment."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = [pytest.mark.train, pytest.mark.slow]


def test_it_writes_its_tables_and_trains_nothing_twice(tmp_path, monkeypatch, capsys):
    """In the form of the committed ones; a second call finds all runs."""
    main = importlib.import_module("benchmarks.forgetting.__main__")
    settings = importlib.import_module("benchmarks.forgetting.settings")
    some = [
        replace(own, data="digits", per_class=50, samples=own.devices * 10)
        for own in (*settings.FIGURE_5[2:], settings.FIGURE_12[4], settings.COMPARED[0])
    ]
    some[2] = replace(some[2], samples=20)
    some[3] = replace(some[3], samples=20, cases=settings.SOME)
    monkeypatch.setattr(main, "SETTINGS", some)
    threads = torch.get_num_threads()
    try:
        assert main.main([str(tmp_path), "--quick"]) == 0
        trained = capsys.readouterr().err.splitlines()
        assert main.main([str(tmp_path), "--quick"]) == 0
        assert capsys.readouterr().err == ""
    finally:
        torch.set_num_threads(threads)
    assert len(trained) == 3 + len(settings.SOME)
    for name in ("figure-5", "figure-12", "baselines", "claims"):
        made, shown = (
            next(
                line for line in (place / f"{name}.md").read_text().splitlines() if line[:1] == "|"
            )
            for place in (tmp_path, main.RESULTS)
        )
        assert made == shown
    assert (tmp_path / "figure-12.svg").read_text().startswith("<svg")


def test_quick_runs_replace_no_committed_results():
    """They need a folder."""
    main = importlib.import_module("benchmarks.forgetting.__main__")
    with pytest.raises(SystemExit):
        main.main(["--quick"])
