"""What is known about the chosen cut, and saying it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from splitopt.problems.base import FloatArray

Status = Literal["settled", "open", "exact"]


@dataclass(frozen=True)
class Settings:
    """How sure, how near, and at which price.

    Parameters
    ----------
    tolerance
        The choice is settled when it is at most this much above the best cut, relatively.
    level
        Confidence, such as 0.95.
    pilot
        Rounds that are answered before anything is bet.
    max_rounds
        Answered rounds after which the question stays open.
    seed
        Of the choice which rounds are answered.
    """

    tolerance: float = 0.01
    level: float = 0.95
    pilot: int = 32
    max_rounds: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Value:
    """An estimate in s with an interval; no estimate where nothing was answered."""

    estimate: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """One cut, and how sure that is.

    Parameters
    ----------
    status
        ``settled``: at most `tolerance` above the best, with confidence; ``open``: not so yet;
        ``exact``: all rounds that there are were compared.
    cut
        The chosen one, 0-based.
    rivals
        Cuts that were not shown to be worse than it.
    gap_s, relative
        Upper bound on how far the chosen cut is above the best, in s and relatively.
    value
        Of the chosen cut's objective.
    above
        Per other cut how much more it costs than the chosen one.
    cheap, answered, answers
        Rounds with bounds, rounds with an exact answer, exact answers over all cuts.
    worst_s
        The longest round that the distribution allows under the chosen cut.
    samples
        Finite case: how many rounds there are.
    """

    status: Status
    cut: int
    rivals: tuple[int, ...]
    gap_s: float
    relative: float
    value: Value
    above: Mapping[int, Value]
    cheap: int
    answered: int
    answers: int
    worst_s: float
    samples: int | None = None
    nearest: int | None = None
    settings: Settings = field(default_factory=Settings)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the verdict as plain data, with the names of the cuts."""
        found: dict[str, Any] = {
            "status": self.status,
            "cut": names[self.cut],
            "level": self.settings.level,
            "tolerance": self.settings.tolerance,
            "as_good_as": [names[v] for v in self.rivals],
            "left_out": [
                name for v, name in enumerate(names) if v != self.cut and v not in self.rivals
            ],
            "gap": {"bound_s": self.gap_s, "relative": self.relative},
            "value": _plain(self.value),
            "differences": [
                {"cut": names[v], **_plain(value)} for v, value in sorted(self.above.items())
            ],
            "rounds": {"cheap": self.cheap, "answered": self.answered, "answers": self.answers},
            "worst_round_s": self.worst_s,
        }
        if self.samples is not None:
            found["rounds"]["all"] = self.samples
        if self.status == "open":
            found["settles_at"] = self.relative
        return found

    def message(self, names: Sequence[str], finite: str = "the rounds") -> str:
        """Return it in a sentence or two; `finite` names the rounds of an exact verdict."""
        chosen = names[self.cut]
        others = _listed([names[v] for v in self.rivals])
        if self.status == "exact":
            return self._exact(chosen, others, len(names), finite)
        sure = f"{100 * self.settings.level:g} %"
        goal = f"{100 * self.settings.tolerance:g} %"
        given = (
            finite
            if self.samples is not None
            else (
                f"for the stated distribution, whose longest round under {chosen} is "
                f"{self.worst_s:.4g} s"
            )
        )
        if len(names) == 1:
            return f"{chosen} is the only candidate; there is nothing to choose ({given})"
        if self.status == "settled" and not self.rivals:
            least = min((value.low for value in self.above.values()), default=0.0)
            more = 100 * least / self._scale
            shown = f"; the others take at least {more:.3g} % longer" if more > 0.005 else ""
            return (
                f"{chosen} is the best cut ({sure} confidence, however often one looks, "
                f"{given}){shown}"
            )
        if self.status == "settled":
            return (
                f"{chosen} is at most {goal} above the best cut ({sure} confidence, however often "
                f"one looks, {given}); as good as it within {goal}: {others}; choose among them "
                "by other criteria"
            )
        return self._open(chosen, names, sure, goal, given)

    @property
    def _scale(self) -> float:
        return max(self.value.low, 1e-300)

    def _open(self, chosen: str, names: Sequence[str], sure: str, goal: str, given: str) -> str:
        percent = 100 * self.relative
        nearest = "" if self.nearest is None else f", by {names[self.nearest]}"
        more, seen = "", f"{self.cheap:,} rounds"
        if self.answered:
            seen = f"{self.answered:,} answered rounds"
        if self.answered and self.settings.tolerance > 0:
            factor = (self.relative / self.settings.tolerance) ** 2
            if factor < 1e6 and self.samples is None:
                more = f"about {round(self.answered * factor):,} would decide at {goal}, and "
        return (
            f"open: after {seen} {chosen} may still be "
            f"{percent:.3g} % above the best cut{nearest} ({sure} confidence, {given}); {more}"
            f"a tolerance of {percent:.3g} % would settle it now"
        )

    def _exact(self, chosen: str, others: str, count: int, finite: str) -> str:
        over = f"over {finite}, exact, not a claim about other rounds"
        if count == 1:
            return f"{chosen} is the only candidate; there is nothing to choose ({over})"
        if others:
            return f"{chosen} is best, and as good as it: {others} ({over})"
        return f"{chosen} is the best cut ({over})"


def log_goal(errors: float, level: float, share: float = 1.0) -> float:
    """Return log(errors / (share delta)), the wealth that rejects; `errors` ways to be wrong."""
    return math.log(max(errors, 1.0) / (share * (1.0 - level)))


def relative_to(gap: float, scale: float) -> float:
    """Return a gap as a part of a scale; infinite where nothing is known of the scale."""
    if gap <= 0:
        return 0.0
    return gap / scale if scale > 0 else math.inf


def scale_of(lower: FloatArray) -> float:
    """Return a mean latency in s that hardly any cut's mean is below, from lower bounds (V, n).

    Two standard errors below the smallest mean; the tolerance is a part of it.
    """
    error = lower.std(axis=1) / max(lower.shape[1], 1) ** 0.5
    return max(float((lower.mean(axis=1) - 2 * error).min()), float(lower.min(axis=1).min()))


def _plain(value: Value) -> dict[str, Any]:
    return {"mean": value.estimate, "low": value.low, "high": value.high}


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names[:-1]) + " and " + names[-1]
