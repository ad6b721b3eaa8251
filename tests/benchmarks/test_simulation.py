"""The committed table of model errors is current, and says what the page says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Give the function that loads a module of the benchmark, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.simulation.{name}")


def test_committed_errors_are_current_and_as_the_page_says(part):
    """Closed form: good above 2 and below 0.25; Eq. 4: bad at low load."""
    main, errors = part("__main__"), part("errors")
    points = errors.measure(main.SYSTEMS, main.SEED)
    committed = (main.RESULTS / "errors.md").read_text()
    for row in errors.table(points):
        assert "| " + " | ".join(row) + " |" in committed

    def mean(model, low, high):
        chosen = [abs(p.errors[model]) for p in points if low <= p.load < high]
        return sum(chosen) / len(chosen)

    assert mean(2, 2.0, 99) < 0.01
    assert mean(2, 0.0, 0.25) < 0.01
    assert mean(2, 0.5, 1.2) > mean(2, 2.0, 99)
    assert mean(0, 0.0, 0.25) > 0.5
    assert mean(1, 2.0, 99) > 5 * mean(2, 2.0, 99)
