"""Plans for the least round over accelerators: brute force, the replay, and what is refused."""

from __future__ import annotations

import pytest

from splitopt import GraphPartition, InputError, plan, simulate
from splitopt.planning.planner import open_plan
from splitopt.report.page import plan_to_html
from tests.accelerated import scenario
from tests.planning.test_graph_partition import brute_force, drawn

RATE, CPU = 1e5, 3e5


def case(seed, folder, **accelerators):
    """Return a drawn profile and the document of a scenario for it, with dear links."""
    profile = drawn(seed, 5)
    profile.save(folder / f"{seed}.json")
    more = {"compute": "1 MFLOPS", "rate": f"{RATE:.0f} bit/s", "count": 2, **accelerators}
    return profile, scenario(folder / f"{seed}.json", **more)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.one_quick
def test_the_round_is_that_of_brute_force(seed, tmp_path):
    """The least period of every number of machines, times its periods; the replay is within it."""
    batches = (1, 2, 4, 9)[seed % 4]
    profile, document = case(
        seed, tmp_path, micro_batches=batches, cpu={"compute": f"{CPU / 1e3:.0f} kFLOPS"}
    )
    periods = {1: batches, 2: batches + 1, 3: batches + 1 + min(2, (batches + 1) // 2)}
    least = min(
        periods[a + (cpu is not None)] * brute_force(profile, a, cpu, None, RATE, 2, 3)
        for a, cpu in ((1, None), (2, None), (1, CPU), (2, CPU))
    )
    found = plan(document, objective="round")
    assert found.result["outcome"] == "optimal"
    assert found.result["objective"] == pytest.approx(least, rel=1e-9)
    for solver in ("enumerate", "highs")[: 1 + seed % 2]:
        other = plan(document, objective="round", solver=solver)
        assert other.result["objective"] == pytest.approx(least, rel=2e-6)
    used = len(found.prediction["machines"])
    assert found.result["objective"] == pytest.approx(periods[used] * found.prediction["period_s"])
    assert batches * found.prediction["period_s"] <= found.prediction["round_s"] * (1 + 1e-9)
    assert found.prediction["round_s"] <= least * (1 + 1e-9)


def test_the_plan_says_what_its_objective_is(tmp_path):
    """In a note, on its page, in its file, and in the forecast of its replay."""
    _, document = case(2, tmp_path, micro_batches=6)
    found = plan(document, objective="round")
    assert any("is what a round takes at most" in note for note in found.notes)
    assert not any("at most" in note for note in plan(document).notes)
    found.save(tmp_path / "plan.json")
    opened = open_plan(tmp_path / "plan.json").plan
    assert (opened.objective, opened.prediction) == ("round", found.prediction)
    replayed = simulate(tmp_path / "plan.json")
    assert replayed.forecasts[1].seconds == pytest.approx(found.result["objective"])
    assert replayed.simulated_s == pytest.approx(found.prediction["round_s"])
    assert "A round at most" in plan_to_html(found)


def test_too_few_in_flight_are_refused(tmp_path):
    """Then no number of periods is sure; as many as a full pipeline has are enough."""
    _, document = case(1, tmp_path, micro_batches=6, in_flight=2, rate="10 Mbps")
    with pytest.raises(InputError, match=r"accelerators.in_flight: is 2, .* with 3 for 2 machines"):
        plan(document, objective="round")
    with pytest.raises(InputError, match="take the objective 'load'"):
        GraphPartition.from_scenario(document, objective="round")
    assert plan(document).result["outcome"] == "optimal"
    document["accelerators"]["in_flight"] = 3
    assert plan(document, objective="round").result["outcome"] == "optimal"
    document["accelerators"] |= {"in_flight": 2, "micro_batches": 2}  # there are no more of them
    assert plan(document, objective="round").result["outcome"] == "optimal"
    assert len(simulate(plan(document)).forecasts) == 2
    document["accelerators"] |= {"in_flight": 1}
    assert len(simulate(plan(document)).forecasts) == 1
