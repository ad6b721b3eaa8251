"""The committed table of model errors is current, and says what the page says."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the benchmark, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.simulation.{name}")


@pytest.mark.slow
@pytest.mark.parametrize("harsh", [False, True], ids=["alike", "harsh"])
def test_committed_errors_are_current_and_as_the_page_says(part, harsh):
    """Closed form: good above 2 and below 0.5; Eq. 4: bad at low load and where links bind."""
    main, errors = part("__main__"), part("errors")
    points = errors.measure(harsh, main.SYSTEMS, main.SEED)
    committed = (main.RESULTS / f"errors-{'harsh' if harsh else 'alike'}.md").read_text()
    for row in errors.table(points):
        assert "| " + " | ".join(row) + " |" in committed

    def mean(model, low, high):
        chosen = [abs(p.errors[model]) for p in points if low <= p.load < high]
        return sum(chosen) / len(chosen)

    assert mean(2, 2.0, 99) < 0.01
    assert mean(2, 0.0, 0.5) < 0.01
    assert mean(2, 0.5, 1.2) > 3 * mean(2, 2.0, 99)
    assert mean(0, 0.0, 0.5) > 0.5
    if harsh:
        assert mean(1, 2.0, 99) > 5 * mean(2, 2.0, 99)
        assert mean(0, 2.0, 99) > 5 * mean(2, 2.0, 99)
    else:
        assert mean(0, 1.2, 99) < 0.03
