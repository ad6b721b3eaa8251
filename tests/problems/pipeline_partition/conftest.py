"""Random pipelines of any shape, and their value worked out a second time in plain Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt.problems.pipeline_partition import PipelinePartition

MODELS = ("none", "uniform", "pairwise", "nic", "serial")


def draw_links(rng, model, nodes, whole=False):
    """Draw the ``links`` of an instance."""

    def rate(*shape):
        found = rng.integers(1, 9, shape) if whole else rng.uniform(0.5, 9.0, shape)
        return found.astype(float) if shape else float(found)

    if model == "none":
        return {"model": "none"}
    links = {"model": model, "duplex": str(rng.choice(["full", "half"]))}
    shape = {"uniform": (), "pairwise": (nodes, nodes)}.get(model, (nodes,))
    links["bandwidth_bytes_per_s"] = rate(*shape)
    if model == "pairwise":
        links["bandwidth_bytes_per_s"][rng.random(shape) < 0.1] = 0.0
    if rng.random() < 0.5:
        links["latency_s"] = rate(nodes, nodes) if model == "pairwise" else rate()
    if rng.random() < 0.5:
        links["owner_bandwidth_bytes_per_s"] = rate()
    return links


def draw_pipeline(seed, nodes, layers, model="none", objective="period", whole=False, **changes):
    """Draw a `PipelinePartition`; `whole` draws small integers, so that there are many ties."""
    rng = np.random.default_rng(seed)
    draw = (lambda s: rng.integers(0, 6, s)) if whole else (lambda s: rng.uniform(0, 3, s))
    memory = draw(layers)
    fields = {
        "forward_s": draw((nodes, layers)),
        "backward_s": draw((nodes, layers)),
        "layer_memory_bytes": memory,
        "node_memory_bytes": rng.uniform(0.3, 1.5, nodes) * memory.sum(),
        "owners": 1,
        "order": str(rng.choice(["free", "given"])),
        "use_all_nodes": bool(rng.random() < 0.5),
        "links": draw_links(rng, model, nodes, whole),
        "batches": int(rng.integers(1, 9)),
    }
    if model != "none":
        fields["cut_up_bytes"] = draw(layers + 1)
        fields["cut_down_bytes"] = draw(layers + 1)
    return PipelinePartition(**fields | changes, objective=objective)


def by_hand(problem, assignment):
    """Compute period, Eq. 3 and latency of an assignment, by loops over the definitions."""
    runs = []
    for layer, node in enumerate(assignment):
        if runs and runs[-1][0] == node:
            runs[-1][1].append(layer)
        else:
            runs.append((node, [layer]))
    links, rate = problem.links, problem.links.bandwidth_bytes_per_s
    up, down = problem.cut_up_bytes, problem.cut_down_bytes
    forward = [sum(problem.forward_s[n][k] for k in run) for n, run in runs]
    backward = [sum(problem.backward_s[n][k] for k in run) for n, run in runs]
    busy = [f + b for f, b in zip(forward, backward, strict=True)]
    latency = sum(busy)
    together = (lambda a, b: a + b) if links.duplex == "half" else max

    def seconds(volume, speed):
        return 0.0 if volume == 0 else float("inf") if speed == 0 else volume / speed

    interfaces = []
    for (_, run), (n, f, b) in zip(
        runs, [(n, forward[m], backward[m]) for m, (n, _) in enumerate(runs)], strict=True
    ):
        if links.model in ("nic", "serial"):
            first, last = run[0], run[-1] + 1
            x = together(up[first] + down[last], up[last] + down[first]) / rate[n]
            interfaces.append(f + b + x if links.model == "serial" else x)
    wires = []
    for (i, run), (j, _) in itertools.pairwise(runs):
        cut = run[-1] + 1
        if links.model == "none":
            continue
        if links.model == "uniform":
            there = back = float(rate)
        elif links.model == "pairwise":
            there, back = rate[i][j], rate[j][i]
        else:
            there = back = min(rate[i], rate[j])
        u, d = seconds(up[cut], there), seconds(down[cut], back)
        if links.model in ("uniform", "pairwise"):
            wires.append(together(u, d))
        delay = links.latency_s
        delays = 2 * float(delay) if delay.ndim == 0 else delay[i][j] + delay[j][i]
        latency += u + d + delays
    if links.owner_bandwidth_bytes_per_s is not None:
        total = up[0] + down[0] + up[-1] + down[-1]
        scalar = links.latency_s is not None and links.latency_s.ndim == 0
        latency += total / links.owner_bandwidth_bytes_per_s
        latency += 4 * float(links.latency_s) if scalar else 0.0
    period = max(busy + wires + interfaces)
    return {"period": period, "paper": max(forward) + max(backward), "latency": latency}


@pytest.fixture(scope="session")
def pipeline():
    """Return the function that draws a random `PipelinePartition`."""
    return draw_pipeline


@pytest.fixture(scope="session")
def worked_by_hand():
    """Return the function that evaluates an assignment by loops over the definitions."""
    return by_hand
