"""`CommonCut`: which one cut makes the round of a scheme shortest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency.sequential import phases_in_turn
from splitopt.latency.served_by_batch import served_by_batch
from splitopt.latency.served_in_turn import served_in_turn
from splitopt.latency.split_federated import PhaseSeconds
from splitopt.problems.base import FEASIBILITY_TOLERANCE, FloatArray
from splitopt.problems.common_cut.data import CommonCutData
from splitopt.problems.common_cut.decision import CommonCutDecision, check_cut
from splitopt.problems.cut_and_resources import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.decision import SHARES
from splitopt.problems.inputs import as_profile, as_scenario

if TYPE_CHECKING:
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False, repr=False)
class CommonCut(CommonCutData):
    """One cut for all devices, so that the round of a scheme takes least time.

    The scheme is the objective. ``splitfed_v1`` (Thapa et al. 2022, Algorithm 1): all devices side
    by side, links and server divided so that the round is shortest. ``splitfed_v2`` (section 3):
    one server part that serves client after client, or batch after batch. ``vanilla``: one device
    after the other, each with everything. ``federated``: whole models on the devices, whose only
    cut is behind the last layer.

    Parameters
    ----------
    model_down_s, forward_s, upload_s, server_s, gradient_s, backward_s, model_up_s
        Shape (N, L): s of the tasks of a whole round at the full resource; column l - 1 is cut l.
    samples, batch_size
        Shape (N,): samples of a device, and of a mini-batch, at most as many.
    epochs
        Local epochs of a round.
    objective
        The scheme.
    allowed
        Shape (N, L), the cuts that devices may use (leakage, their memory); all by default. At cut
        L nothing leaves a device, and only its memory counts.
    copies_allowed, shared_allowed
        Shape (L,): the cuts at which the server can hold a copy of its part for every device
        (``splitfed_v1``), and a single one; all by default.
    whole_allowed
        Whether the server can hold the whole model, for ``federated``.
    shared_links
        Whether all devices share one downlink and one uplink, or each has its own.
    server_order
        How ``splitfed_v2`` serves: ``"client"`` after client, or ``"batch"``: a batch of every
        client in turn.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls,
        scenario: ScenarioLike,
        profile: ProfileLike | None = None,
        objective: str = "splitfed_v1",
    ) -> CommonCut:
        """Build the problem from a scenario, see `splitopt.problems.common_cut.tables`."""
        from splitopt.problems.common_cut.tables import tables_from_scenario

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        return cls(**tables_from_scenario(scenario, profile, objective), objective=objective)

    def rounds(
        self, cuts: Sequence[int], orders: Sequence[Sequence[int]] | None = None
    ) -> FloatArray:
        """Compute rounds in which devices take turns, at some cuts.

        Parameters
        ----------
        cuts
            K of them, 1..L.
        orders
            Who takes part, in the order of service: for a server order of batches one for every
            turn, else a single one. All devices by their number if None.

        Returns
        -------
        Shape (K, 4): seconds by `splitopt.latency.served_in_turn.PHASES`, which add up.
        """
        at = np.asarray(cuts, dtype=np.int64)
        clients = self.at(at)
        if self.objective == "vanilla":
            chosen = slice(None) if orders is None else list(orders[0])
            phases = PhaseSeconds(
                download=(self.model_down_s + self.gradient_s)[chosen],
                upload=(self.upload_s + self.model_up_s)[chosen],
                server=self.server_s[chosen],
                device=(self.forward_s + self.backward_s)[chosen],
            )
            return np.asarray(phases_in_turn(phases, at))
        if self._by_batch:
            return served_by_batch(clients, self.fractions, self.shared_links, orders)
        return served_in_turn(clients, self.shared_links, None if orders is None else orders[0])

    def device_phases(self, decision: CommonCutDecision) -> FloatArray:
        """Shape (N, 4): seconds of every device by phase with its shares, without its waiting.

        The phases are those of `splitopt.latency.served_in_turn.PHASES`.
        """
        decision = self.taken(decision)
        cuts = np.full(self.devices, check_cut(decision.cut, self.layers, "decision.cut"))
        shares = CutAndResourcesDecision(cuts, *decision.shares.T)
        return self.side_by_side.phases(shares)

    def phases(self, decision: CommonCutDecision) -> FloatArray:
        """Shape (4,): seconds of the round by phase, which add up to it.

        Where devices work side by side they are those of the slowest device.
        """
        decision = self.taken(decision)
        if self.takes_turns:
            cut = check_cut(decision.cut, self.layers, "decision.cut")
            return np.asarray(self.rounds([cut])[0])
        each = self.device_phases(decision)
        return np.asarray(each[each.sum(axis=1).argmax()])

    def evaluate(self, decision: CommonCutDecision) -> float:
        """Return the seconds of the round."""
        return float(self.phases(decision).sum())

    def taken(self, decision: CommonCutDecision | Mapping[str, Any]) -> CommonCutDecision:
        """Return a decision about this many devices, given as it is or as plain data."""
        found = super().taken(decision)
        for name in SHARES:
            if len(getattr(found, name)) != self.devices:
                raise InputError.at(
                    f"decision.{name}",
                    f"has {len(getattr(found, name))} entries for a problem of {self.devices} "
                    "devices; give one for each",
                )
        return found

    def violations(self, decision: CommonCutDecision) -> dict[str, float]:
        """Excess over each resource (fractions), and 1 for a cut that is not to be used."""
        decision = self.taken(decision)
        if not 1 <= decision.cut <= self.layers:
            return {"cut_outside_model": 1.0}
        found = {} if self.possible[decision.cut - 1] else {"cut_not_allowed": 1.0}
        for name in SHARES:
            share = getattr(decision, name)
            if not np.isfinite(share).all() or (share < 0).any():
                found[name] = float("inf")
                continue
            used = np.abs(share - 1.0).max() if self.takes_turns else share.sum() - 1.0
            if (excess := float(used)) > FEASIBILITY_TOLERANCE:
                found[name] = excess
        if not found and not np.isfinite(self.device_phases(decision)).all():
            found["device_without_a_needed_share"] = 1.0
        return found

    def infeasibility(self) -> str | None:
        """Report that no cut is there for all, None where one is."""
        if self.possible.any():
            return None
        if self.objective == "federated":
            return "the whole model does not fit on every device and the server; give them more"
        return (
            f"no cut before the last layer is one that all {self.devices} devices and the server "
            "can take; allow one for all"
        )

    def bound(self) -> float:
        """Return the longest time that some device takes alone, at the cut where that is least."""
        if self.infeasibility() is not None:
            return float("inf")
        alone = self.side_by_side
        seconds = alone.download_s + alone.upload_s + alone.server_s + alone.device_s
        # A device's own tasks follow one another, whatever else it has to wait for.
        return float(seconds[:, self.possible].max(axis=0).min())

    def complete(self, cut: Any) -> CommonCutDecision:
        """Return the decision with the best shares for a cut, 1..L."""
        cut = check_cut(cut, self.layers, "cut")
        if self.takes_turns:
            return CommonCutDecision(cut, *np.ones((3, self.devices)))
        found = self.side_by_side.complete(np.full(self.devices, cut))
        return CommonCutDecision(cut, found.download_share, found.upload_share, found.server_share)

    def revived(self, decision: CommonCutDecision) -> CommonCutDecision:
        """Return the same cut with the best shares for it, if it is one of this model."""
        return self.complete(decision.cut) if 1 <= decision.cut <= self.layers else decision

    def decode(self, document: Mapping[str, Any], source: str = "decision") -> CommonCutDecision:
        """Read a decision from plain data."""
        return CommonCutDecision.from_dict(document, self.devices, self.layers, source)
