"""Simplicial decomposition: minimise a convex measure over mixtures of priced columns.

The relaxed problem is min measure(S) over the convex hull of the totals S of all vectors of cuts.
A pass prices the devices at the measure's gradient, which gives one more column (the cheapest
total) and a lower bound; a master problem then mixes the few columns at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.few_columns import FEW, few_simplex_qp
from splitopt.solvers.cut_and_resources.relaxation.measures import EPS, Measure

Price = Callable[[FloatArray], tuple[FloatArray, Any]]
"""Prices (K,) -> the cheapest total (K,) at them and whatever describes its choice."""

_ROUNDING = 64 * EPS
"""Relative error allowed for a priced total; pairwise sums of non-negative terms stay below."""

_SOFTNESS = 1e-2
"""How far kinks are rounded off at first, relative to the value of the first column."""


@dataclass
class Mixture:
    """The state of one decomposition: columns, weights, and the best bound with its prices."""

    totals: FloatArray
    choices: list[Any]
    weights: FloatArray
    bound: float
    price: FloatArray
    value: float = np.inf
    passes: int = 1

    @property
    def mean(self) -> FloatArray:
        """The mixed total, shape (K,)."""
        return np.asarray(self.weights @ self.totals)

    def add(self, totals: FloatArray, choices: list[Any]) -> None:
        """Add columns, shape (M, K), and their choices, with no weight as yet."""
        if len(totals):
            self.totals = np.vstack((self.totals, totals))
            self.choices += choices
            self.weights = np.append(self.weights, np.zeros(len(totals)))


@dataclass(frozen=True)
class Root:
    """What the relaxation of a whole problem gives.

    Parameters
    ----------
    bound
        A valid lower bound on the objective.
    price
        The prices that prove it: shape (R + 1,), (p, 1), for the sum; shape (K,), a packed matrix,
        for the makespan; and behind these one for each budget of the fleet.
    warm_start
        Shape (R,): prices from which a similar problem is solved sooner. For the sum they are the p
        of `sum_root`; for the makespan see `makespan_dual.warm_start`.
    columns
        Vectors of cuts (C,), 0-based, one per class, whose mixture solves the relaxed problem.
    weights
        The mixture, one weight per column.
    passes
        Passes over the devices of which no watcher was told.
    weight
        Shape (B,): the weights of the budgets in the measure that was minimised.
    """

    bound: float
    price: FloatArray
    warm_start: FloatArray
    columns: list[IntArray]
    weights: FloatArray
    passes: int = 0
    weight: FloatArray | None = None


class Ending(NamedTuple):
    """When a decomposition ends.

    Parameters
    ----------
    target
        Stop as soon as the bound reaches it.
    tolerance
        Stop when value and bound agree to this, relative to the value.
    limit
        Most passes.
    """

    target: float = np.inf
    tolerance: float = 1e-13
    limit: int = 300


_CLOSED = Ending()
"""At the end of a run that closes the gap."""


def minimise(
    measure: Measure,
    price: Price,
    start: FloatArray,
    *,
    ending: Ending = _CLOSED,
    watch: Callable[[Mixture], bool] | None = None,
    columns: tuple[FloatArray, list[Any]] | None = None,
    rounding: float = _ROUNDING,
) -> Mixture:
    """Minimise a measure over mixtures.

    Parameters
    ----------
    measure
        What to minimise.
    price
        The oracle.
    start
        Prices of the first pass, shape (K,); the measure's gradient anywhere will do.
    ending
        When to stop.
    watch
        Called after every pass; it stops the run by returning True.
    columns
        Totals (M, K) and choices that are known to be feasible, from a related problem.
    rounding
        Relative error allowed for a priced total.
    """
    total, choice = price(start)
    bound = lower_bound(measure, start, total, rounding)
    mixture = Mixture(total[None], [choice], np.ones(1), bound, start.copy())
    if columns is not None:
        mixture.add(*columns)
    softness = _SOFTNESS * (abs(float(measure.values(total[None])[0])) or 1.0)
    reached = np.inf
    while mixture.bound < ending.target and mixture.passes < ending.limit:
        if watch is not None and watch(mixture):
            break
        _mix(measure, mixture, softness)
        model = measure.model(mixture.mean, softness)
        exact = float(measure.values(mixture.mean[None])[0])
        mixture.value = min(mixture.value, exact)
        least = ending.tolerance * abs(exact)
        if mixture.value - mixture.bound <= least:
            break
        total, choice = price(model.gradient)
        mixture.passes += 1
        bound = lower_bound(measure, model.gradient, total, rounding)
        # What the new column can still gain at most, by convexity.
        gain = float(model.gradient @ (mixture.mean - total))
        blur = model.value - exact
        idle = bound <= mixture.bound and model.value >= reached - 4 * EPS * abs(reached)
        known = bool((mixture.totals == total).all(axis=1).any())
        reached = model.value
        if bound > mixture.bound:
            mixture.bound, mixture.price = bound, model.gradient
        if idle or known or gain <= max(least, 0.5 * blur):
            if blur <= least or softness < EPS * abs(exact):
                break
            softness, reached = 0.3 * softness, np.inf
        if not known:
            mixture.add(total[None], [choice])
    return mixture


def lower_bound(
    measure: Measure, price: FloatArray, total: FloatArray, rounding: float = _ROUNDING
) -> float:
    """Return the value that prices and their cheapest total prove, less the rounding error."""
    constant = measure.constant(price)
    size = float(np.abs(price) @ np.abs(total)) + abs(constant)
    return float(price @ total) + constant - rounding * size


@np.errstate(under="ignore")  # what lies far within its budget counts for nothing
def _mix(measure: Measure, mixture: Mixture, softness: float) -> None:
    """Find the best weights by Newton steps, each a quadratic program, and drop idle columns."""
    weights, totals = mixture.weights, mixture.totals
    for _ in range(30):
        mean = weights @ totals
        model = measure.model(mean, softness)
        offset = totals - mean
        goal = simplex_qp(offset @ model.hessian @ offset.T, offset @ model.gradient, weights)
        step = goal - weights
        fall = float((step @ totals) @ model.gradient)
        if fall >= -4 * EPS * abs(model.value):
            break
        length = 1.0
        while length > 1e-6:
            trial = weights + length * step
            reached = measure.soft_value(trial @ totals, softness)
            if reached <= model.value + 0.1 * length * fall:
                break
            length *= 0.5
        else:
            break
        weights = np.maximum(trial, 0.0)
        weights /= weights.sum()
        if model.value - reached <= 4 * EPS * abs(model.value):
            break
    keep = weights > 0
    mixture.weights = weights[keep]
    mixture.totals = totals[keep]
    mixture.choices = [choice for choice, kept in zip(mixture.choices, keep, strict=True) if kept]


def simplex_qp(hessian: FloatArray, linear: FloatArray, start: FloatArray) -> FloatArray:
    """Minimise 0.5 x H x + c x over the simplex by an active-set method, from a feasible start.

    Meant for a handful of variables, of the fewest in plain Python (`few_columns`). H may be
    singular: it gets a ridge at rounding level.
    """
    size = len(linear)
    if size <= FEW:
        return np.array(few_simplex_qp(hessian.tolist(), linear.tolist(), start.tolist()))
    top = float(np.abs(hessian).max()) + float(np.abs(linear).max())
    if top == 0:
        return start.copy()
    ridge = hessian / top + 1e-14 * np.eye(size)
    slope = linear / top
    x = start.copy()
    free: BoolArray = x > 0
    for _ in range(4 * size + 20):
        goal = _stationary(ridge, slope, free)
        if goal.min() >= 0:
            x = goal
            gradient = ridge @ x + slope
            level = float(gradient[free].mean())
            excess = np.where(free, np.inf, gradient - level)
            worst = int(excess.argmin())
            if excess[worst] >= -1e-15:
                return x
            free[worst] = True
            continue
        blocked = goal < 0
        ratio = np.where(blocked, x / np.where(blocked, x - goal, 1.0), np.inf)
        length = float(ratio.min())
        x = np.maximum(x + length * (goal - x), 0.0)
        x[ratio <= length] = 0.0
        free &= ratio > length
    return x


def _stationary(hessian: FloatArray, linear: FloatArray, free: BoolArray) -> FloatArray:
    """Minimise over the free variables under their sum alone."""
    index = np.flatnonzero(free)
    size = len(index)
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = hessian[np.ix_(index, index)]
    system[size, :size] = system[:size, size] = 1.0
    right = np.append(-linear[index], 1.0)
    found = np.zeros(len(linear))
    found[index] = np.linalg.solve(system, right)[:size]
    return found
