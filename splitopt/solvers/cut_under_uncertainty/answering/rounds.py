"""Where the procedures get rounds from: bounds of very many, exact answers to a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from splitopt.problems.base import FloatArray, IntArray

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Cheap:
    """Rounds of which bounds are known.

    Parameters
    ----------
    stream
        Number of the block; with the row it names a round.
    lower, upper
        Shape (V, n): bounds in s on the latency under every cut, lower <= latency <= upper.
    drawn
        What the source needs to answer the rounds exactly.
    """

    stream: int
    lower: FloatArray
    upper: FloatArray
    drawn: Any = None


@dataclass(frozen=True, eq=False)
class Request:
    """Rounds of one block, to be answered exactly under one cut."""

    cheap: Cheap
    cut: int
    rows: IntArray


class Rounds(Protocol):
    """Independent rounds of one distribution."""

    cuts: int
    """Number of cuts V."""

    def least(self) -> FloatArray:
        """Shape (V,): no round is shorter, in s."""
        ...

    def most(self) -> FloatArray:
        """Shape (V,): no round is longer, in s."""
        ...

    def draw(self, stream: int, count: int, cut: int | None = None) -> Cheap:
        """Draw the rounds of a block; the same stream and count give the same ones.

        With `cut` the bounds are those of one cut, shape (1, n).
        """
        ...

    def answer(self, requests: Sequence[Request]) -> list[FloatArray]:
        """Return the latencies, in s, one array per request; all of it is independent work."""
        ...


class Checked:
    """Rounds whose bounds are checked: no statement would hold if the ends did not."""

    def __init__(self, rounds: Rounds):
        self._rounds, self.cuts = rounds, rounds.cuts
        self.least, self.most = rounds.least(), rounds.most()

    def draw(self, stream: int, count: int, cut: int | None = None) -> Cheap:
        """Draw a block, see `Rounds.draw`.

        Raises
        ------
        RuntimeError
            A lower bound is above the upper one, or a round lies outside the ends.
        """
        cheap = self._rounds.draw(stream, count, cut)
        chosen = slice(None) if cut is None else slice(cut, cut + 1)
        least, most = self.least[chosen, None], self.most[chosen, None]
        slack = _ROUNDING * np.abs(most)
        inside = (cheap.lower >= least - slack) & (cheap.upper <= most + slack)
        if not (inside & (cheap.lower <= cheap.upper + slack)).all():
            raise RuntimeError(f"a round of block {stream} lies outside the ends that were assumed")
        return cheap

    def answer(self, requests: Sequence[Request]) -> list[FloatArray]:
        """Have rounds answered, see `answered`."""
        return answered(self._rounds, requests)


def answered(rounds: Rounds, requests: Sequence[Request]) -> list[FloatArray]:
    """Return answers that lie within their bounds.

    Raises
    ------
    RuntimeError
        An answer lies outside by more than rounding: a bound or the answer is wrong, and nothing
        that is concluded from them would hold.
    """
    found = []
    for request, values in zip(requests, rounds.answer(requests), strict=True):
        low = request.cheap.lower[request.cut, request.rows]
        high = request.cheap.upper[request.cut, request.rows]
        slack = _ROUNDING * np.abs(high)
        if ((values < low - slack) | (values > high + slack)).any():
            raise RuntimeError(f"an answer under cut {request.cut} lies outside its cheap bounds")
        found.append(np.asarray(np.clip(values, low, high)))
    return found
