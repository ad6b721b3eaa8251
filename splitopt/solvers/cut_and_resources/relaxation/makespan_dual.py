"""The relaxed makespan: the largest deadline that prices prove too short.

At prices u^2 with |u| = 1 and a deadline T, device n cannot buy service for less than
min_l (u . alpha_nl)^2 / (T - d_nl) over the cuts with d_nl < T, while all resources together are
worth |u|^2 = 1. If the costs add up to more than that, no plan meets T. Instead of u u^T any
positive semidefinite matrix U of trace one may price alpha alpha^T.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EPS,
    EigenvalueMeasure,
)
from splitopt.solvers.cut_and_resources.relaxation.packing import THREE, Packing
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Mixture, Root, minimise

_CERTAIN = 1 + 64 * EPS
"""Costs must exceed the budget by more than their rounding error to prove anything."""
_SAFE = 1 - 64 * EPS
_GAINED = 1e-8
"""Where resources fall into many blocks a smaller gain of the deadline, relatively, is none: what
the tree has to close there is much larger."""
_BACK = 1 - 96 * EPS
"""How far before the deadline that just suffices the costs certainly exceed the budget."""


def makespan_root(
    fleet: Fleet,
    watch: Callable[[float], bool] | None = None,
    prices: FloatArray | None = None,
) -> Root:
    """Find the largest deadline that prices prove too short.

    The costs fall as T grows, and for given T the best prices solve a convex problem: prices and
    deadline are improved in turn, which converges like Newton's method.
    """
    columns, weights = [fleet.fastest_alone()], np.ones(1)
    price = first_prices(fleet, columns[0], prices)
    # Nobody is faster than with everything for itself, so the slowest alone bounds the makespan.
    slowest_alone = float(fleet.alone().min(axis=1).max()) * _SAFE
    deadline, passes = deadline_for(fleet, price, slowest_alone), 1
    gain = 4 * EPS if fleet.layout.index is None else _GAINED
    for _ in range(60):
        if watch is not None and watch(deadline):
            break
        probe = max(deadline, fleet.earliest())
        halted = None if watch is None else partial(watch, deadline)
        found = _at_deadline(fleet, probe, price, columns, halted)
        passes += found.passes
        columns, weights, price = found.choices, found.weights, found.price
        if found.bound <= _CERTAIN:  # no prices cost more than there is at this deadline
            break
        better = deadline_for(fleet, price, probe)
        if better <= deadline * (1 + gain):
            break
        deadline = better
    start = warm_start(deadline, fleet.earliest(), price, fleet.layout.packing)
    return Root(deadline, price, start, columns, weights, passes)


def first_prices(fleet: Fleet, cuts: IntArray, prices: FloatArray | None) -> FloatArray:
    """Return packed prices (K,) to start from: given ones (R,), or those that cuts (C,) suggest."""
    packing = fleet.layout.packing
    u = fleet.layout.summed(fleet.roots[np.arange(fleet.classes), cuts], cuts, fleet.count)
    if prices is not None and prices.any():
        u = np.sqrt(prices)
    return packing.dyad(u / np.linalg.norm(u) if u.any() else packing.even())


def warm_start(
    bound: float, earliest: float, price: FloatArray, packing: Packing = THREE
) -> FloatArray:
    """Return the R numbers (T - E) u^2 from which a similar problem is solved sooner.

    T is the bound, E the earliest deadline that every device can meet if it needs nobody, and
    u u^T, |u| = 1, the matrix nearest to the packed prices.
    """
    return max(bound - earliest, 0.0) * packing.principal(price[: packing.size]) ** 2


def _at_deadline(
    fleet: Fleet,
    deadline: float,
    price: FloatArray,
    columns: list[IntArray],
    halt: Callable[[], bool] | None,
) -> Mixture:
    """Find better prices for a deadline; done when half of what they can gain is gained.

    `halt` is asked after every pass whether to end before that.
    """
    service, usable = fleet.service(deadline)
    rows = np.arange(fleet.classes)

    def oracle(prices: FloatArray) -> tuple[FloatArray, IntArray]:
        work = quadratic(fleet, prices)
        cuts = deadline_costs(work, service, usable).argmin(axis=1)
        return fleet.deadline_total(cuts, service), cuts

    known = [cuts for cuts in columns if usable[rows, cuts].all()]
    totals = [fleet.deadline_total(cuts, service) for cuts in known]
    return minimise(
        EigenvalueMeasure(fleet.layout.packing),
        oracle,
        price,
        watch=lambda mixture: (
            mixture.bound - 1 >= 0.5 * (mixture.value - 1) > 0 or (halt is not None and halt())
        ),
        columns=(np.array(totals).reshape(-1, len(price)), known),
        rounding=fleet.rounding,
    )


def deadline_for(fleet: Fleet, price: FloatArray, low: float = 0.0) -> float:
    """Return the largest deadline that these prices, shape (K,) packed, prove too short.

    For a fixed choice of cuts the deadline at which the costs equal the budget is an upper bound
    on the one for the cheapest choice; choosing again there lowers it until nothing changes.

    Parameters
    ----------
    fleet, price
        The devices and the prices.
    low
        A deadline that is known to be too short.
    """
    work = quadratic(fleet, price)
    low = max(low, float((fleet.device_s + work).min(axis=1).max()) * _SAFE)
    cuts, cost = _choose(fleet, work, low)
    if not np.isfinite(cost):
        cuts = (fleet.device_s + work).argmin(axis=1)
    last = np.inf
    # t falls from one choice to the next; where the cheapest choice at t is the last one, the
    # deadline at which it costs exactly the budget is the largest that is too short.
    for _ in range(100):
        t = _deadline_of_choice(fleet, work, cuts)
        if t >= last * _SAFE:
            # The choice is the cheapest at t. Before t it costs too much, unless an idle cut
            # that can only just be used makes a step there.
            t = min(t, last) * _BACK
            if t <= low:
                return low
        cuts, cost = _choose(fleet, work, t)
        if cost > _CERTAIN:
            return max(t, low)
        last = t
    return low


def quadratic(fleet: Fleet, price: FloatArray) -> FloatArray:
    """Return alpha^T U alpha (C, L) for the roots of a fleet and a packed price matrix U (K,)."""
    work = np.zeros(fleet.device_s.shape)
    for vector in fleet.layout.packing.roots(price):
        work += fleet.rooted(vector) ** 2
    return work


def deadline_costs(work: FloatArray, service: FloatArray, usable: BoolArray) -> FloatArray:
    """Return work / service (C, L), infinite where a cut cannot be used, 0 for no work."""
    costs = np.full_like(work, np.inf)
    np.divide(work, service, out=costs, where=usable & (service > 0))
    costs[usable & (work == 0)] = 0.0
    return costs


def _choose(fleet: Fleet, work: FloatArray, deadline: float) -> tuple[IntArray, float]:
    """Choose the cheapest cuts (C,) at a deadline and give their cost, infinite if there is none.

    A cut whose work is free at these prices needs no more than its device time.
    """
    service = deadline - fleet.device_s
    cuts = deadline_costs(work, service, service >= 0).argmin(axis=1)
    rows = np.arange(fleet.classes)
    chosen, left = work[rows, cuts], service[rows, cuts]
    if (left < 0).any() or (chosen[left == 0] > 0).any():
        return cuts, np.inf
    busy = chosen > 0
    return cuts, float(fleet.count[busy] @ (chosen[busy] / left[busy]))


def _deadline_of_choice(fleet: Fleet, work: FloatArray, cuts: IntArray) -> float:
    """Return the deadline at which given cuts cost the budget, or can just all be used.

    The reciprocal of the cost is concave and increasing in the deadline, so that Newton's method
    from the left never overshoots.
    """
    rows = np.arange(fleet.classes)
    chosen, device = work[rows, cuts], fleet.device_s[rows, cuts]
    busy = chosen > 0
    earliest = float(device.max())
    if not busy.any():
        return earliest
    need, device = fleet.count[busy] * chosen[busy], device[busy]
    t = max(float((device + need).max()), float(np.nextafter(device.max(), np.inf)))
    for _ in range(100):
        costs = need / (t - device)
        cost = float(costs.sum())  # h(t); Newton's step on 1 / h - 1 = 0
        step = (cost - 1) * cost / float((costs / (t - device)).sum())
        if step <= 2 * EPS * t:
            break
        t += step
    return max(t, earliest)
