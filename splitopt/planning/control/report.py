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
    """One round: latency in s by policy, and how long the controller took to plan it."""

    number: int
    latency_s: Mapping[str, float]
    plan_s: float


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
        writer.writerow(["round", *(f"{name}_s" for name in self.policies), "plan_s"])
        for report in self.rounds:
            values = (report.latency_s[name] for name in self.policies)
            writer.writerow([report.number, *values, report.plan_s])
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
                for r in self.rounds
            ],
            "summary": self.summary(),
            "plan_median_s": float(np.median(plans)) if plans else None,
            "confidence": self.confidence,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
        }
