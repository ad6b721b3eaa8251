"""All plans of small instances, valued by the formula itself: shares no code with the problem."""

from __future__ import annotations

import itertools

import numpy as np

from splitopt.problems.time_to_accuracy import TimeToAccuracy


def least_time(problem: TimeToAccuracy) -> tuple[float, int]:
    """Return the least seconds until the target over all plans, and how many plans there are."""
    n, layers = problem.forward_s.shape
    sizes, intervals = problem.batch_sizes, problem.intervals
    pairs = [
        [(cut, b) for cut in range(layers) for b in range(len(sizes))
         if sizes[b] <= problem.largest_batch[i, cut]]
        for i in range(n)
    ]  # fmt: skip
    if not all(pairs):
        return np.inf, 0
    grid = np.array(list(itertools.product(*[range(len(own)) for own in pairs])))
    cut = np.stack([np.array(own)[grid[:, i], 0] for i, own in enumerate(pairs)], axis=1)
    b = np.stack([np.array(own)[grid[:, i], 1] for i, own in enumerate(pairs)], axis=1)
    if problem.cuts == "common":
        same = (cut == cut[:, :1]).all(axis=1)
        cut, b = cut[same], b[same]
    if not len(cut):
        return np.inf, 0
    rows = np.arange(n)
    size = sizes[b]
    out = (size * (problem.forward_s + problem.upload_s)[rows, cut]).max(axis=1)
    back = (size * (problem.gradient_s + problem.backward_s)[rows, cut]).max(axis=1)
    served = (size * problem.server_s[cut]).sum(axis=1)
    moved = (problem.model_down_s + problem.model_up_s)[rows, cut].max(axis=1)
    best = np.inf
    for k, interval in enumerate(intervals):
        rounds = _rounds(problem, cut, b, k)
        with np.errstate(invalid="ignore"):
            time = rounds * (out + served + back + moved / interval)
        best = min(best, float(time.min()))
    return best, len(cut) * len(intervals)


def _rounds(problem, cut, b, k):
    """Shape (plans,): rounds, by the formula of the curve or as the mean of a table's entries."""
    deepest = cut.max(axis=1)
    stated = problem.rounds
    if "table" in stated:
        table = np.array(stated["table"], dtype=float)
        if stated.get("reached") is not None:
            table = np.where(stated["reached"], table, np.inf)
        return table[b, deepest[:, None], k].mean(axis=1)
    m = (1.0 / problem.batch_sizes[b]).mean(axis=1)
    exponent = stated["interval_exponent"] * stated["parameter_share"][deepest] ** 0.5
    grown = problem.intervals[k] ** exponent
    return stated["rounds"] * (1 + stated["batch_factor"] * m) * grown


def drawn(seed: int, devices: int, layers: int, sizes: int) -> TimeToAccuracy:
    """Draw an instance: every other one of small whole numbers (ties), some with little memory.

    Every third has rounds from a table, and so many lack a plan that infeasible ones are among any
    hundred.
    """
    rng = np.random.default_rng(seed)
    shape = (devices, layers)
    tied, cuts = seed % 2 == 0, "per_device" if seed % 4 < 2 else "common"

    def seconds(*size):
        return rng.integers(0, 4, size) / 4 if tied else rng.lognormal(0, 1, size)

    offered = np.sort(rng.choice(np.arange(1, 3 * sizes), sizes, replace=False))
    intervals = np.array([1, int(rng.integers(2, 30))])
    names = ("forward_s", "upload_s", "gradient_s", "backward_s", "model_down_s", "model_up_s")
    if seed % 3 == 0:
        table = rng.integers(1, 9, (sizes, layers, 2)) * 10.0
        if cuts == "per_device":
            table = np.maximum.accumulate(table, axis=1)
        reached = np.logical_and.accumulate(rng.random(table.shape) < 0.9, axis=1)
        if seed % 27 == 0:
            reached[:] = False
        rounds = {"table": table, "reached": reached}
    else:
        rounds = {
            "rounds": 100.0,
            "batch_factor": float(rng.choice([0.0, 1.0, 4.0, 20.0])),
            "interval_exponent": float(rng.choice([0.0, 0.1, 0.4])),
            "parameter_share": np.sort(rng.random(layers)),
        }
    most = None
    if seed % 5 == 0:
        most = rng.integers(0, 3 * sizes, shape)
        if seed % 10 == 0:
            most[0, rng.random(layers) < 0.7] = 0
        if seed % 25 == 0:
            most[0] = 0
    return TimeToAccuracy(
        **{name: seconds(*shape) * (5 if name.startswith("model") else 1) for name in names},
        server_s=seconds(layers) / devices,
        batch_sizes=offered,
        intervals=intervals,
        rounds=rounds,
        cuts=cuts,
        largest_batch=most,
    )
