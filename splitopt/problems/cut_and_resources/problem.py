"""`CutAndResources`: a cut per device and shares of downlink, uplink and server (DP-MORA, P1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import tradeoffs
from splitopt.problems.cut_and_resources.bounds import cheap_bound
from splitopt.problems.cut_and_resources.budgets import no_cuts_within, why_over_budget
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.choices import ChoicesData
from splitopt.problems.cut_and_resources.completion import best_allocation, complete_cuts
from splitopt.problems.cut_and_resources.data import TIMES
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_and_resources.factored import FIELDS, FactoredData
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.outside_models import OutsideModels
from splitopt.problems.cut_and_resources.robust import FIELDS as ROBUST
from splitopt.problems.cut_and_resources.robust import RobustData
from splitopt.problems.cut_and_resources.scoring import ScoredDecisions
from splitopt.problems.cut_and_resources.shares import Allocation
from splitopt.problems.inputs import as_profile, as_scenario

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.choice_tables import ScenarioChoices
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False, repr=False)
class CutAndResources(OutsideModels, ScoredDecisions):
    """Joint choice of cuts and resource shares (DP-MORA Eq. 19).

    With l layers on device n, its round takes
    ``download/share + upload/share + server/share + device`` seconds.

    Parameters
    ----------
    download_s, upload_s, server_s, device_s
        Shape (N, L), seconds at the full resource; column l - 1 is cut l.
    allowed
        Shape (N, L), the cuts a device may use (leakage limit, memory); all by default.
    objective
        ``"sum"`` of the devices' latencies or ``"makespan"``, the largest of them; ``"energy"``
        of all devices in J, or ``"latency_energy"``, the sum of latencies plus the price of energy.
    weights
        Shape (N,), optional: what the rule `proportional_share` divides resources by.
    curves
        Optional: the seconds as functions of a cut that need not be an integer, for solvers that
        relax it. Family (`splitopt.profiles.table.curves`) -> coefficients, shape (N, 4, k), of
        download, upload, server and device seconds in this order; the values of the families add
        up. They are bare regressions: they need not meet the tables and may be negative.
    priority
        Shape (N,), optional: factors above 0 by which latencies count in the objective.
    device_w, radio_w
        Shape (N,), optional: power in W while a device computes, and while it sends.
    seconds_per_joule
        Optional: how many seconds of latency one joule is worth, for ``"latency_energy"``.
    shared_links
        False where every device has a downlink and an uplink of its own: no share divides its
        ``download_s`` and ``upload_s``, and its round takes
        ``download + upload + server/share + device`` seconds.
    budgets
        Optional: a list of mappings with ``name``, ``use``, shape (N, L), and ``limit``: what all
        devices' cuts use together is at most the limit. Kept as `Budgets`.

    Raises
    ------
    InputError
        A shape, sign, type or value that does not fit; the message names the entry.
    """

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], objective: str, source: str = "instance"
    ) -> CutAndResources:
        """Build the problem from the ``data`` of an instance file: four tables, or ``factors``."""
        if isinstance(data, Mapping) and any(name in data for name in ROBUST):
            return RobustCutAndResources.from_data(data, objective, source)
        if isinstance(data, Mapping) and "factors" in data:
            return FactoredCutAndResources.from_data(data, objective, source)
        if isinstance(data, Mapping) and "work_s" in data:
            return ChoicesAndResources.from_data(data, objective, source)
        return super().from_data(data, objective, source)

    @classmethod
    def from_factors(
        cls, factors: Mapping[str, Any] | Factors, objective: str = "sum", **optional: Any
    ) -> CutAndResources:
        """Build the problem of a large fleet from factors instead of tables.

        Parameters
        ----------
        factors
            For each of download, upload, server and device: ``download_scales``, shape (K, C), one
            number per class of devices, and ``download_shapes``, shape (K, L), one per cut; the
            table in s is the sum of the K products (usually 1 or 2). Optional: ``masks``, shape
            (M, L), sets of allowed cuts, and ``mask``, shape (C,), which of them each class has;
            ``count``, shape (C,), how many devices are in each class, 1 by default.
        objective, **optional
            As for the constructor. Arrays are per device, shape (N,), where N adds up ``count``;
            there are no ``curves``.

        Raises
        ------
        InputError
            A shape, sign, type or value that does not fit; the message names the entry.
        """
        read = factors if isinstance(factors, Factors) else Factors.read(factors)
        return FactoredCutAndResources(read, objective, **optional)

    @classmethod
    def of_choices(
        cls, work_s: npt.ArrayLike, own_s: npt.ArrayLike, objective: str = "sum", **optional: Any
    ) -> ChoicesAndResources:
        """Build the problem of devices that choose between anything, not cuts alone.

        Choice o of device n takes ``sum_r work/share + own`` seconds, on any of R resources.

        Parameters
        ----------
        work_s
            Shape (N, O, R), seconds of each resource at the full resource; 0 where it is not used.
        own_s
            Shape (N, O), seconds that no share divides.
        objective
            As for `CutAndResources`.
        **optional
            ``resources``, R names; ``choice_names``, O names; ``allowed``, shape (N, O), which
            choices each device has, all by default; ``budgets``, see `CutAndResources`, whose
            ``use`` has shape (N, O); ``priority``, shape (N,), and ``seconds_per_joule`` as there;
            ``energy_j``, shape (N, O), joule of a round, for objectives with energy.

        Raises
        ------
        InputError
            A shape, sign, type or value that does not fit; the message names the entry.
        """
        return ChoicesAndResources(work_s, own_s, objective, **optional)

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls,
        scenario: ScenarioLike,
        profile: ProfileLike | None = None,
        objective: str = "sum",
        *,
        choices: ScenarioChoices | None = None,
    ) -> CutAndResources:
        """Build the problem from a scenario.

        See `splitopt.problems.cut_and_resources.from_scenario`; where devices choose more than
        their cuts it is a `ChoicesAndResources`, of these `choices` if they are tabulated already.
        """
        from splitopt.problems.cut_and_resources.from_scenario import (
            arguments_of,
            choices_in,
            named_error,
        )

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        choices = choices_in(scenario, profile) if choices is None else choices
        form, given = arguments_of(scenario, profile, choices)
        if form == "factors":
            return FactoredCutAndResources(**given, objective=objective)
        others = {"choices": ChoicesAndResources, "robust": RobustCutAndResources}
        kind: Any = others.get(form, cls)
        try:
            found: CutAndResources = kind(**given, objective=objective)
            return found
        except InputError as error:
            raise named_error(error, [device.name for device in scenario.fleet()]) from None

    @cached_property
    def plain(self) -> CutAndResources:
        """The problem of plain seconds with the same decisions and values, see `tradeoffs`."""
        return tradeoffs.plain_problem(self) or self

    def lift(self, decision: CutAndResourcesDecision) -> CutAndResourcesDecision:
        """Return shares where the plain problem has nothing to share, none of own links."""
        if self.objective == "energy":
            return self.complete(decision.cut)
        if self.shared_links:
            return decision
        none = np.zeros(self.devices)
        return replace(decision, download_share=none, upload_share=none)

    def restricted(self, allowed: BoolArray) -> CutAndResources:
        """Return the same problem, as tables, with other allowed cuts (N, L)."""
        return replace(self, allowed=allowed)

    def infeasibility(self) -> str | None:
        """Name the devices that may use no cut at all, or a budget that no cuts can keep."""
        stuck = self.stuck()
        if stuck.size == 0:
            if self.budgets is None:
                return None
            return why_over_budget(self.budgets, self.allowed, f"{self.choice_word}s")
        shown = ", ".join(str(n) for n in stuck[:8]) + (", ..." if stuck.size > 8 else "")
        return (
            f"{stuck.size} of {self.devices} devices have no allowed {self.choice_word} "
            f"(index {shown}); allow at least one {self.choice_word} for each"
        )

    def over_budgets(self) -> str:
        """Report that no plan keeps all budgets together, with what each takes at least."""
        return no_cuts_within(self.budgets, self.allowed, f"{self.choice_word}s")

    def bound(self) -> float:
        """Return a lower bound in closed form, infinite where no cuts are feasible; see `bounds`.

        `splitopt.solvers.cut_and_resources.relaxation.root_bound` computes a larger one.
        """
        if self.infeasibility() is not None:
            return float("inf")
        plain = self.plain
        return cheap_bound(plain.objective, plain.class_blocks)

    def complete(self, cut: npt.ArrayLike) -> CutAndResourcesDecision:
        """Return the decision with the best shares for these cuts (shape (N,), 1..L).

        Raises
        ------
        InputError
            There is not one cut for each device, or one is no whole number from 1 to L.
        """
        return complete_cuts(self, cut)

    def allocate(self, cuts: IntArray) -> Allocation:
        """Best shares for these cuts; for ``"energy"``, those of the smallest sum of latencies."""
        return best_allocation(self, cuts)

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> CutAndResourcesDecision:
        """Read a decision from plain data."""
        return CutAndResourcesDecision.from_dict(document, self.devices, self.layers, source)


class FactoredCutAndResources(FactoredData, CutAndResources):
    """A `CutAndResources` that keeps `Factors` instead of tables.

    A decision is about every single device, N of them: the devices of class 0 first, then those
    of class 1, and so on. The tables ``download_s``, ``upload_s``, ``server_s``, ``device_s`` and
    ``allowed``, shape (N, L), are built when something asks for them; to evaluate, complete and
    check decisions nothing does.

    Parameters
    ----------
    factors
        The data, see `Factors`.
    objective, **optional
        As for `CutAndResources`; arrays have shape (N,), and the ``use`` of ``budgets`` has a row
        for each class, shape (C, L). There are no ``curves``.
    """

    def restricted(self, allowed: BoolArray) -> CutAndResources:
        """Return the same problem, as tables, with other allowed cuts (N, L)."""
        tables = {name: getattr(self, name) for name in TIMES}
        optional = {name: getattr(self, name) for name in FIELDS}
        if self.budgets is not None:
            optional["budgets"] = self.budgets.expanded()
        return CutAndResources(**tables, allowed=allowed, objective=self.objective, **optional)


class ChoicesAndResources(ChoicesData, CutAndResources):
    """A `CutAndResources` of any choices and any shared resources; `of_choices` makes one.

    Solvers number the choices of a device from 1, as they do cuts: where a method takes ``cuts``,
    choice o is o + 1. A decision is a `ChoiceDecision`, whose ``choice`` counts from 0.
    """

    def complete_choices(self, choice: npt.ArrayLike) -> CutAndResourcesDecision:
        """Return the decision with the best shares for these choices (shape (N,), 0..O-1).

        Raises
        ------
        InputError
            There is not one choice for each device, or one is no whole number from 0 to O-1.
        """
        return self.complete(self.checked_choices(choice, "choice") + 1)

    def restricted(self, allowed: BoolArray) -> CutAndResources:
        """Return the same problem with other allowed choices (N, O)."""
        return type(self)(**self.fields() | {"allowed": allowed})

    def decode(
        self, document: Mapping[str, Any], source: str = "decision"
    ) -> CutAndResourcesDecision:
        """Read a decision from plain data."""
        sizes = (self.devices, self.layers, len(self.resources))
        return ChoiceDecision.read(document, sizes, source)


class RobustCutAndResources(RobustData, CutAndResources):
    """A `CutAndResources` whose objective is its worst case, over slow devices or late ones.

    Cuts and shares stand before it is known who is slow. A device with no share of a resource that
    it needs is left out, which a quorum allows of N - Q devices.

    Parameters
    ----------
    slow
        Who may be slow: a mapping with ``devices``, the most at once (G), and the factors
        ``compute`` and ``links``, each a number or of shape (N,), 1 by default. Kept as
        `SlowDevices`; of none by default.
    quorum
        How many devices a round waits for (Q), all by default. The makespan is then the time until
        the first Q are done, whoever they are; the sum is that of the Q devices that the plan
        counts on, chosen before the slow ones are known.
    **others
        As for `CutAndResources`, whose objectives here are ``"sum"`` and ``"makespan"``.
    """

    @classmethod
    def from_data(
        cls, data: Mapping[str, Any], objective: str, source: str = "instance"
    ) -> RobustCutAndResources:
        """Build the problem from the ``data`` of an instance file: four tables."""
        return super(CutAndResources, cls).from_data(data, objective, source)

    def violations(self, decision: CutAndResourcesDecision) -> dict[str, float]:
        """Excess over each budget, which those left out do not use, and counts of devices."""
        decision = self.taken(decision)
        found = self.nominal.with_budgets(None).violations(decision)
        starved = found.pop("device_without_a_needed_share", 0.0)
        if (over := starved - (self.devices - self.waited)) > 0:
            found["device_without_a_needed_share"] = over
        if self.budgets is not None and f"{self.choice_word}_outside_model" not in found:
            served = np.isfinite(self.latencies(decision))
            use = self.budgets.table()[served]
            kept = replace(self.budgets, use=use, member=None)
            found |= kept.violations(decision.cut[served])
        return found

    def infeasibility(self) -> str | None:
        """Name the devices that may use no cut at all, or a budget that all cannot keep."""
        if self.waited < self.devices:
            return self.nominal.with_budgets(None).infeasibility()
        return super().infeasibility()

    def bound(self) -> float:
        """Return a lower bound in closed form: the nominal one, 0 where some may be left out."""
        if self.infeasibility() is not None:
            return float("inf")
        return 0.0 if self.waited < self.devices else self.nominal.bound()

    @cached_property
    def nominal(self) -> CutAndResources:
        """The same problem if nobody is slow and all are waited for."""
        return self.surely_slow(np.zeros(self.devices))

    def surely_slow(self, part: FloatArray, served: BoolArray | None = None) -> CutAndResources:
        """Return the problem without doubt: of devices that are slow as far as `part` (N,) says.

        Those that are not `served` (N,) need nothing. For the slowness and the devices of a worst
        case it has the value of the robust problem near the best shares, and its derivatives.
        """
        kept = np.ones(self.devices) if served is None else served.astype(np.float64)
        slow, budgets = self.slowness, self.budgets
        if budgets is not None:
            budgets = replace(budgets, use=budgets.table() * kept[:, None, None], member=None)
        links, own = (kept * (1 + (f - 1) * part) for f in (slow.links, slow.compute))
        return CutAndResources(
            links[:, None] * self.download_s,
            links[:, None] * self.upload_s,
            kept[:, None] * self.server_s,
            own[:, None] * self.device_s,
            allowed=self.allowed,
            objective=self.objective,
            priority=self.priority,
            device_w=None if self.device_w is None else kept * self.device_w,
            radio_w=None if self.radio_w is None else kept * self.radio_w,
            shared_links=self.shared_links,
            budgets=budgets,
        )

    def without_doubt(self, decision: CutAndResourcesDecision) -> CutAndResources:
        """Return `surely_slow` for the slowness that decides the worst case of a decision."""
        worst = self.worst_case(self.taken(decision))
        return self.surely_slow(worst.sure, worst.counted)

    def allocate(self, cuts: IntArray) -> Allocation:
        """Best shares for these cuts if all are served, with the derivatives of their worst case.

        The derivatives are those of the problem in which the devices of the worst case are surely
        slow (envelope theorem), exact for the sum and, but for ties, for the makespan.
        """
        decision = self.complete(cuts)
        return self.without_doubt(decision).allocate(cuts)._replace(shares=decision.shares)
