"""Rounds trained and modelled: committed results are whole, and say what the pages say of them."""

from __future__ import annotations

import csv
import importlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def part():
    """Yield the function that loads a module of the benchmark, as from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield lambda name: importlib.import_module(f"benchmarks.time_to_accuracy.{name}")


@pytest.fixture(scope="module")
def found(part):
    """Return the committed runs of the first partition; nothing is trained."""
    main, study = part("__main__"), part("trained").FULL
    cells = part("trained").Cells(main.RESULTS / "cells.json")
    before = json.dumps(cells.known)
    runs = part("models").trained(cells, study, "iid")
    assert json.dumps(cells.known) == before
    return runs


def test_the_grid_is_what_the_page_says(part, found):
    """Every plan of the grid was trained with every seed, and got there."""
    study = part("trained").FULL
    assert len(found.rounds) == 20
    assert len(found.cells) == 20 * len(study.seeds)
    assert np.isfinite(list(found.rounds.values())).all()


def test_the_bound_is_exact_where_it_was_set_and_calls_others_unreachable(part, found):
    study, modelled = part("trained").FULL, part("models").models
    models = modelled(study, found)
    first = part("trained").reference(study)
    assert models["convergence bound"](first) == pytest.approx(
        found.cells[first, study.seeds[0]]["rounds"]
    )
    never = [s for s in found.rounds if not np.isfinite(models["convergence bound"](s))]
    assert len(never) > 0.9 * (len(found.rounds) - 1)


def test_a_model_that_is_right_loses_nothing(part, found):
    """Planned with the trained rounds the plan is the best one; with the curve it is longer."""
    study, models = part("trained").FULL, part("models")
    right = models.losses(study, found, lambda setting: found.rounds[setting], 3)
    np.testing.assert_allclose(right, 1.0, rtol=1e-9)
    curve = models.losses(study, found, models.models(study, found)["curve, four corners"], 3)
    assert min(curve) >= 1 - 1e-9


def test_the_committed_speed_meets_its_gaps(part):
    """Every gap that was asked for was proved."""
    lines = (part("__main__").RESULTS / "speed.csv").read_text().splitlines()[1:]
    assert len(lines) == 12
    for line in lines:
        cells = next(csv.reader([line]))
        assert float(cells[2]) <= float(cells[1])


def test_half_of_all_cases_in_which_each_two_levels_meet(part):
    """The plans that are held against training are spread evenly."""
    cases = part("held").cases()
    assert len(set(cases)) == 12
    names = ("data", "network", "fleet", "momentum")
    for one, other in itertools.combinations(names, 2):
        pairs = [(getattr(case, one), getattr(case, other)) for case in cases]
        counts = {pair: pairs.count(pair) for pair in pairs}
        levels = [len({pair[side] for pair in pairs}) for side in (0, 1)]
        assert len(counts) == levels[0] * levels[1]


def test_the_table_of_plans_held_against_training_is_made_of_its_runs(part):
    """Predicted is the curve's rounds in the plan's seconds, and nothing is trained again."""
    held = part("held")
    kept = part("__main__").RESULTS / "held.json"
    known = json.loads(kept.read_text())
    done = [case for case in held.cases() if str(case) in known]
    assert {str(case) for case in done} == set(known)
    table = held.held_table(kept, done)
    for case, row in zip(done, table.rows, strict=True):
        own = known[str(case)]["plan"]
        assert row[:4] == [case.data, case.network, case.fleet, f"{case.momentum:g}"]
        assert row[7] == pytest.approx(own["predicted_rounds"] * own["round_s"])
    text = (kept.parent / "held.md").read_text()
    assert all(f"{row[7]:.1f}" in text.replace(",", "") for row in table.rows)
