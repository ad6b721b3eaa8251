"""Random replicated pipelines, and the best of all by trying every device in every stage."""

import itertools
import math

import numpy as np

from splitopt import ReplicatedPipeline


def drawn(seed, layers=None, devices=None):
    """Draw a small problem: every option, whole numbers with ties in half of them, tight memory."""
    rng = np.random.default_rng(seed)
    layers = layers or int(rng.integers(1, 5))
    devices = devices or [[1], [2], [3], [4], [1, 1], [2, 1], [1, 2], [2, 2], [1, 1, 1]][seed % 9]
    types, whole = len(devices), bool(rng.random() < 0.5)

    def some(low, high, *shape):
        found = rng.integers(low, high + 1, shape).astype(float)
        return found if whole else found + rng.uniform(0, 1, shape) * (found > 0)

    problem = {
        "forward_s": some(0, 4, types, layers),
        "backward_s": some(0, 6, types, layers),
        "devices": devices,
        "micro_batches": int(rng.integers(1, 7)),
        "weight_bytes": some(0, 5, layers),
        "activation_bytes": some(0, 5, layers),
        "optimizer_bytes": some(0, 6, layers),
        "duplex": str(rng.choice(["full", "half"])),
        "schedule": str(rng.choice(["1f1b", "gpipe", "pipedream"])),
        "recompute": str(rng.choice(["never", "always", "choose"])),
        "shard_optimizer": bool(rng.random() < 0.5),
        "overlap": bool(rng.random() < 0.5),
        "use_all_devices": bool(rng.random() < 0.25),
    }
    if rng.random() < 0.7:
        problem |= {name: some(0, 4, layers + 1) for name in ("cut_up_bytes", "cut_down_bytes")}
    if rng.random() < 0.7:
        problem["bandwidth_bytes_per_s"] = some(1, 4, types)
    if rng.random() < 0.8:
        total = sum(problem[f"{name}_bytes"].sum() for name in ("weight", "activation"))
        problem["memory_bytes"] = np.ceil(total * rng.uniform(0.4, 2.5, types))
        problem["reserve_bytes"] = some(0, 2, types)
    if rng.random() < 0.4:
        problem["max_replicas"] = int(rng.integers(1, 3))
    return ReplicatedPipeline(**problem)


def least_period(problem):
    """Return the least period over all places of labelled devices; infinite where nothing fits.

    It follows the words of the documentation device by device, and uses nothing of the package.
    """
    kinds = [t for t, n in enumerate(problem.devices.tolist()) for _ in range(n)]
    best = math.inf
    for size in range(1, min(problem.layers, len(kinds)) + 1):
        for inner in itertools.combinations(range(1, problem.layers), size - 1):
            cuts = [0, *inner, problem.layers]
            for places in itertools.product(range(size + 1), repeat=len(kinds)):  # size is idle
                teams = [
                    [k for k, p in zip(kinds, places, strict=True) if p == m] for m in range(size)
                ]
                if not all(teams) or (problem.use_all_devices and size in places):
                    continue
                best = min(best, _pipeline(problem, cuts, teams))
    return best


def _pipeline(problem, cuts, teams):
    period = 0.0
    for m, team in enumerate(teams):
        behind = sum(len(other) for other in teams[m:])
        choices = {"never": [False], "always": [True], "choose": [False, True]}[problem.recompute]
        found = [_stage(problem, cuts[m], cuts[m + 1], team, behind, again) for again in choices]
        period = max(period, min(found))
    return period


def _stage(problem, i, j, team, behind, again):
    """Return the period of a stage, infinite where a device has not enough memory."""
    p, size = problem, len(team)
    if p.max_replicas is not None and size > p.max_replicas:
        return math.inf
    alone, rates = [], []
    for kind in team:
        seconds = sum(p.forward_s[kind, i:j]) + sum(p.backward_s[kind, i:j])
        seconds += sum(p.forward_s[kind, i:j]) if again else 0.0
        rate = math.inf if p.bandwidth_bytes_per_s is None else p.bandwidth_bytes_per_s[kind]
        into = p.cut_up_bytes[i] + p.cut_down_bytes[j]
        out = p.cut_down_bytes[i] + p.cut_up_bytes[j]
        sent = (into + out if p.duplex == "half" else max(into, out)) / rate
        alone.append(max(seconds, sent) if p.overlap else seconds + sent)
        rates.append(rate)
    if min(alone) == 0:
        free = [seconds == 0 for seconds in alone]
        shares, dealt = [f / sum(free) for f in free], 0.0
    else:
        dealt = 1 / sum(1 / seconds for seconds in alone)
        shares = [dealt / seconds for seconds in alone]
    weights, states = sum(p.weight_bytes[i:j]), sum(p.optimizer_bytes[i:j])
    ways = 2 if p.duplex == "half" else 1  # sends and receives, in turn or at once
    reduced = ways * 2 * (size - 1) / size * weights / min(rates)
    reduced /= size if p.schedule == "pipedream" else p.micro_batches
    flight = {
        "gpipe": p.micro_batches,
        "1f1b": min(behind, p.micro_batches),
        "pipedream": behind,
    }[p.schedule]
    for kind, share in zip(team, shares, strict=True):
        copies = max(1, math.ceil(share * flight - 1e-6))
        versions = copies if p.schedule == "pipedream" else 1
        need = (versions + 1) * weights + states / (size if p.shard_optimizer else 1)
        kept = sum(p.activation_bytes[i:j])
        need += copies * p.cut_up_bytes[i] + kept if again else copies * kept
        if p.memory_bytes is not None:
            room = max(0.0, p.memory_bytes[kind] - p.reserve_bytes[kind])
            if need > room * (1 + 1e-9):
                return math.inf
    return max(dealt, reduced) if p.overlap else dealt + reduced
