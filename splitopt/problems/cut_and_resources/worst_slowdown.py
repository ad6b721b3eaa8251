"""Who is slow at worst for given cuts: the saddle point of shares and slowness.

For cuts, with alpha the roots of the seconds at the full resource, z_n in [0, 1] how far device n
is slow, and e_n the stretch of its links, the least worst case over shares is

    min over shares of max over z of the sum of latencies
        =  max over z of  F(z) = sum_r A_r(z)^2 + sum_n (d_n + z_n m_n),
    A_r(z) = sum_n alpha_nr sqrt(1 + e_n z_n) for links, sum_n alpha_nr for the server,

under sum_n z_n <= G: latencies are convex in the shares and linear in z, so that the order does not
matter (Sion's minimax theorem), and the best shares for z are proportional to the slowed roots
(Cauchy-Schwarz). F is concave, as a minimum of linear functions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.cut_and_resources.slow_devices import slowest

_CLOSE = 1e-14
"""Relative gap at which a saddle point is found."""
_STEPS = 400
_NEWTON = 60


class Rows(NamedTuple):
    """The rows of chosen cuts: roots (N, R), own and more (N,), linked (R,), stretch (N,)."""

    roots: FloatArray
    own: FloatArray
    more: FloatArray
    linked: BoolArray
    stretch: FloatArray

    def slowed(self, part: FloatArray) -> Rows:
        """Return the rows of devices that are slow for sure, as far as `part` (N,) says."""
        factor = np.sqrt(1 + self.stretch * part)
        roots = np.where(self.linked, self.roots * factor[:, None], self.roots)
        return self._replace(roots=roots, own=self.own + part * self.more)


class Slowdown(NamedTuple):
    """A saddle point: how far each device is slow (N,), and the interval that holds the value.

    ``value`` is the worst case of the shares that are best against ``slowed``, ``bound`` what
    these slow devices cost at least, whatever the shares.
    """

    slowed: FloatArray
    value: float
    bound: float


def worst_slowdown(rows: Rows, slow: float, enough: float = np.inf) -> Slowdown:
    """Compute the worst slowness of at most `slow` devices, and the least worst case.

    It ends early where the bound reaches `enough`.

    F is raised step by step: A^2 >= 2 A A0 - A0^2 gives a minorant that touches F at z and is
    separable at prices p = 2 A0, whose maximum has a closed form but for one multiplier
    (minorisation and maximisation; every step raises F).
    """
    size = len(rows.own)
    slow = min(float(slow), float(size))
    part = slowest(_alone(rows), slow)
    best = Slowdown(part, np.inf, -np.inf)
    bound = -np.inf
    for _ in range(_STEPS):
        value, least, total = _between(rows, part, slow)
        bound = max(bound, least)
        if value < best.value:
            best = Slowdown(part, value, bound)
        if best.value - bound <= _CLOSE * abs(best.value) or bound >= enough:
            break
        last, part = part, response(rows, 2 * total, slow)
        if np.array_equal(last, part):
            break
    return best._replace(bound=bound)


def _alone(rows: Rows) -> FloatArray:
    """Shape (N,): a guess of the increments, at the shares that are best if nobody is slow."""
    roots = rows.roots[:, rows.linked]
    return np.asarray(rows.more + rows.stretch * (roots @ roots.sum(axis=0)))


def _between(rows: Rows, part: FloatArray, slow: float) -> tuple[float, float, FloatArray]:
    """Return the worst case of the shares against `part`, F(part), and the totals A (R,)."""
    slowed = rows.slowed(part)
    total = slowed.roots.sum(axis=0)
    least = float(total @ total + slowed.own.sum())
    # with shares alpha' / A a device takes alpha^2 A / alpha' nominally
    factor = np.sqrt(1 + rows.stretch * part)
    links = (rows.roots[:, rows.linked] @ total[rows.linked]) / factor
    latency = links + rows.roots[:, ~rows.linked] @ total[~rows.linked] + rows.own
    more = rows.stretch * links + rows.more
    value = float(latency.sum() + slowest(more, slow) @ more)
    return value, least, total


def response(rows: Rows, price: FloatArray, slow: float) -> FloatArray:
    """Shape (N,): the slowness that costs most at prices (R,) of the roots' totals.

    Maximises sum_n (b_n sqrt(1 + e_n z_n) + m_n z_n), b = p . alpha over links, under
    sum_n z_n <= slow. The total falls with the multiplier theta of that limit: its place between
    the thetas at which a device begins or ends to be partly slow is found by bisection, and then
    by Newton's method from the left, which cannot overshoot since the total is convex there.
    """
    size, more, stretch = len(rows.own), rows.more, rows.stretch
    weight = rows.roots[:, rows.linked] @ price[rows.linked]
    if slow >= size:
        return np.ones(size)
    pull = 0.5 * weight * stretch
    ends, begins = more + pull / np.sqrt(1 + stretch), more + pull
    theta = np.sort(np.concatenate(([0.0], ends, begins)))
    low, high = 0, len(theta) - 1
    part = slowed_at(weight, more, stretch, theta[0])
    if part.sum() <= slow:
        return part
    while high - low > 1:
        middle = (low + high) // 2
        if slowed_at(weight, more, stretch, theta[middle]).sum() > slow:
            low = middle
        else:
            high = middle
    last = slowed_at(weight, more, stretch, theta[high])
    steps = (more == theta[high]) & (pull <= 0)  # those that are slow just below, and not there
    before = np.where(steps, 1.0, last)
    if before.sum() >= slow:
        short = slow - float(last.sum())
        return np.asarray(last + short / float(steps.sum()) * steps) if steps.any() else last
    partly = (pull > 0) & (ends <= theta[low]) & (begins >= theta[high])
    wanted = slow - float(before[~partly].sum())
    at = _root(more[partly], pull[partly], stretch[partly], wanted, float(theta[low]))
    return slowed_at(weight, more, stretch, at)


def _root(
    more: FloatArray, pull: FloatArray, stretch: FloatArray, wanted: float, at: float
) -> float:
    """Return theta at which devices that are all partly slow are so as much as is `wanted`."""
    for _ in range(_NEWTON):
        away = at - more
        part = ((pull / away) ** 2 - 1) / stretch
        slope = 2 * float((pull**2 / (stretch * away**3)).sum())
        step = (float(part.sum()) - wanted) / slope
        if not step > 1e-16 * at:
            break
        at += step
    return at


def slowed_at(
    weight: FloatArray, more: FloatArray, stretch: FloatArray, theta: float
) -> FloatArray:
    """Return z in [0, 1] that maximises weight sqrt(1 + stretch z) + (more - theta) z.

    All are of one shape. The derivative ``weight stretch / (2 sqrt(1 + stretch z)) + more - theta``
    falls in z, and its root has a closed form.
    """
    away, pull = theta - more, 0.5 * weight * stretch
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inner = ((pull / away) ** 2 - 1) / stretch
    # where links do not matter a device is slow or not, and is not where nothing is gained
    found = np.where(pull > 0, np.where(away > 0, inner, 1.0), away < 0)
    return np.asarray(np.minimum(np.maximum(found, 0.0), 1.0))
