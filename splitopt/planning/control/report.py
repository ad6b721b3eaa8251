"""What the replay of a trace of rounds found: latencies by policy, round by round."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_under_uncertainty.data import DEFAULT_CVAR_LEVEL
from splitopt.problems.cut_under_uncertainty.risk import EXPECTED, cvar


@dataclass(frozen=True)
class RoundReport:
    """One round: the objective in s by policy, and how long the controller took to plan it.

    ``gap`` is the certified gap of the controller's plan for what it knew, and ``moved`` how many
    devices change their cut; None where that is not known.
    """

    number: int
    latency_s: Mapping[str, float]
    plan_s: float
    gap: float | None = None
    moved: int | None = None


@dataclass(frozen=True)
class ControlReport:
    """A replayed trace."""

    cut: str
    rounds: tuple[RoundReport, ...]
    confidence: Mapping[str, Any] | None = None
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    objective: str = EXPECTED
    cvar_level: float = DEFAULT_CVAR_LEVEL
    intervals: Mapping[str, tuple[float, float]] | None = None
    """Of every policy's mean over all rounds of the distribution; None where rounds were given."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Policies that were compared."""
        return tuple(self.rounds[0].latency_s) if self.rounds else ()

    @property
    def has_gaps(self) -> bool:
        """Whether every plan of the controller has a certified gap."""
        return bool(self.rounds) and all(report.gap is not None for report in self.rounds)

    @property
    def largest_gap(self) -> float | None:
        """The largest certified gap of the controller's plans, None where none is known."""
        return max(r.gap or 0.0 for r in self.rounds) if self.has_gaps else None

    def latencies(self, policy: str) -> FloatArray:
        """Shape (R,): seconds of every round under a policy."""
        return np.array([report.latency_s[policy] for report in self.rounds])

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, median, CVaR and largest latency of every policy, and its mean over ours.

        ``mean_low_s`` and ``mean_high_s`` hold the mean over all rounds at 95 % confidence.
        """
        own = float(self.latencies("controller").mean()) if self.rounds else 0.0
        found = {}
        for policy in self.policies:
            values = self.latencies(policy)
            found[policy] = {
                "mean_s": float(values.mean()),
                "median_s": float(np.median(values)),
                "cvar_s": float(cvar(values, self.cvar_level)),
                "most_s": float(values.max()),
                "relative": float(values.mean()) / own if own > 0 else 1.0,
            }
            if self.intervals is not None:
                low, high = self.intervals[policy]
                found[policy] |= {"mean_low_s": low, "mean_high_s": high}
        return found

    def to_csv(self) -> str:
        """Return a row per round."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        more = ["gap", "moved"] if self.has_gaps else []
        writer.writerow(["round", *(f"{name}_s" for name in self.policies), "plan_s", *more])
        for report in self.rounds:
            values = (report.latency_s[name] for name in self.policies)
            last = [report.gap, report.moved] if more else []
            writer.writerow([report.number, *values, report.plan_s, *last])
        return stream.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-ready data."""
        plans = [report.plan_s for report in self.rounds]
        return {
            "cut": self.cut,
            "objective": self.objective,
            "cvar_level": self.cvar_level,
            "rounds": [
                {"round": r.number, "latency_s": dict(r.latency_s), "plan_s": r.plan_s}
                | ({"gap": r.gap, "moved": r.moved} if self.has_gaps else {})
                for r in self.rounds
            ],
            "summary": self.summary(),
            "plan_median_s": float(np.median(plans)) if plans else None,
            **({"largest_gap": self.largest_gap} if self.has_gaps else {}),
            "confidence": self.confidence,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
        }
