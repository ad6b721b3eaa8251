"""What is measured: growing fleets, fleets read as tables, and SCIP beside `exact`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale.case import measure
from benchmarks.scale.fleets import FAMILIES, LAYERS
from splitopt.bench.instances.families.cut_and_resources import uniform
from splitopt.solvers.cut_and_resources.exact import Exact

OBJECTIVES = ("sum", "makespan")
SCIP_DEVICES = 1000
SEED = 1

Row = dict[str, Any]


def growing(
    sizes: Sequence[int], families: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Row]:
    """Solve every family at every size, and again after 1 % noise."""
    for devices in sizes:
        for family in families:
            for objective in OBJECTIVES:
                case = {
                    "family": family,
                    "objective": objective,
                    "devices": devices,
                    "seed": SEED,
                    "warm": True,
                }
                yield _row(case, "factors", measure(case, environment))


def from_files(sizes: Sequence[int], environment: Mapping[str, str]) -> Iterator[Row]:
    """Solve tables without any structure, read from ``.npz``."""
    for devices in sizes:
        for objective in OBJECTIVES:
            case: Row = {"family": "uniform", "objective": objective, "devices": devices}
            with tempfile.TemporaryDirectory() as folder:
                case["file"] = str(Path(folder) / "fleet.npz")
                problem = uniform(SEED, devices, LAYERS)
                if objective != problem.objective:
                    problem = problem.with_objective(objective)
                problem.save(case["file"])
                del problem
                yield _row(case, ".npz", measure(case, environment))


def beside_scip(environment: Mapping[str, str]) -> Iterator[Row]:
    """Solve the same sum problem with `exact` and with SCIP (the convex MIQP), one by one."""
    for family in FAMILIES:
        case = {"family": family, "objective": "sum", "devices": SCIP_DEVICES, "seed": SEED}
        own = measure(case, environment)
        scip = measure(case | {"solver": "scip"}, environment)
        yield {
            "family": family,
            "devices": SCIP_DEVICES,
            "exact_s": own["time_s"],
            "exact_gap": own["gap"],
            "scip_s": scip["time_s"],
            "scip_gap": scip["gap"],
            "ratio": scip["time_s"] / own["time_s"],
            "difference": scip["objective_value"] / own["objective_value"] - 1,
        }


def compiles(sizes: Sequence[int]) -> bool:
    """Whether a fleet is so large that `exact` uses compiled loops."""
    return max(sizes, default=0) * LAYERS > Exact.chunk_above


def warm_up(environment: Mapping[str, str]) -> float:
    """Compile what `exact` compiles once per installation; give the seconds of the longest run."""
    return max(
        float(
            measure(
                {"family": "masks", "objective": objective, "devices": 300_000, "seed": 0},
                environment,
            )["time_s"]
        )
        for objective in OBJECTIVES
    )


def _row(case: Mapping[str, Any], form: str, found: Mapping[str, Any]) -> Row:
    return {
        "devices": case["devices"],
        "family": case["family"],
        "form": form,
        "objective": case["objective"],
        **{name: value for name, value in found.items() if name != "objective_value"},
    }
