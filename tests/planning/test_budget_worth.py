"""The server's memory in a plan: a limit that binds, what is used of it, and what more is worth."""

from __future__ import annotations

import io
import itertools
import re

import numpy as np
import pytest

from splitopt import CutAndResources, Scenario, compare_schemes, load_profile, plan, solve
from splitopt.planning import open_plan
from splitopt.report import plan_to_html, plan_to_terminal


def fleet(memory=None, device_memory=None):
    """Return three kinds of devices on a fast link, whose plan without limits needs a server."""
    server = {"name": "edge", "compute": "2 TFLOP/s"} | ({"memory": memory} if memory else {})
    kinds = [
        ("slow", 2, "5 GFLOP/s", 16),
        ("usual", 1, "20 GFLOP/s", 32),
        ("fast", 1, "1 TFLOP/s", 8),
    ]
    devices = [
        {"name": name, "count": count, "compute": speed, "samples": 200, "batch_size": batch}
        for name, count, speed, batch in kinds
    ]
    for device in devices:
        device |= {"memory": device_memory} if device_memory else {}
    return Scenario.from_dict(
        {
            "format": "splitopt-scenario",
            "version": 1,
            "name": "fleet",
            "model": "resnet18-imagenet",
            "devices": devices,
            "links": {"downlink": "1 Gbit/s", "uplink": "1 Gbit/s"},
            "servers": [server],
        },
    )


def copies(cuts):
    """Bytes of the server's copies by hand: batches of 16, 16, 32 and 8."""
    profile = load_profile("resnet18-imagenet")
    model = profile.device_model_bytes[-1] - profile.device_model_bytes
    return sum(
        2 * model[cut - 1] + batch * profile.layer_saved_bytes[cut:].sum()
        for cut, batch in zip(cuts, (16, 16, 32, 8), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_the_servers_memory_binds(objective):
    """The plan is the best of all that the server can hold, by going through them."""
    free = plan(fleet(), objective=objective)
    needed = copies(free.decision["cut"])
    assert needed > 1e9
    made = plan(fleet(f"{0.4 * needed / 1e9:.6f} GB"), objective=objective)
    bare = CutAndResources.from_scenario(fleet(), objective=objective)
    values = [
        bare.evaluate(bare.complete(np.array(cuts)))
        for cuts in itertools.product(range(1, 11), repeat=4)
        if cuts[0] <= cuts[1] and copies(cuts) <= 0.4 * needed  # the first two are alike
    ]
    assert made.result["outcome"] == "optimal"
    assert made.result["objective"] == pytest.approx(min(values), rel=1e-8)
    (row,) = made.prediction["budgets"]
    assert row["name"] == "server memory"
    assert row["used"] == pytest.approx(copies(made.decision["cut"]))
    assert row["used"] <= row["limit"] == pytest.approx(0.4 * needed, rel=1e-5)
    assert row["without"]["used"] == pytest.approx(needed, rel=1e-6)
    saved = made.result["objective"] - free.result["objective"]
    assert row["without"]["saves"] == pytest.approx(saved, rel=1e-6)


def test_the_worth_of_one_percent_is_the_change_of_the_relaxed_optimum():
    """Against a relaxation solved by another solver, through the model in CVXPY."""
    needed = copies(plan(fleet()).decision["cut"])
    sizes = [f"{factor * needed / 1e9:.9f} GB" for factor in (0.4, 0.404)]
    made = plan(fleet(sizes[0]))
    values = []
    for size in sizes:
        model = CutAndResources.from_scenario(fleet(size)).to_cvxpy(relaxed=True, formulation=None)
        values.append(model.program().solve(solver="CLARABEL") * model.unit_s)
    worth = made.prediction["budgets"][0]["per_percent"]
    assert worth > 0
    assert worth == pytest.approx(values[0] - values[1], rel=1e-3)


def test_a_server_that_is_too_small_is_told_what_would_do():
    """Devices that cannot hold the whole model leave a part to the server, for each of them."""
    made = plan(fleet("1 kB", device_memory="500 MB"))
    assert made.result["outcome"] == "infeasible"
    found = re.search(r"its memory is 1 kB; ([\d.,]+) GiB", made.result["message"])
    need = float(found[1])
    assert plan(fleet(f"{need * 1.001} GiB", "500 MB")).decision is not None
    assert plan(fleet(f"{need * 0.998} GiB", "500 MB")).decision is None
    assert "edge holds a copy of its part" in made.result["message"]


def test_reports_and_files_show_use_and_limit(tmp_path):
    """The terminal and the page name the budget; the plan file opens again."""
    from rich.console import Console

    needed = copies(plan(fleet()).decision["cut"])
    made = plan(fleet(f"{0.4 * needed / 1e9:.6f} GB"))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(plan_to_terminal(made))
    text = console.export_text()
    assert "Server memory" in text
    assert "1 % more saves about" in text
    assert "Server memory" in plan_to_html(made)
    opened = open_plan(made)
    assert opened.problem.budgets.names == ("server memory",)
    slack = plan(fleet(f"{2 * needed / 1e9:.6f} GB"))
    assert slack.prediction["budgets"][0]["without"]["saves"] == 0
    assert slack.prediction["budgets"][0]["per_percent"] == pytest.approx(0, abs=1e-6)
    assert "budgets" not in plan(fleet()).prediction


@pytest.mark.slow
def test_a_comparison_ranks_the_plan_within_the_limit():
    """DP-MORA's row holds what the plan holds, by the same formula."""
    needed = copies(plan(fleet()).decision["cut"])
    limited = fleet(f"{0.4 * needed / 1e9:.6f} GB")
    row = compare_schemes(limited).row("dp_mora_sum")
    assert row.server_memory_bytes <= 0.4 * needed * (1 + 1e-6)
    assert row.server_memory_bytes == pytest.approx(copies(plan(limited).decision["cut"]))


@pytest.mark.slow
def test_energy_and_large_groups_keep_the_limit():
    """Other objectives, and fleets that are counted in classes, have the same budget."""
    free = CutAndResources.from_scenario(fleet())
    many = fleet("2 TB")
    groups = tuple(d.model_copy(update={"count": 40_000}) for d in many.devices)
    large = CutAndResources.from_scenario(many.model_copy(update={"devices": groups}))
    assert large.budgets.use.shape == (3, 10, 1)
    result = solve(large, time_limit_s=5)
    assert result.is_feasible
    assert result.gap < 1e-4
    cuts = result.decision.cut
    profile = load_profile("resnet18-imagenet")
    saved = np.array([profile.layer_saved_bytes[cut:].sum() for cut in range(11)])
    model = profile.device_model_bytes[-1] - np.append(0, profile.device_model_bytes)
    batch = np.repeat([16, 32, 8], 40_000)
    assert (2 * model[cuts] + batch * saved[cuts]).sum() <= 2e12 * (1 + 1e-8)
    assert free.budgets is None
