"""The committed costs of ignored transfers are current, and the speed cases are what they say."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from splitopt import solve

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the benchmark, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.links.{name}")


@pytest.mark.slow
def test_committed_costs_are_current(part):
    """All rows; no plan that ignores links beats the best one, and some are far off."""
    ignoring, main = part("ignoring"), part("__main__")
    rows = ignoring.table()
    assert (main.RESULTS / "ignoring.md").read_text() == main.markdown(rows, ignoring.NOTE)
    ratios = [float(value) for row in rows[1:] for cell in row[2:] for value in cell.split(" to ")]
    assert min(ratios) >= 1
    assert max(ratios) > 10


def test_ratios_follow_from_enumeration(part):
    """A row of VGG-19, by trying every partition of 21 layers on four nodes."""
    ignoring = part("ignoring")
    linked = ignoring.problem("VGG-19, VMs", ("uniform", "full"), 40e6)
    assert linked.layers == 21
    best = solve(linked, "enumerate")
    free = linked.from_data({k: v for k, v in linked.data().items() if k != "links"}, "period")
    blind = solve(free, "enumerate")
    plans = ignoring.blind_plans(linked)
    for plan in plans:
        assert free.evaluate(plan) == pytest.approx(blind.objective, rel=1e-9)
    seen = linked.evaluate(blind.decision) / best.objective
    low, high = ignoring.ratios(linked)
    assert low * (1 - 1e-9) <= seen <= high * (1 + 1e-9)


def test_speed_cases_have_the_kinds_they_claim(part):
    from splitopt.solvers.pipeline_partition.chains.alike import kinds_of

    speed = part("speed")
    for model, nodes, kinds in speed.CASES:
        problem = speed.draw(model, nodes, kinds, 12 + nodes, 0)
        assert problem.nodes == nodes
        assert len(kinds_of(problem).first) == kinds
