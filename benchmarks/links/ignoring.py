"""How much longer the period is if a plan ignores transfers, on profiles that were measured."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from splitopt import Scenario, solve
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision

RATES = {"10 Mbit/s": 10e6, "40 Mbit/s": 40e6, "100 Mbit/s": 100e6, "1 Gbit/s": 1e9}
FORMS = (("uniform", "full"), ("uniform", "half"), ("nic", "full"), ("serial", "half"))
EDGE = 50.0
"""How many times slower than PipeDream's GPU the nodes are, as boards at the edge may be."""
MODELS: dict[str, tuple[str, dict[str, Any], tuple[int, int]]] = {
    "VGG-19, VMs": ("vgg19-cifar", {"machine": "VM"}, (2, 23)),
    "ResNet-101, VMs": ("resnet101-cifar", {"machine": "VM"}, (2, 35)),
    "AlexNet, edge GPUs": ("pipedream-alexnet", {"machine": "gpu", "slowdown": EDGE}, (1, 20)),
    "VGG-16, edge GPUs": ("pipedream-vgg16", {"machine": "gpu", "slowdown": EDGE}, (1, 38)),
    "ResNet-50, edge GPUs": ("pipedream-resnet50", {"machine": "gpu", "slowdown": EDGE}, (1, 38)),
}
NODES = 4
NOTE = (
    "Period of the plans that are optimal without links, over the optimal period with them; a "
    f"range where several plans look equally good without links. {NODES} equal nodes, memory "
    "enough, times that were measured: MP-SL's on a VM, PipeDream's on a data-centre GPU, here "
    f"slowed down {EDGE:g} times (`python -m benchmarks.links`):"
)


def problem(model: str, form: tuple[str, str], rate: float) -> PipelinePartition:
    """Build the pipeline of a measured model under a link model."""
    profile, machine, cuts = MODELS[model]
    batch = 128
    document: dict[str, Any] = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": profile,
        "model": {"profile": profile, "fill": "flop_ratio"},
        "devices": [
            {
                "name": "owner",
                "count": 1,
                "compute": "10 GFLOP/s",
                "samples": batch,
                "batch_size": batch,
            }
        ],
        "links": {
            "downlink": {"rate": 40e6},
            "uplink": {"rate": 40e6},
            "nodes": {"model": form[0], "duplex": form[1], "rate": f"{rate:g} bit/s"},
        },
        "nodes": [{"name": "node", "count": NODES, **machine}],
        "pipeline": {"first_cut": cuts[0], "last_cut": cuts[1], "use_all_nodes": True},
    }
    if profile.startswith("pipedream-"):
        document["pipeline"]["boundaries"] = "cuts"
    scenario = Scenario.from_si(document, profile)
    return PipelinePartition.from_scenario(scenario, objective="period")


def blind_plans(problem: PipelinePartition) -> list[PipelinePartitionDecision]:
    """Return every plan that is optimal if transfers cost nothing, for equal nodes."""
    work = np.concatenate(([0.0], np.cumsum(problem.forward_s[0] + problem.backward_s[0])))
    inner = itertools.combinations(range(1, problem.layers), problem.nodes - 1)
    cuts = np.array([(0, *chosen, problem.layers) for chosen in inner])
    period = np.diff(work[cuts], axis=1).max(axis=1)
    best = np.flatnonzero(period <= period.min() * (1 + 1e-12))
    order = range(problem.nodes)
    return [PipelinePartitionDecision.of_chain(order, cuts[row]) for row in best]


def ratios(linked: PipelinePartition) -> tuple[float, float]:
    """Return the period of plans without links over the least one: the luckiest and the other."""
    best = solve(linked)
    if best.outcome != "optimal":
        raise SystemExit(f"no proof: {best.message}")
    found = [linked.evaluate(plan) / best.objective for plan in blind_plans(linked)]
    return min(found), max(found)


def written(low: float, high: float) -> str:
    """Write one ratio, or the range where plans that look equally good differ."""
    ends = f"{low:.2f}", f"{high:.2f}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def table(models: Sequence[str] = tuple(MODELS)) -> list[list[str]]:
    """Measure a row per model and form of links, a column per rate."""
    rows = [["model", "links", *RATES]]
    for model in models:
        for form in FORMS:
            found = [ratios(problem(model, form, rate)) for rate in RATES.values()]
            rows.append([model, " ".join(form), *(written(*pair) for pair in found)])
    return rows
