"""Changes of a plan's page: what its script makes of them, beside the solver."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np

from benchmarks.page.fleets import changed_scenario, random_change
from splitopt import CutAndResources, Scenario, plan, solve
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.report.replanning import replanning
from splitopt.results import Result

_RUN = """
const Replan = require(process.argv[1]);
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(asked.map(([data, change]) => {
  const start = process.cpuUsage();
  const fleet = Replan.changed(data, change), found = Replan.solve(fleet, data.counts);
  found.cpu_ms = process.cpuUsage(start).user / 1000;
  if (found.counts) found.parts = Replan.parts(fleet, found.counts);
  return found;
})));
"""


def replanned(data: dict[str, Any], changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the script makes of changes of one page's data, run by node."""
    return _run([(data, change) for change in changes])


def planned(datas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the script makes of the data of several pages as they are."""
    return _run([(data, {}) for data in datas])


def _run(asked: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
    script = files("splitopt.report").joinpath("assets", "replan.js")
    done = subprocess.run(
        ["node", "-e", _RUN, str(script)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def decision_of(found: dict[str, Any]) -> CutAndResourcesDecision:
    """Return the decision about every single device that the parts of an answer are."""
    many = [part["devices"] for part in found["parts"]]
    share = np.repeat([part["share"] for part in found["parts"]], many, axis=0)
    cut = np.repeat([part["cut"] + 1 for part in found["parts"]], many)
    return CutAndResourcesDecision(cut, *share.T)


def replans(
    scenario: Scenario, objective: str, changes: int, seed: int = 0
) -> Iterator[tuple[dict[str, Any], dict[str, Any], Result | None]]:
    """Go through random changes of a fleet: each with the script's answer and the solver's.

    The solver plans the changed scenario, device by device; it is None where no device is left.
    The script's answer is scored by that problem, as ``evaluated`` and ``violations``.
    """
    data = replanning(plan(scenario, objective=objective)).data
    assert data is not None, "the page of this plan has no sliders"
    rng = np.random.default_rng(seed)
    asked = [{}, *(random_change(rng, data) for _ in range(changes))]
    for change, found in zip(asked, replanned(data, asked), strict=True):
        scene = changed_scenario(scenario, change)
        if scene is None:
            yield change, found, None
            continue
        problem = CutAndResources.from_scenario(scene, objective=objective)
        if "parts" in found:
            decision = decision_of(found)
            if not problem.shared_links:
                none = np.zeros(problem.devices)
                decision = CutAndResourcesDecision(decision.cut, none, none, decision.server_share)
            found["violations"] = problem.violations(decision)
            found["evaluated"] = problem.evaluate(decision)
        yield change, found, solve(problem, time_limit_s=20)


def summary(name: str, scenario: Scenario, objective: str, changes: int) -> dict[str, Any]:
    """Return a row: how large the gaps are that the script proves, and how far it is off."""
    gaps, off, above, ms = [], [], 0, []
    for _, found, best in replans(scenario, objective, changes):
        if best is None or best.outcome != "optimal" or "value" not in found:
            continue
        gaps.append(found["gap"])
        ms.append(found["cpu_ms"])
        off.append(found["value"] / best.objective - 1)
        above += found["bound"] > best.objective * (1 + 1e-11)
    return {
        "fleet": name,
        "objective": objective,
        "changes": len(gaps),
        "proved": sum(gap <= 1e-9 for gap in gaps),
        "gap_90": 100 * float(np.quantile(gaps, 0.9)),
        "gap_most": 100 * max(gaps),
        "off_most": 100 * max(max(off), 0.0),
        "false": above,
        "cpu_ms": float(np.median(ms)),
        "cpu_ms_90": float(np.quantile(ms, 0.9)),
    }
