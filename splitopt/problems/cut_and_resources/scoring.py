"""What a decision of `CutAndResources` takes, in seconds and joule, and what it breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from splitopt.problems.base import FEASIBILITY_TOLERANCE, FloatArray, IntArray
from splitopt.problems.cut_and_resources import tradeoffs
from splitopt.problems.cut_and_resources.completion import best_allocation
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.seconds import phase_table


class ScoredDecisions(CutAndResourcesData):
    """Data of `CutAndResources` that score decisions."""

    def taken(
        self, decision: CutAndResourcesDecision | Mapping[str, Any]
    ) -> CutAndResourcesDecision:
        """Return a decision about this many devices, given as it is or as plain data."""
        return super().taken(decision).of_fleet(self.devices)

    def phases(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N, 4): seconds by `PHASES`, infinite where a needed share is missing.

        Raises
        ------
        InputError
            The decision is not one of this problem: its class, its sizes, or a cut outside 1..L.
        """
        decision = self.taken(decision)
        self.checked_cuts(decision.cut, "decision.cut")
        return phase_table(self.chosen(decision.cut), decision.shares, self.shared_links)

    def latencies(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): the round latency of every device in s (DP-MORA Eq. 12)."""
        return np.asarray(self.phases(decision).sum(axis=1))

    def energy(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): joule of every device in a round; needs ``device_w`` and ``radio_w``."""
        cuts = self.checked_cuts(self.taken(decision).cut, "decision.cut")
        return tradeoffs.energy_of(self, self.chosen(cuts))

    def evaluate(self, decision: CutAndResourcesDecision) -> float:
        """Objective value: s, or J for ``"energy"``; errors are those of `phases`."""
        if self.objective == "energy":
            return float(self.energy(decision).sum())
        latencies = self.latencies(decision)
        if self.priority is not None:
            latencies = self.priority * latencies
        if self.objective == "makespan":
            return float(latencies.max())
        if self.objective == "latency_energy":
            assert self.seconds_per_joule is not None  # read_fields() saw to it
            return float(latencies.sum() + self.seconds_per_joule * self.energy(decision).sum())
        return float(latencies.sum())

    def revived(self, decision: CutAndResourcesDecision) -> CutAndResourcesDecision:
        """Return the same cuts with the best shares for them, if all are allowed."""
        cuts = self.taken(decision).cut
        if ((cuts < 1) | (cuts > self.layers)).any() or not self.permits(cuts).all():
            return decision
        return self.decision_of(cuts, best_allocation(self, cuts).shares)

    def violations(self, decision: CutAndResourcesDecision) -> dict[str, float]:
        """Excess over each budget (fractions), and counts of devices for the other constraints."""
        decision = self.taken(decision)
        found = broken_shares(zip(self.share_names, decision.by_resource, strict=True))
        if outside := int(np.sum((decision.cut < 1) | (decision.cut > self.layers))):
            found[f"{self.choice_word}_outside_model"] = float(outside)
            return found
        if banned := int(np.sum(~self.permits(decision.cut))):
            found[f"{self.choice_word}_not_allowed"] = float(banned)
        if self.budgets is not None:
            found |= self.budgets.violations(decision.cut)
        if starved := int(np.sum(~np.isfinite(self.latencies(decision)))):
            found["device_without_a_needed_share"] = float(starved)
        return found


def broken_shares(
    shares: Iterable[tuple[str, FloatArray]], devices: IntArray | None = None
) -> dict[str, float]:
    """Return by how much shares exceed a whole resource or fall below nothing.

    Parameters
    ----------
    shares
        The name and the shares (K,) of each resource.
    devices
        Shape (K,): how many devices have each of these shares, one by default.
    """
    found: dict[str, float] = {}
    for name, share in shares:
        if not np.isfinite(share).all():
            found[name] = float("inf")
            continue
        total = share.sum() if devices is None else devices @ share
        if (excess := float(total) - 1.0) > FEASIBILITY_TOLERANCE:
            found[name] = excess
        if share.size and (negative := float(-share.min())) > 0:
            found[f"{name}_negative"] = negative
    return found
