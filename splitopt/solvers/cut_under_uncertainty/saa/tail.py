"""Choosing the cut of least CVaR: one bet at every threshold of the rival's tail."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty.risk import shortfall
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Checked, Request, Rounds
from splitopt.solvers.cut_under_uncertainty.confidence.betting import Moments, check_lowest, stake
from splitopt.solvers.cut_under_uncertainty.confidence.cells import Cells, make_cells
from splitopt.solvers.cut_under_uncertainty.confidence.tail_value import (
    Cap,
    TailValue,
    at_least,
    gain,
    rejected_in_all,
)
from splitopt.solvers.cut_under_uncertainty.saa.verdict import (
    Settings,
    Value,
    Verdict,
    log_goal,
    relative_to,
)

PILOT, CHEAP_BLOCK, CHEAP_BLOCKS = 16_384, 2048, 8
"""Rounds of bounds that fix thresholds and caps; blocks that are bet on by bounds alone."""

VALUE_BLOCK = 8192
"""Rounds of bounds for the value of the chosen cut."""

GROWTH, PARTS = 1.4, 4
"""From look to look so many times the rounds, in so many blocks."""

_EXCESS_STREAM, _EXCESS_BLOCK, _MOST_EXCESS = 2**24, 16_384, 2**20
_EXCESS_SHARE, _MOST_SHARE, _EXCESS_STAKE = 0.1, 0.5, 0.9
"""What a cap leaves out has this share of the chance of an error, and should cost this share of the
tolerance; the most that it may cost; and the stake of the bet on it."""

_PLANNED = 800


@dataclass(frozen=True, eq=False)
class _Block:
    """Latencies of shape (V, n), NaN where a cut was out; a block of bounds alone has two tables.

    ``thresholds``, shape (V,): t of each cut if it is the chosen one, from earlier blocks.
    """

    lower: FloatArray
    upper: FloatArray
    thresholds: FloatArray
    alive: frozenset[int]
    exact: bool
    pilot: bool = False


class _Pair:
    """Bets in all cells that cut `rival` has a larger CVaR than cut `chosen`."""

    def __init__(self, cells: int) -> None:
        self.done = 0
        self.settle, self.out = np.zeros(cells), np.zeros(cells)
        self.moments = {True: Moments(), False: Moments()}
        self.bets: list[tuple[int, FloatArray]] = []


class TailChoice:
    """The procedure; `run` it, and `verdict` says at any time what is known.

    Parameters
    ----------
    rounds
        Where they come from.
    level
        Of the CVaR, above 0 and below 1.
    settings
        Tolerance, confidence and price.
    """

    def __init__(self, rounds: Rounds, level: float, settings: Settings):
        self.rounds, self.level, self.settings = Checked(rounds), level, settings
        self._least, self._most = self.rounds.least, self.rounds.most
        self._alive = set(range(rounds.cuts))
        self._goal = log_goal(rounds.cuts - 1, settings.level, 1 - _EXCESS_SHARE)
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._caps: dict[int, Cap] = {}
        self._blocks: list[_Block] = []
        self._kept: list[FloatArray] = []
        self._pilot: Cheap | None = None
        self._own: Cheap | None = None
        self._cells: list[Cells] = []
        self._eps = self._scale = 0.0
        self._streams = self._drawn = 0
        self.cut, self.settled = 0, False
        self.answered = self.answers = 0

    def run(self) -> None:
        """Draw and answer rounds until the choice is settled or the price is reached."""
        self._prepare()
        self._bound_blocks()
        if not self.settled and self.rounds.cuts > 1:
            self._answer_blocks()
        self._own = self._draw(VALUE_BLOCK, self.cut)

    def _answer_blocks(self) -> None:
        self._answer([self.settings.pilot], pilot=True)
        self._look()
        while not self.settled and self.answered < self.settings.max_rounds:
            size = max(1, math.ceil((GROWTH - 1) * max(self.answered, 1) / PARTS))
            self._answer([size] * PARTS)
            self._look()

    def keep(self, values: FloatArray) -> None:
        """Add answers to further independent rounds, shape (n,), under the chosen cut."""
        self._kept.append(values)

    def _draw(self, count: int, cut: int | None = None) -> Cheap:
        self._streams += 1
        self._drawn += count
        return self.rounds.draw(self._streams - 1, count, cut)

    def _prepare(self) -> None:
        """Fix the tolerance, the cells and the thresholds from rounds that are not bet on."""
        pilot = self._pilot = self._draw(PILOT)
        tails = [self._tail_mean(pilot.lower[v]) for v in range(self.rounds.cuts)]
        self._scale = min(tails)
        self._eps = self.settings.tolerance * self._scale
        for v in range(self.rounds.cuts):
            ends = (float(self._least[v]), float(self._most[v]))
            self._cells.append(
                make_cells(pilot.lower[v], pilot.upper[v], self.level, self._eps, ends)
            )
        thresholds = np.quantile(pilot.upper, self.level, axis=1)
        self._start = np.maximum(thresholds, [c.known_below for c in self._cells])
        self.cut = int(np.argmin([self._tail_mean(row) for row in pilot.upper]))

    def _tail_mean(self, values: FloatArray) -> float:
        """Return the CVaR of cheap rounds, two standard errors down."""
        found = shortfall(values, float(np.quantile(values, self.level)), self.level)
        error = float(found.std()) / math.sqrt(len(values))
        return max(float(found.mean()) - 2 * error, float(values.min()))

    def _bound_blocks(self) -> None:
        for _ in range(CHEAP_BLOCKS):
            cheap = self._draw(CHEAP_BLOCK)
            alive = frozenset(range(self.rounds.cuts))
            self._blocks.append(_Block(cheap.lower, cheap.upper, self._start, alive, exact=False))
            self._look()
            rivals = [v for v in self._alive if v != self.cut]
            moments = [self._pair(v).moments[False] for v in rivals]
            if self.settled or not any((m.mean + self._eps > 0).all() for m in moments):
                return

    def _answer(self, sizes: list[int], pilot: bool = False) -> None:
        """Answer blocks of rounds under all cuts alive, where it matters, and take them in."""
        alive = sorted(self._alive)
        drawn = [self._draw(size) for size in sizes]
        requests = [
            Request(c, v, np.flatnonzero(c.upper[v] >= self._cells[v].known_below))
            for c in drawn
            for v in alive
        ]
        exact = iter(self.rounds.answer(requests))
        for cheap in drawn:
            table = np.full(cheap.lower.shape, np.nan)
            table[alive] = cheap.lower[alive]  # what is not asked for lies below all thresholds
            for v in alive:
                rows = np.flatnonzero(cheap.upper[v] >= self._cells[v].known_below)
                table[v, rows] = next(exact)
                self.answers += len(rows)
            self._blocks.append(
                _Block(table, table, self._next_thresholds(), frozenset(alive), True, pilot)
            )
            self.answered += cheap.lower.shape[1]

    def _next_thresholds(self) -> FloatArray:
        """Return t of every cut from the answered blocks so far, at first from bounds."""
        tables = [block.lower for block in self._blocks if block.exact]
        if not tables:
            return self._start
        seen = np.concatenate(tables, axis=1)
        found = np.asarray(np.quantile(seen, self.level, axis=1))
        found = np.maximum(found, [c.known_below for c in self._cells])
        return np.where(np.isnan(found), self._start, found)

    def _look(self) -> None:
        """Choose the least estimate, leave out what cannot be best, and see if it is settled."""
        self.cut = self._leader()
        for v in sorted(self._alive - {self.cut}):
            if self._sure_lead(v) <= 0 or (self._pair(v).out >= self._goal).all():
                self._alive.discard(v)
        self.settled = all(
            self._sure_lead(v) <= self._eps or (self._pair(v).settle >= self._goal).all()
            for v in self._alive - {self.cut}
        )

    def _leader(self) -> int:
        alive = sorted(self._alive)
        exact = any(block.exact for block in self._blocks)
        totals = np.zeros(len(alive))
        for block in self._blocks:
            if block.exact == exact:
                for row, v in enumerate(alive):
                    t = float(block.thresholds[v])
                    totals[row] += shortfall(block.upper[v], t, self.level).sum()
        return alive[int(totals.argmin())]

    def _sure_lead(self, rival: int) -> float:
        return float(self._most[self.cut] - self._least[rival])

    def _cap(self, cut: int) -> Cap:
        """Return the cap of a chosen cut; two independent sets of rounds fix it and its price."""
        if cut in self._caps:
            return self._caps[cut]
        assert self._pilot is not None
        most = float(self._most[cut])
        found = Cap(most, 0.0)
        at = float(self._pilot.upper[cut].max())
        if at < most and self._eps > 0:
            goal = math.log(10 * self.rounds.cuts / (1 - self.settings.level))
            reach = (most - at) / (1 - self.level)
            least = reach * goal / (_EXCESS_STAKE * self._eps)  # if no round is beyond the cap
            if least <= _MOST_SHARE * _MOST_EXCESS:
                wanted = min(least / _EXCESS_SHARE, _MOST_EXCESS)
                excess = self._excess(cut, at, math.ceil(wanted / _EXCESS_BLOCK), goal)
                if excess <= _MOST_SHARE * self._eps:
                    found = Cap(at, excess)
        self._caps[cut] = found
        return found

    def _excess(self, cut: int, at: float, blocks: int, goal: float) -> float:
        """Return an upper bound, at its own level, on the mean of max(D - at, 0) / (1 - level).

        exp(-s z - (-log(1 - s) - s) z^2) <= 1 - s z for 0 <= z <= 1, as in `mean_interval`.
        """
        total = squares = 0.0
        reach, share = float(self._most[cut]) - at, _EXCESS_STAKE
        for number in range(blocks):
            cheap = self.rounds.draw(_EXCESS_STREAM + number, _EXCESS_BLOCK, cut)
            over = np.maximum(cheap.upper[0] - at, 0.0) / reach
            total += float(over.sum())
            squares += float((over**2).sum())
        self._drawn += blocks * _EXCESS_BLOCK
        penalty = -math.log1p(-share) - share
        bound = (share * total + goal + penalty * squares) / (share * blocks * _EXCESS_BLOCK)
        return bound * reach / (1 - self.level)

    def _pair(self, rival: int) -> _Pair:
        """Return the bets on a pair, with all blocks so far; each bet knows earlier blocks only."""
        chosen, cells = self.cut, self._cells[rival]
        pair = self._pairs.setdefault((chosen, rival), _Pair(len(cells.edges)))
        cap = self._cap(chosen)
        for number in range(pair.done, len(self._blocks)):
            block = self._blocks[number]
            pair.done += 1
            if not {chosen, rival} <= block.alive:
                continue
            values, lowest = self._bet(block, rival)
            seen = pair.moments[block.exact]
            share = np.zeros(len(values))
            if seen.count and not block.pilot:
                share = stake(seen, self._eps, lowest)
                if not block.exact and not (seen.mean + self._eps > 0).all():
                    share = np.zeros(len(values))  # bounds that do not tell would only lose
            if share.any():
                pair.bets.append((number, share))
                pair.settle += gain(values, share, cap.excess - self._eps)
                pair.out += gain(values, share, cap.excess)
            seen.add(values)
        return pair

    def _bet(self, block: _Block, rival: int) -> tuple[FloatArray, FloatArray]:
        """Return Y of a block, shape (K, n), and b of every cell, shape (K,)."""
        chosen, cells, cap = self.cut, self._cells[rival], self._cap(self.cut)
        t = float(block.thresholds[chosen])
        own = shortfall(np.minimum(block.upper[chosen], cap.at), t, self.level)
        values = cells.values(block.lower[rival]) - own
        floor = cells.values(np.array([float(self._least[rival])]))[:, 0]
        top = float(shortfall(np.array([cap.at]), t, self.level)[0])
        lowest = at_least(top - floor, top)
        check_lowest(values, lowest)
        return values, lowest

    def verdict(self) -> Verdict:
        """Return what is known now."""
        self._caps.setdefault(self.cut, Cap(float(self._most[self.cut])))  # a run that was stopped
        rivals = sorted(self._alive - {self.cut})
        gaps = {v: self._gap(v) for v in rivals}
        scale = self._scale or float(self._least.min())
        gap = max(gaps.values(), default=0.0)
        others = [v for v in range(self.rounds.cuts) if v != self.cut] if self._blocks else []
        return Verdict(
            status="settled" if self.settled or self.rounds.cuts == 1 else "open",
            cut=self.cut,
            rivals=tuple(rivals),
            gap_s=gap,
            relative=relative_to(gap, scale),
            value=self._value(),
            above={v: self._above(v) for v in others},
            cheap=self._drawn,
            answered=self.answered,
            answers=self.answers,
            worst_s=float(self._most[self.cut]),
            nearest=max(gaps, key=lambda v: gaps[v]) if gaps else None,
            settings=self.settings,
        )

    def _gap(self, rival: int) -> float:
        """Return an upper bound on how far the chosen cut's CVaR is above the rival's."""
        most = max(self._sure_lead(rival), 0.0)
        if not self._blocks:
            return most
        return max(0.0, -self._pair_bound(rival, self._goal, -most, 0.0))

    def _above(self, rival: int) -> Value:
        sure = -self._sure_lead(rival)
        cuts, low = self.rounds.cuts, sure
        if sure < 0:
            goal = log_goal(cuts * (cuts - 1), self.settings.level, 1 - _EXCESS_SHARE)
            low = self._pair_bound(rival, goal, sure, -sure / 4)
        most = float(self._most[rival] - self._least[self.cut])
        seen = self._pair(rival).moments[True]
        estimate = float(seen.mean.min()) if seen.count else None
        return Value(estimate, low, most)

    def _pair_bound(self, rival: int, goal: float, low: float, high: float) -> float:
        """Return the largest difference that is rejected in all cells."""
        pair, cap = self._pair(rival), self._cap(self.cut)
        bets = [(self._bet(self._blocks[k], rival)[0], share) for k, share in pair.bets]

        def wealth(some: IntArray, difference: float) -> FloatArray:
            found = np.zeros(len(some))
            for values, share in bets:
                found += gain(values[some], share[some], difference + cap.excess)
            return found

        return rejected_in_all(wealth, len(pair.settle), goal, (low, high))

    def _value(self) -> Value:
        """Return the interval of the chosen cut's CVaR, at the level for all cuts together."""
        a, low, high = self.cut, float(self._least[self.cut]), float(self._most[self.cut])
        if self._pilot is None:
            return Value(None, low, high)
        goal = log_goal(4 * self.rounds.cuts, self.settings.level, 1 - _EXCESS_SHARE)
        exact = [b for b in self._blocks if b.exact and not b.pilot]
        t = float(self._next_thresholds()[a])
        cells, upper = self._cells[a], self._pilot.upper[a]
        own = TailValue(cells, upper, float(self._start[a]), self._cap(a), low)
        if self._own is not None:
            start = float(self._start[a])
            low = own.lower_bound([self._own.lower[0]], goal, VALUE_BLOCK)
            high = own.upper_bound([(self._own.upper[0], start)], goal, VALUE_BLOCK)
        for kept in self._kept:
            thresholds = np.full(self.rounds.cuts, t)
            table = np.full((self.rounds.cuts, len(kept)), np.nan)
            table[a] = kept
            exact.append(_Block(table, table, thresholds, frozenset({a}), True))
        if exact:
            few = not any(b.exact for b in self._blocks)
            planned = sum(len(kept) for kept in self._kept) if few else _PLANNED
            tables = [(b.upper[a], float(b.thresholds[a])) for b in exact]
            low = max(low, own.lower_bound([b.lower[a] for b in exact], goal, planned))
            high = min(high, own.upper_bound(tables, goal, planned))
        values = [b.lower[a] for b in exact]
        estimate = None
        if values:
            estimate = float(shortfall(np.concatenate(values), t, self.level).mean())
        return Value(estimate, low, high)
