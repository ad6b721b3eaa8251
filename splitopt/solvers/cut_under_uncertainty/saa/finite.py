"""Choosing the best cut over all rounds that there are: exact, and without answering every one."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_under_uncertainty.risk import EXPECTED, statistic
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Request, Rounds, answered
from splitopt.solvers.cut_under_uncertainty.saa.verdict import Settings, Value, Verdict, relative_to

_PARTS, _LEAST = 16, 8
"""So many batches, of so many rounds at least, answer all rounds of a cut."""

_SAME = 1e-12
"""Values that differ by less, relatively, are the same."""


class FiniteChoice:
    """The procedure; `run` it, and `verdict` says at any time what is known.

    The value of every cut lies between the statistics of its rounds' lower and upper bounds, an
    answered round having one value. Only rounds that can decide between the two best are answered.

    Parameters
    ----------
    rounds
        Answers them.
    cheap
        Bounds of all R rounds, which are equally likely.
    objective, level
        See `risk.statistic`.
    settings
        What the verdict states; no confidence is needed here.
    """

    def __init__(
        self, rounds: Rounds, cheap: Cheap, objective: str, level: float, settings: Settings
    ):
        self.rounds, self.cheap, self.settings = rounds, cheap, settings
        self.objective, self.level = objective, level
        self._low, self._high = cheap.lower.copy(), cheap.upper.copy()
        self._known = np.zeros(cheap.lower.shape, dtype=bool)
        self.settled = False

    @property
    def cut(self) -> int:
        """The cut whose value is least for sure."""
        return int(self._statistic(self._high).argmin())

    def _statistic(self, table: FloatArray) -> FloatArray:
        return statistic(table, self.objective, self.level)

    def run(self) -> None:
        """Answer rounds of the best cut and of its nearest rival until they are told apart."""
        while not self.settled:
            chosen = self.cut
            floors = self._statistic(self._low)
            floors[chosen] = np.inf
            rival = int(floors.argmin())
            if len(floors) == 1 or floors[rival] >= self._statistic(self._high)[chosen]:
                self.settled = True
                return
            asked = {v: self._undecided(v) for v in (chosen, rival)}
            if not any(len(rows) for rows in asked.values()):
                self.settled = True  # all are known, and as good as each other
                return
            self.answer(asked)

    def answer(self, asked: dict[int, IntArray]) -> None:
        """Have rounds answered, by cut, and take the answers in."""
        requests = [Request(self.cheap, v, rows) for v, rows in asked.items() if len(rows)]
        for request, values in zip(requests, answered(self.rounds, requests), strict=True):
            self._low[request.cut, request.rows] = values
            self._high[request.cut, request.rows] = values
            self._known[request.cut, request.rows] = True

    def _undecided(self, cut: int) -> IntArray:
        """Return the rounds with the widest bounds of those that can count."""
        width = np.where(self._known[cut], -1.0, self._high[cut] - self._low[cut])
        if self.objective != EXPECTED:
            # The tail holds at least the rounds whose bounds reach the least value at risk.
            tail = max(int(np.ceil((1 - self.level) * width.size - 1e-9)), 1)
            edge = np.sort(self._low[cut])[-tail]
            width = np.where(self._high[cut] < edge, -1.0, width)
        count = max(_LEAST, width.size // _PARTS)
        rows = np.argsort(-width, kind="stable")[:count]
        return np.asarray(np.sort(rows[width[rows] > 0]))

    def latencies(self, cut: int) -> tuple[FloatArray, FloatArray]:
        """Return the bounds on all rounds under a cut, shape (R,); the same where answered."""
        return self._low[cut], self._high[cut]

    def verdict(self) -> Verdict:
        """Return what is known now."""
        cut = self.cut
        low, high = self._statistic(self._low), self._statistic(self._high)
        others = [v for v in range(len(low)) if v != cut]
        same = _SAME * abs(float(high[cut]))
        rivals = [v for v in others if low[v] <= high[cut] + same]
        gaps = {v: max(0.0, float(high[cut] - low[v])) for v in rivals}
        gap = max(gaps.values(), default=0.0) if not self.settled else 0.0
        scale = float(low.min())
        above = {
            v: Value(
                float(high[v] - high[cut]) if self._known[[v, cut]].all() else None,
                float(low[v] - high[cut]),
                float(high[v] - low[cut]),
            )
            for v in others
        }
        estimate = float(high[cut]) if high[cut] - low[cut] <= same else None
        return Verdict(
            status="exact" if self.settled else "open",
            cut=cut,
            rivals=tuple(rivals),
            gap_s=gap,
            relative=relative_to(gap, scale),
            value=Value(estimate, float(low[cut]), float(high[cut])),
            above=above,
            cheap=self._low.shape[1],
            answered=int(self._known.any(axis=0).sum()),
            answers=int(self._known.sum()),
            worst_s=float(self._high[cut].max()),
            samples=self._low.shape[1],
            nearest=max(gaps, key=lambda v: gaps[v]) if gaps else None,
            settings=self.settings,
        )
