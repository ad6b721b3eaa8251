"""Improving a makespan on many servers: annealing, where single moves and pairs are stuck.

A server takes few devices, or many beside some large ones, so that filling all servers evenly is
packing as well: what is left over on one can only be used by devices that fit. Pairs of moves end
early there. Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) draws single moves at random;
a move changes two blocks of resources, so that a million are tried in less than a second.

What falls is softness * log sum_k pi_k exp(lambda_k / softness) of the largest eigenvalues lambda_k
of the blocks. At the prices pi_k of the blocks its slope is the dual's when all are equal, so that
for a large softness it counts the reduced costs of the moves alone, and for a small one their
maximum. Both, and the heat, fall together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.solvers.cut_and_resources.exact.anneal_loops import anneal_pass, totals_of
from splitopt.solvers.cut_and_resources.exact.space import Space
from splitopt.solvers.cut_and_resources.relaxation.layout import Layout
from splitopt.solvers.cut_and_resources.relaxation.measures import EigenvalueMeasure, Measure
from splitopt.solvers.cut_and_resources.relaxation.packing import Packing

_SIZE = 3
"""Resources of a block, of whose matrix the largest eigenvalue has a formula."""
_PACKED = 6
_SOFTNESS = (10.0, 1e-3)
"""First and last softness, relative to the value."""
_HEAT = (1e-1, 1e-3)
"""First and last heat, relative to what one device is worth on average."""
_NEAR = 0.3
"""Ways to go whose reduced cost is at most so much of the least cost are tried."""
_EACH, _MOST = 1_000, 2_000_000
"""Moves for each way to go, and in all."""
_FEWEST = 600
"""Devices times choices from which on annealing is worth compiling; pairs of moves do below."""
_CHUNK = 65_536
"""Moves between two looks at the clock."""


def can_anneal(measure: Measure, space: Space, entries: int) -> bool:
    """Report whether to anneal a plan of single devices on blocks of at most three resources.

    `entries` are the devices of the whole fleet times choices.
    """
    if not isinstance(measure, EigenvalueMeasure) or space.kind is None or entries < _FEWEST:
        return False
    return fits(measure.packing) and bool((space.count == 1).all()) and len(space.count) > 1


def fits(packing: Packing) -> bool:
    """Report whether resources fall into several blocks of at most three."""
    return len(packing.blocks) > 1 and max(len(block) for block in packing.blocks) <= _SIZE


def load_for(problem: CutAndResources) -> None:
    """Compile the loops where a run on this problem anneals."""
    if problem.objective != "makespan" or problem.robust or problem.budgets is not None:
        return
    if not isinstance(problem, ChoicesAndResources) or problem.allowed.size < _FEWEST:
        return
    seconds, usable, _ = problem.device_classes()
    used = ((np.moveaxis(seconds[:-1], 0, 2) > 0) & usable[:, :, None]).any(axis=0)
    if fits(Layout.of(np.asarray(used)).packing):
        load_loops()


def load_loops() -> None:
    """Run the loops once on nothing to speak of, which compiles or loads them."""
    vector, block = np.ones((2, 2, _PACKED)), np.array([[0, 1], [0, 1]])
    total = totals_of(vector, block, np.zeros(2, dtype=np.int64), np.zeros((2, _PACKED)))
    ways = (np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    plans = np.zeros((2, 2), dtype=np.int64)
    anneal_pass(vector, block, ways, np.ones(2), total, plans, np.zeros((1, 2)), np.ones(5))


def anneal(
    space: Space,
    packing: Packing,
    used: IntArray,
    price: FloatArray,
    halt: Callable[[], bool],
    rng: np.random.Generator,
) -> IntArray:
    """Move one device after the other at random, ever less to where that costs more.

    Parameters
    ----------
    space
        The undecided rows, each of one device, at a deadline; best one that can nearly be met.
    packing
        The blocks of the resources, of three at most.
    used
        Counts (T, W) to start from; what cannot be used at this deadline is replaced.
    price
        Prices (K,) of the relaxed problem.
    halt
        Whether to stop early.
    rng
        Random numbers.

    Returns
    -------
    The counts with the smallest of the largest eigenvalues that were seen.
    """
    places = _places(packing)
    assert space.kind is not None
    vector = _gathered(space.vector, places[space.kind])
    outside = _gathered(space.fixed, places)
    cost = np.where(space.high > 0, space.vector @ price, np.inf)
    least = cost.min(axis=1, keepdims=True)
    if not np.isfinite(least).all():
        return used
    every, now = np.arange(len(used)), used.argmax(axis=1)
    now = np.where(space.high[every, now] > 0, now, cost.argmin(axis=1))
    near = cost - least <= _NEAR * least
    near[every, now] = True
    near &= (near.sum(axis=1) > 1)[:, None]
    rows, columns = np.nonzero(near)
    weight = _gathered(price, places)[:, :_SIZE].sum(axis=1)
    if not rows.size or not weight.all():
        return used
    total = totals_of(vector, space.kind, now, outside)
    moves = min(_EACH * len(rows), _MOST)
    device = float(least.mean())
    first = np.array([_SOFTNESS[0], _HEAT[0] * device])
    last = np.array([_SOFTNESS[1], _HEAT[1] * device])
    cooling = np.concatenate((first, (last / first) ** (1 / moves), [np.inf]))
    plans = np.array([now, now])
    done = 0
    while done < moves and not halt():
        size = min(_CHUNK, moves - done)
        drawn = rng.random((size, 2))
        anneal_pass(vector, space.kind, (rows, columns), weight, total, plans, drawn, cooling)
        done += size
    found = np.zeros_like(used)
    found[every, plans[1]] = 1
    return found


def _places(packing: Packing) -> IntArray:
    """Return where the entries of each block, as one of three resources, stand: (B, 6), else -1."""
    slots = {1: [0], 2: [0, 1, 3], 3: [0, 1, 2, 3, 4, 5]}
    found = np.full((len(packing.blocks), _PACKED), -1)
    start = 0
    for block, own in zip(packing.blocks, found, strict=True):
        slot = slots[len(block)]
        own[slot] = np.arange(start, start + len(slot))
        start += len(slot)
    return found


def _gathered(packed: FloatArray, places: IntArray) -> FloatArray:
    """Return what stands at some places (..., 6), zero where there is none.

    `packed` has shape (K,), or that of the places with K for 6.
    """
    at = places.clip(0)
    values = packed[at] if packed.ndim == 1 else np.take_along_axis(packed, at, axis=-1)
    return np.where(places >= 0, values, 0.0)
