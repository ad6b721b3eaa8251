"""The relaxed problem with budgets: one more price for each, found with the others.

The weights of the measure (see `budget_measure`) are raised until the mixture keeps the budgets;
the bounds are valid whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_and_resources.relaxation.budget_measure import BudgetMeasure
from splitopt.solvers.cut_and_resources.relaxation.fleet import Fleet
from splitopt.solvers.cut_and_resources.relaxation.makespan_dual import (
    deadline_costs,
    first_prices,
    quadratic,
    warm_start,
)
from splitopt.solvers.cut_and_resources.relaxation.measures import (
    EPS,
    EigenvalueMeasure,
    SumMeasure,
)
from splitopt.solvers.cut_and_resources.relaxation.simplicial import Mixture, Root, minimise
from splitopt.solvers.cut_and_resources.relaxation.sum_dual import sum_costs

_KEPT = 1e-9
"""A mixture that exceeds a budget by less, relatively, keeps it."""
_ROUNDS = 14
"""How often the weights are raised tenfold; beyond, the numbers of the budgets drown the times."""
_FIRST = 4.0
"""First weight of a budget, relative to the value."""
_GAINED = 1e-12
"""A smaller gain of the deadline, relatively, is none."""
_NEAR = 1.1
"""Costs this near to what there is show whether the weights of the budgets are too small."""
_SAFE = 1 - 64 * EPS

Watch = Callable[[float], bool]


def budget_root(
    objective: str, fleet: Fleet, watch: Watch | None = None, prices: FloatArray | None = None
) -> Root:
    """Solve the relaxed problem of a fleet with budgets.

    Parameters
    ----------
    objective
        ``"sum"`` or ``"makespan"``.
    fleet
        The devices, with a `use`.
    watch
        Told the best bound so far after every pass; it stops the work by returning True.
    prices
        Shape (R,): prices of the resources to start from, as for the problem without budgets.
    """
    assert fleet.use is not None
    halt = watch or (lambda _: False)
    if objective == "sum":
        return _sum_root(fleet, halt, prices)
    return _MakespanRoot(fleet, halt, prices).run()


def use_costs(fleet: Fleet, price: FloatArray) -> FloatArray:
    """Return mu . use (C, L) at prices whose last entries are those of the budgets."""
    assert fleet.use is not None
    return np.asarray(fleet.use @ price[-fleet.use.shape[2] :])


def _sum_root(fleet: Fleet, halt: Watch, prices: FloatArray | None) -> Root:
    assert fleet.use is not None
    size, times = fleet.use.shape[2], fleet.resources + 1

    def oracle(price: FloatArray) -> tuple[FloatArray, IntArray]:
        cuts = (sum_costs(fleet, price) + use_costs(fleet, price)).argmin(axis=1)
        return fleet.sum_total(cuts), cuts

    first = fleet.sum_total(fleet.fastest_alone())
    value = float(SumMeasure().values(first[None, :times])[0])
    weight = np.full(size, _FIRST * (value or 1.0))
    start = 2 * first[: fleet.resources] if prices is None else prices
    price = np.concatenate((start, [1.0], np.zeros(size)))
    columns: tuple[FloatArray, list[IntArray]] | None = None
    best, passes = -np.inf, 0
    root: Root | None = None
    for _ in range(_ROUNDS):
        found = minimise(
            BudgetMeasure(SumMeasure(), weight),
            oracle,
            price,
            watch=lambda mixture: halt(mixture.bound),
            columns=columns,
            rounding=fleet.rounding,
        )
        passes += found.passes
        if root is None or found.bound > best:
            best, price = max(found.bound, 0.0), found.price
        start = price[: fleet.resources]
        root = Root(best, price, start, found.choices, found.weights, passes, weight)
        columns = found.totals, found.choices
        over = found.mean[times:] > 1 + _KEPT
        if not over.any() or halt(best):
            break
        weight = np.where(over, 10 * weight, weight)
    assert root is not None
    return replace(root, bound=max(root.bound, 0.0))


class _MakespanRoot:
    """Prices, deadline and weights improved in turn, as in `makespan_root`."""

    def __init__(self, fleet: Fleet, halt: Watch, prices: FloatArray | None) -> None:
        assert fleet.use is not None
        self.fleet = fleet
        self.halt = halt
        self.rows = np.arange(fleet.classes)
        self.weight = np.full(fleet.use.shape[2], _FIRST)
        self.columns: list[IntArray] = [fleet.fastest_alone()]
        self.weights = np.ones(1)
        self.packing = fleet.layout.packing
        start = first_prices(fleet, self.columns[0], prices)
        self.price = np.concatenate((start, np.zeros(len(self.weight))))
        self.deadline = _soonest(fleet) * _SAFE
        self.passes = 0

    def run(self) -> Root:
        """Improve the deadline that is proved too short until nothing is gained."""
        raised = 0
        for _ in range(60):
            if self.halt(self.deadline):
                break
            probe = max(self.deadline, self.fleet.earliest())
            found = self._at(probe)
            self.passes += found.passes
            self.columns, self.weights = found.choices, found.weights
            self.price = found.price.copy()
            size = self.packing.size
            over = found.mean[size:] > 1 + _KEPT
            over &= self.price[size:] > 0.9 * self.weight
            raising = bool(over.any()) and found.bound < _NEAR and raised < _ROUNDS
            before = self.deadline
            if found.bound > 1 + 64 * EPS:
                tries = [self._too_short(probe, scaled) for scaled in (True, False)]
                better, price = max(tries, key=lambda found: found[0])
                if better > before:
                    self.deadline, self.price = better, price
            if raising:
                self.weight, raised = np.where(over, 10 * self.weight, self.weight), raised + 1
            elif self.deadline <= before * (1 + _GAINED):
                break
        earliest = self.fleet.earliest()
        start = warm_start(self.deadline, earliest, self.price, self.packing)
        return Root(
            self.deadline,
            self.price,
            start,
            self.columns,
            self.weights,
            self.passes,
            self.weight,
        )

    def _at(self, deadline: float) -> Mixture:
        """Find better prices for a deadline; done when half of what they can gain is gained."""
        fleet = self.fleet
        service, usable = fleet.service(deadline)

        def oracle(price: FloatArray) -> tuple[FloatArray, IntArray]:
            work = quadratic(fleet, price[: self.packing.size])
            cost = deadline_costs(work, service, usable) + use_costs(fleet, price)
            cuts = cost.argmin(axis=1)
            return fleet.deadline_total(cuts, service), cuts

        known = [cuts for cuts in self.columns if usable[self.rows, cuts].all()]
        totals = [fleet.deadline_total(cuts, service) for cuts in known]
        return minimise(
            BudgetMeasure(EigenvalueMeasure(self.packing), self.weight),
            oracle,
            self.price,
            watch=lambda mixture: (
                mixture.bound - 1 >= 0.5 * (mixture.value - 1) > 0 or self.halt(self.deadline)
            ),
            columns=(np.array(totals).reshape(-1, len(self.price)), known),
            rounding=fleet.rounding,
        )

    def _too_short(self, deadline: float, scaled: bool) -> tuple[float, FloatArray]:
        """Return a deadline, at least the given one, that prices prove too short, and these prices.

        At fixed prices of the resources the costs fall as the deadline grows. The prices of the
        budgets, which are in the same unit, may be scaled with them. A Newton step for a fixed
        choice of cuts stays left of the deadline at which it costs what there is; another choice
        may be cheaper there, so that a step is halved until it is proved.
        """
        size = self.packing.size
        work = quadratic(self.fleet, self.price[:size])
        mu, paid = use_costs(self.fleet, self.price), float(self.price[size:].sum())
        scale = 1.0
        at = self._costs(work, mu, paid, deadline)
        for _ in range(60):
            if not (0 < at.excess < np.inf and at.slope > 0):
                break
            step = at.excess / at.slope
            if scaled:
                step *= at.busy / (1 + at.excess)
            while step > 2 * EPS * deadline:
                fall = at.busy_at(deadline + step) / at.busy if scaled else 1.0
                tried = self._costs(work, scale * fall * mu, scale * fall * paid, deadline + step)
                if tried.excess > 0:
                    break
                step *= 0.5
            else:
                break
            deadline, scale, at = deadline + step, scale * fall, tried
        return deadline, np.concatenate((self.price[:size], scale * self.price[size:]))

    def _costs(self, work: FloatArray, mu: FloatArray, paid: float, deadline: float) -> _Costs:
        """Price a deadline: the cheapest cut of every class, and what they cost together."""
        fleet = self.fleet
        service, usable = fleet.service(deadline)
        cost = deadline_costs(work, service, usable) + mu
        cuts = cost.argmin(axis=1)
        whole = float(fleet.count @ cost[self.rows, cuts])
        part, left = work[self.rows, cuts], service[self.rows, cuts]
        busy = (part > 0) & (left > 0)
        need, device = fleet.count[busy] * part[busy], deadline - left[busy]
        sure = whole - paid - 1 - 64 * EPS * (whole + paid + 1) if np.isfinite(whole) else np.inf
        return _Costs(sure, need, device, deadline)


def _soonest(fleet: Fleet) -> float:
    """Return a time before which no plan within each budget ends, were every device alone.

    Bisection over the times of devices that have everything for themselves: within a time only the
    choices count that take no longer, and these must not exceed a budget already.
    """
    assert fleet.use is not None
    alone = fleet.alone()
    times = np.unique(alone[np.isfinite(alone)])
    low, high = 0, len(times) - 1
    while low < high:
        middle = (low + high) // 2
        use = np.where((alone <= times[middle])[:, :, None], fleet.use, np.inf).min(axis=1)
        if (fleet.count @ use <= 1 + _KEPT).all():
            high = middle
        else:
            low = middle + 1
    return float(times[low])


@dataclass(frozen=True)
class _Costs:
    """By how much the cheapest costs surely exceed what there is, and those that fall with time."""

    excess: float
    need: FloatArray
    device: FloatArray
    deadline: float

    def busy_at(self, deadline: float) -> float:
        """Return what the chosen cuts cost of the shared resources at another deadline."""
        return float((self.need / (deadline - self.device)).sum())

    @property
    def busy(self) -> float:
        """What they cost at the deadline itself."""
        return self.busy_at(self.deadline)

    @property
    def slope(self) -> float:
        """How fast that falls, per second."""
        return float((self.need / (self.deadline - self.device) ** 2).sum())
