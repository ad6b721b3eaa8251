"""The relaxed sum: a concave dual in a price per resource, solved in a few passes over devices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.measures import SumMeasure
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Root, minimise


def sum_root(
    fleet: Fleet,
    watch: Callable[[float], bool] | None = None,
    prices: FloatArray | None = None,
) -> Root:
    """Maximise g(p) = -|p|^2 / 4 + sum_n min_l (d_nl + p . alpha_nl).

    For every p and every total A of roots, |A|^2 >= p . A - |p|^2 / 4, which proves g(p); at the
    best p the bound is the minimum over mixed cuts.
    """

    def price(prices: FloatArray) -> tuple[FloatArray, IntArray]:
        cuts = sum_costs(fleet, prices).argmin(axis=1)
        return fleet.sum_total(cuts), cuts

    if prices is None:
        prices = 2 * fleet.sum_total(fleet.fastest_alone())[:-1]
    start = np.append(prices, 1.0)
    found = minimise(
        SumMeasure(),
        price,
        start,
        watch=None if watch is None else lambda mixture: watch(mixture.bound),
        rounding=fleet.rounding,
    )
    # Times are not negative, so that zero is a bound even where rounding says less.
    bound = max(found.bound, 0.0)
    return Root(bound, found.price, found.price[:-1], found.choices, found.weights, found.passes)


def sum_costs(fleet: Fleet, price: FloatArray) -> FloatArray:
    """Return d + p . alpha (C, L) at prices (p, 1), infinite where a cut is not allowed."""
    costs = fleet.rooted(price[: fleet.resources])
    costs += fleet.device_s
    return costs
