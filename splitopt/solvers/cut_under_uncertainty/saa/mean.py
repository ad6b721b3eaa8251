"""Choosing the cut of least mean latency: bets on bounds of many rounds and answers to a few.

A round is answered exactly with a probability that grows with the width of its bounds, and counts
inversely (an augmented inverse-probability-weighted estimate, as in active statistical inference):
T = C + (answered / p) (D - C) has the mean of D, whatever guess C between the bounds is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splitopt.distributions import generator
from splitopt.problems.base import FloatArray, IntArray
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Checked, Request, Rounds
from splitopt.solvers.cut_under_uncertainty.confidence.betting import (
    Moments,
    Wealth,
    check_lowest,
    interval_stake,
    stake,
)
from splitopt.solvers.cut_under_uncertainty.saa.verdict import (
    Settings,
    Value,
    Verdict,
    log_goal,
    relative_to,
    scale_of,
)

BLOCK, PER_ANSWER = 1024, 128
"""Rounds of a block; how many rounds have bounds only for each that is answered."""

CHEAP_BLOCKS = 16
"""At most so many blocks are bet on by bounds alone, before anything is answered."""

GROWTH = 1.4
PLANNED, VALUE_BLOCK = 800, 16_384
"""The intervals of the value are made for so many answered rounds, and so many with bounds only."""

_COIN, _VALUE_STREAM = 2**25, 2**24


@dataclass(frozen=True, eq=False)
class _Block:
    """One block of rounds and what of it is bet on.

    ``values`` has shape (V, n): T of the cuts that were alive; None in a block of bounds alone.
    ``weight`` is the largest (1 / p) x width of a round that may be left unanswered, in s.
    """

    cheap: Cheap
    values: FloatArray | None = None
    alive: frozenset[int] = frozenset()
    guess: FloatArray | None = None
    weight: float = 0.0
    pilot: bool = False


class _Pair:
    """Bets that cut `rival` costs more than cut `chosen`."""

    def __init__(self) -> None:
        self.wealth = Wealth()
        self.done = 0
        self.bounds, self.sampled = Moments(), Moments()

    def estimate(self) -> float | None:
        return float(self.sampled.mean) if self.sampled.count else None


class MeanChoice:
    """The procedure; `run` it, and `verdict` says at any time what is known.

    Parameters
    ----------
    rounds
        Where they come from.
    settings
        Tolerance, confidence, price and seed.
    """

    def __init__(self, rounds: Rounds, settings: Settings):
        self.rounds, self.settings = Checked(rounds), settings
        self._least, self._most = self.rounds.least, self.rounds.most
        self._blocks: list[_Block] = []
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._alive = set(range(rounds.cuts))
        self._goal = log_goal(rounds.cuts - 1, settings.level)
        self._eps = 0.0
        self._errors = np.zeros(rounds.cuts)  # (D - L) / W, added up over answered rounds
        self._kept: list[FloatArray] = []
        self._own: Cheap | None = None
        self.cut, self.settled = 0, False
        self.answered = self.answers = 0

    def run(self) -> None:
        """Draw and answer rounds until the choice is settled or the price is reached."""
        self._bound_blocks()
        if not self.settled and self.rounds.cuts > 1:
            self._answer_blocks()
        self._own = self.rounds.draw(_VALUE_STREAM, VALUE_BLOCK, self.cut)

    def _answer_blocks(self) -> None:
        pilot = math.ceil(self.settings.pilot * PER_ANSWER / BLOCK)
        self._sample(pilot, pilot=True)
        # Where bounds are so tight that nothing is answered, the rounds themselves are the price.
        most = math.ceil(self.settings.max_rounds * PER_ANSWER / BLOCK)
        sampled = pilot
        while not self.settled and self.answered < self.settings.max_rounds and sampled < most:
            more = min(math.ceil((GROWTH - 1) * sampled), most - sampled)
            self._sample(more)
            sampled += more
            self._look()

    def keep(self, values: FloatArray) -> None:
        """Add answers to further independent rounds, shape (n,), under the chosen cut."""
        self._kept.append(values)

    def _bound_blocks(self) -> None:
        for number in range(CHEAP_BLOCKS):
            self._blocks.append(_Block(self.rounds.draw(number, BLOCK)))
            if number == 0:
                self._eps = self.settings.tolerance * scale_of(self._blocks[0].cheap.lower)
                self.cut = int(self._blocks[0].cheap.upper.mean(axis=1).argmin())
                continue
            self._look()
            if self.settled or not self._bounds_can_tell():
                return

    def _bounds_can_tell(self) -> bool:
        """Whether bounds alone are moving towards an answer for some cut."""
        rivals = [v for v in self._alive if v != self.cut]
        return any(float(self._pair(v).bounds.mean) + self._eps > 0 for v in rivals)

    def _sample(self, blocks: int, pilot: bool = False) -> None:
        """Draw blocks, answer some of their rounds under all cuts alive, and take them in."""
        alive = sorted(self._alive)
        widths = [self._widest(block.cheap, alive) for block in self._blocks]
        weight = PER_ANSWER * float(np.concatenate(widths).mean())
        drawn: list[Cheap] = []
        chances: list[FloatArray] = []
        asked: list[IntArray] = []
        for _ in range(blocks):
            number = len(self._blocks) + len(drawn)
            cheap = self.rounds.draw(number, BLOCK)
            widest = self._widest(cheap, alive)
            chance = np.asarray(widest > 0, dtype=np.float64)
            if weight > 0:
                chance = np.minimum(1.0, widest / weight)
            coin = generator(self.settings.seed, _COIN, number).random(BLOCK)
            drawn.append(cheap)
            chances.append(chance)
            asked.append(np.flatnonzero(coin < chance))
        requests = [
            Request(cheap, v, rows)
            for cheap, rows in zip(drawn, asked, strict=True)
            for v in alive
            if len(rows)
        ]
        exact = iter(self.rounds.answer(requests))
        for cheap, chance, rows in zip(drawn, chances, asked, strict=True):
            found = {v: next(exact) for v in alive} if len(rows) else {}
            self._enter(cheap, chance, rows, found, weight, pilot)

    def _enter(
        self,
        cheap: Cheap,
        chance: FloatArray,
        rows: IntArray,
        exact: dict[int, FloatArray],
        weight: float,
        pilot: bool,
    ) -> None:
        """Make T of a block; the guess comes from earlier blocks only."""
        guess = np.where(self.answered > 0, self._errors / max(self.answered, 1), 0.5)
        width = cheap.upper - cheap.lower
        values = cheap.lower + guess[:, None] * width
        for v, latencies in exact.items():
            error = latencies - values[v, rows]
            values[v, rows] += error / chance[rows]
        alive = frozenset(self._alive)
        self._blocks.append(_Block(cheap, values, alive, guess, weight, pilot))
        for v, latencies in exact.items():
            own = width[v, rows]
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(own > 0, (latencies - cheap.lower[v, rows]) / own, 0.5)
            self._errors[v] += float(share.sum())
        self.answered += len(rows)
        self.answers += len(rows) * len(exact)

    def _widest(self, cheap: Cheap, alive: list[int]) -> FloatArray:
        return np.asarray((cheap.upper[alive] - cheap.lower[alive]).max(axis=0))

    def _look(self) -> None:
        """Choose the least estimate, leave out what cannot be best, and see if it is settled."""
        self.cut = self._leader()
        for v in sorted(self._alive - {self.cut}):
            if self._sure_lead(v) <= 0 or self._pair(v).wealth.reached(0.0, self._goal):
                self._alive.discard(v)
        rivals = sorted(self._alive - {self.cut})
        self.settled = all(
            self._sure_lead(v) <= self._eps or self._pair(v).wealth.reached(-self._eps, self._goal)
            for v in rivals
        )

    def _leader(self) -> int:
        """Return the cut alive with the least mean T, before any answer the least upper bound."""
        alive = sorted(self._alive)
        sampled = [block.values for block in self._blocks if block.values is not None]
        tables = sampled or [block.cheap.upper for block in self._blocks]
        totals = np.sum([table[alive].sum(axis=1) for table in tables], axis=0)
        return alive[int(totals.argmin())]

    def _sure_lead(self, rival: int) -> float:
        """Return how far the chosen cut may be above a rival in any round, from the ends alone."""
        return float(self._most[self.cut] - self._least[rival])

    def _pair(self, rival: int) -> _Pair:
        """Return the bets on a pair, with all blocks so far; each bet knows earlier blocks only."""
        chosen = self.cut
        pair = self._pairs.setdefault((chosen, rival), _Pair())
        for block in self._blocks[pair.done :]:
            pair.done += 1
            lowest = float(self._most[chosen] - self._least[rival])
            if lowest <= 0:
                continue
            if block.values is None:
                values = block.cheap.lower[rival] - block.cheap.upper[chosen]
                check_lowest(values, lowest)
                seen = pair.bounds
                # Bounds that do not tell the two apart would only lose.
                hopeless = seen.count == 0 or float(seen.mean) + self._eps <= 0
                pair.wealth.add(values, 0.0 if hopeless else self._share(seen, lowest))
                seen.add(values)
                continue
            if not {chosen, rival} <= block.alive:
                continue
            assert block.guess is not None
            values = block.values[rival] - block.values[chosen]
            lowest += block.weight * float(block.guess[rival] + 1 - block.guess[chosen])
            check_lowest(values, lowest)
            if not block.pilot:
                pair.wealth.add(values, self._share(pair.sampled, lowest))
            pair.sampled.add(values)
        return pair

    def _share(self, seen: Moments, lowest: float) -> float:
        return float(stake(seen, self._eps, lowest))

    def verdict(self) -> Verdict:
        """Return what is known now."""
        rivals = sorted(self._alive - {self.cut})
        gaps = {v: self._gap(v) for v in rivals}
        gap = max(gaps.values(), default=0.0)
        scale = self._eps / self.settings.tolerance if self.settings.tolerance > 0 else 0.0
        if scale <= 0:
            scale = scale_of(self._blocks[0].cheap.lower if self._blocks else self._least[:, None])
        others = [v for v in range(self.rounds.cuts) if v != self.cut]
        return Verdict(
            status="settled" if self.settled or self.rounds.cuts == 1 else "open",
            cut=self.cut,
            rivals=tuple(rivals),
            gap_s=gap,
            relative=relative_to(gap, scale),
            value=self._value(),
            above={v: self._above(v) for v in others} if self._blocks else {},
            cheap=BLOCK * len(self._blocks) + (VALUE_BLOCK if self._own is not None else 0),
            answered=self.answered,
            answers=self.answers,
            worst_s=float(self._most[self.cut]),
            nearest=max(gaps, key=lambda v: gaps[v]) if gaps else None,
            settings=self.settings,
        )

    def _gap(self, rival: int) -> float:
        """Return an upper bound on the mean of D of the chosen cut less that of the rival."""
        most = max(self._sure_lead(rival), 0.0)
        return max(0.0, -self._pair(rival).wealth.lower_bound(self._goal, -most, 0.0))

    def _above(self, rival: int) -> Value:
        pair = self._pair(rival)
        most = float(self._most[rival] - self._least[self.cut])
        sure = -self._sure_lead(rival)
        # Further up a bet might lose more than there is.
        high = abs(sure) / 4
        # A verdict is wrong about a pair with the best cut only; this is said of every pair.
        cuts = self.rounds.cuts
        goal = log_goal(cuts * (cuts - 1), self.settings.level)
        low = pair.wealth.lower_bound(goal, sure, high) if sure < 0 else sure
        return Value(pair.estimate(), low, most)

    def _value(self) -> Value:
        """Return the interval of the chosen cut's mean, at the level for all cuts together."""
        a, low, high = self.cut, float(self._least[self.cut]), float(self._most[self.cut])
        goal = log_goal(4 * self.rounds.cuts, self.settings.level)  # 2 sides, 2 intervals
        blocks = [b for b in self._blocks if b.values is not None]
        spread = Moments()
        for block in blocks:
            if block.pilot and block.values is not None:
                spread.add(block.values[a])
        down, up, estimates = Wealth(), Wealth(), []
        planned = PLANNED * PER_ANSWER
        for block in blocks:
            assert block.values is not None
            assert block.guess is not None
            estimates.append(block.values[a])
            if block.pilot:
                continue
            reach = high - low + block.weight * float(max(block.guess[a], 1 - block.guess[a]))
            check_lowest(block.values[a] - high, reach)
            check_lowest(low - block.values[a], reach)
            share = interval_stake(float(spread.variance), reach, goal, planned)
            down.add(block.values[a], share)
            up.add(-block.values[a], share)
        own = Moments()
        own.add(self._blocks[0].cheap.upper[a] if self._blocks else np.array([low, high]))
        for kept in self._kept:
            if not blocks:
                estimates.append(kept)
            share = interval_stake(float(own.variance), high - low, goal, max(len(kept), 1))
            down.add(kept, share)
            up.add(-kept, share)
        lowest, highest = self._value_by_bounds(goal)
        estimate = float(np.concatenate(estimates).mean()) if estimates else None
        return Value(
            estimate,
            max(lowest, down.lower_bound(goal, low, high)),
            min(highest, -up.lower_bound(goal, -high, -low)),
        )

    def _value_by_bounds(self, goal: float) -> tuple[float, float]:
        a, low, high = self.cut, float(self._least[self.cut]), float(self._most[self.cut])
        if self._own is None:
            return low, high
        down, up, spread = Wealth(), Wealth(), Moments()
        spread.add(self._blocks[0].cheap.upper[a])
        share = interval_stake(float(spread.variance), high - low, goal, VALUE_BLOCK)
        down.add(self._own.lower[0], share)
        up.add(-self._own.upper[0], share)
        return down.lower_bound(goal, low, high), -up.lower_bound(goal, -high, -low)
