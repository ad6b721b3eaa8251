"""Random pipelines with links, and all their chains, evaluated from the definitions alone."""

from __future__ import annotations

import itertools
from functools import cache

import numba
import numpy as np
import pytest

from splitopt.problems.pipeline_partition import PipelinePartition

MODELS = ("none", "uniform", "pairwise", "nic", "serial")


@numba.njit(cache=True)
def _values(orders, cuts, work, need, capacity, up, down, rates, delays, nic, model, half):
    """Compute (period, latency) of every order of nodes with every choice of boundaries.

    Sums run over the layers of each node; infinite where the memory or a link is missing.
    """
    found = np.empty((len(orders) * len(cuts), 2))
    for o in range(len(orders)):
        for c in range(len(cuts)):
            period, latency = 0.0, 0.0
            for m in range(orders.shape[1]):
                i, a, b = orders[o, m], cuts[c, m], cuts[c, m + 1]
                busy, memory = 0.0, 0.0
                for layer in range(a, b):
                    busy += work[i, layer]
                    memory += need[layer]
                if memory > capacity[i]:
                    period = np.inf
                latency += busy
                if model >= 3:
                    into, out = up[a] + down[b], up[b] + down[a]
                    talk = (into + out if half else max(into, out)) / nic[i]
                    busy = busy + talk if model == 4 else max(busy, talk)
                period = max(period, busy)
                if b < len(up) - 1:
                    j = orders[o, m + 1]
                    there, back = 0.0, 0.0
                    if up[b] > 0:
                        there = up[b] / rates[i, j] if rates[i, j] > 0 else np.inf
                    if down[b] > 0:
                        back = down[b] / rates[j, i] if rates[j, i] > 0 else np.inf
                    if model == 1 or model == 2:
                        period = max(period, there + back if half else max(there, back))
                    latency += there + back + delays[i, j] + delays[j, i]
            if latency == np.inf:
                period = np.inf
            found[o * len(cuts) + c] = period, latency
    return found


@cache
def _choices(nodes, layers, given, size):
    arrange = itertools.combinations if given else itertools.permutations
    orders = np.array(list(arrange(range(nodes), size)))
    inner = itertools.combinations(range(1, layers), size - 1)
    cuts = np.array([(0, *chosen, layers) for chosen in inner]).reshape(-1, size + 1)
    return orders, cuts


def every_chain(problem):
    """Compute period and latency of all chains that keep the constraints, shape (chains, 2)."""
    links, found = problem.links, [np.empty((0, 2))]
    rates = np.where(np.isinf(links.rates), 1e300, links.rates)
    nic = links.interface_rates if links.has_interfaces else np.ones(problem.nodes)
    least = problem.nodes if problem.use_all_nodes else 1
    for size in range(least, min(problem.nodes, problem.layers) + 1):
        orders, cuts = _choices(problem.nodes, problem.layers, problem.order == "given", size)
        found.append(
            _values(
                orders,
                cuts,
                problem.forward_s + problem.backward_s,
                problem.layer_memory_bytes * problem.owners,
                problem.node_memory_bytes * (1 + 1e-9),
                problem.cut_up_bytes,
                problem.cut_down_bytes,
                rates,
                links.delays_s,
                nic,
                MODELS.index(links.model),
                links.duplex == "half",
            )
        )
    values = np.concatenate(found)
    values[:, 1] += problem.owner_transfers_s
    return values[np.isfinite(values[:, 0])]


def draw(rng, model, duplex="full", order="free", use_all_nodes=True, most=4, layers=8):
    """Draw a small pipeline: floats or small integers, alike nodes, zero bytes, missing links."""
    nodes = int(rng.integers(1, most + 1))
    layers = int(rng.integers(nodes, layers + 1))
    whole = rng.random() < 0.5
    kinds = int(rng.integers(1, nodes + 1))
    kind = rng.integers(0, kinds, nodes)

    def numbers(shape, top):
        return rng.integers(0, top + 1, shape).astype(float) if whole else top * rng.random(shape)

    def rate(shape):
        return 1.0 + numbers(shape, 3)

    memory = numbers(layers, 4)
    room = memory.sum() * rng.uniform(0.5, 1.5, kinds)[kind] * (1 if rng.random() < 0.7 else 9)
    up, down = numbers(layers + 1, 9), numbers(layers + 1, 9)
    if rng.random() < 0.3:
        up[rng.random(layers + 1) < 0.5] = 0.0
        down[rng.random(layers + 1) < 0.5] = 0.0
    links = {"model": model}
    if model != "none":
        links["duplex"] = duplex
        links["latency_s"] = float(numbers((), 2))
    if model == "uniform":
        links["bandwidth_bytes_per_s"] = float(rate(()))
    elif model == "pairwise":
        alike = rng.random() < 0.5
        matrix = rate((kinds, kinds))[np.ix_(kind, kind)] if alike else rate((nodes, nodes))
        if rng.random() < 0.4:
            matrix[rng.random((nodes, nodes)) < 0.3] = 0.0
        links["bandwidth_bytes_per_s"] = matrix
        if rng.random() < 0.3:
            links["latency_s"] = numbers((nodes, nodes), 2)
    elif model in ("nic", "serial"):
        links["bandwidth_bytes_per_s"] = rate(kinds)[kind] if rng.random() < 0.5 else rate(nodes)
    if rng.random() < 0.5:
        links["owner_bandwidth_bytes_per_s"] = 2.0
    return PipelinePartition(
        numbers((kinds, layers), 6)[kind],
        numbers((kinds, layers), 6)[kind],
        memory,
        room,
        owners=int(rng.integers(1, 3)),
        cut_up_bytes=up,
        cut_down_bytes=down,
        links=links,
        order=order,
        use_all_nodes=use_all_nodes,
        batches=int(rng.choice([1, 2, 5, 40])),
    )


@pytest.fixture(scope="session")
def chains_of_all():
    """Return the function that evaluates every chain of a problem."""
    return every_chain


@pytest.fixture(scope="session")
def linked():
    """Return the function that draws a random pipeline with links."""
    return draw
