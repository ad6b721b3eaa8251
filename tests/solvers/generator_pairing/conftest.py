"""Small random pairings, and what an independent program says of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from splitopt import GeneratorPairing


def drawn(seed: int, **options) -> GeneratorPairing:
    """Draw a pairing of 3 to 7 devices and 3 to 6 labels, with small whole costs or unequal ones."""
    rng = np.random.default_rng(seed)
    devices, labels = int(rng.integers(3, 8)), int(rng.integers(3, 7))
    has = rng.random((devices, labels)) < rng.uniform(0.3, 0.7)
    has[np.arange(devices), rng.integers(0, labels, devices)] = True
    cost = rng.integers(0, 5, (devices, devices)).astype(float)
    if seed % 3 == 0:
        cost = rng.uniform(0, 5, (devices, devices))
    if seed % 7 == 0:
        cost[:] = 1.0
    if "quality_weight" in options or "least_quality" in options:
        options["quality"] = rng.integers(0, 11, has.shape) / 10
    if options.pop("counted", False):
        options |= {"counts": has * rng.integers(1, 30, has.shape), "least_samples": 10}
    else:
        options["classes"] = has
    if options.pop("capped", False):
        options["caps"] = rng.integers(0, devices, devices)
    return GeneratorPairing(cost, labels=list(range(labels)), **options)


def by_milp(problem: GeneratorPairing) -> float:
    """Return the least cost by SciPy's milp on a dense program of its own; inf if there is none."""
    devices, labels = problem.need.shape
    trained = problem.classes if problem.generates is None else problem.generates
    good = trained
    if problem.quality is not None:
        good = trained & (problem.quality >= problem.least_quality)
    lack = 0 * good if problem.quality is None else problem.quality_weight * (1 - problem.quality)
    pairs = devices * devices
    cost = np.concatenate((problem.cost.ravel(), np.tile(lack, (devices, 1, 1)).ravel()))
    rows, lower, upper = [], [], []
    has = problem.classes if problem.counts is None else problem.counts >= problem.least_samples
    most = np.ones(len(cost))
    for i in range(devices):
        most[i * devices + i] = 0
        for c in range(labels):
            row = np.zeros(len(cost))
            for j in range(devices):
                use = pairs + (i * devices + j) * labels + c
                if not good[j, c] or has[i, c]:
                    most[use] = 0
                row[use] = 1
                link = np.zeros(len(cost))
                link[use], link[i * devices + j] = 1, -1
                rows.append(link)
                lower.append(-np.inf)
                upper.append(0)
            if not has[i, c]:
                wanted = problem.sources[c] + problem.redundant
                rows.append(row)
                lower.append(wanted)
                upper.append(wanted)
    for j in range(devices if problem.caps is not None else 0):
        row = np.zeros(len(cost))
        row[j:pairs:devices] = 1
        rows.append(row)
        lower.append(0)
        upper.append(problem.caps[j])
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), lower, upper),
        integrality=np.ones(len(cost)),
        bounds=Bounds(0, most),
        options={"mip_rel_gap": 0},
    )
    return float(found.fun) if found.success else math.inf


def by_hand(problem: GeneratorPairing) -> float:
    """Return the least cost without caps: every set of senders of every device, one by one."""
    total = 0.0
    for i in range(problem.devices):
        others = [j for j in range(problem.devices) if j != i]
        best = math.inf
        for size in range(len(others) + 1):
            for row in itertools.combinations(others, size):
                senders = [[] for _ in range(problem.devices)]
                senders[i] = list(row)
                decision = problem.decode({"senders": senders})
                short = problem.need[i] - problem.covers[list(row)].sum(axis=0)
                if (short <= 0).all():
                    best = min(best, problem.evaluate(decision) - _idle(problem, i))
        total += best
    return total


def _idle(problem: GeneratorPairing, i: int) -> float:
    """Return what an empty decision costs: nothing, since lacking senders are charged nowhere."""
    return 0.0


@pytest.fixture
def draw():
    """Give the function that draws a pairing."""
    return drawn
