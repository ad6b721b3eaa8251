"""`CutAndResources`: a cut per device and shares of downlink, uplink and server (DP-MORA, P1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InputError
from splitopt.problems.base import FEASIBILITY_TOLERANCE, BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import tradeoffs
from splitopt.problems.cut_and_resources.bounds import cheap_bound
from splitopt.problems.cut_and_resources.budgets import why_over_budget
from splitopt.problems.cut_and_resources.completion import best_allocation, complete_cuts
from splitopt.problems.cut_and_resources.data import TIMES, CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import SHARES, CutAndResourcesDecision
from splitopt.problems.cut_and_resources.factored import FIELDS, FactoredData
from splitopt.problems.cut_and_resources.factors import Factors
from splitopt.problems.cut_and_resources.shares import Allocation
from splitopt.problems.inputs import as_profile, as_scenario

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.cvxpy_model import CvxpyModel
    from splitopt.problems.cut_and_resources.gurobi_model import GurobiModel
    from splitopt.problems.cut_and_resources.pyomo_model import PyomoModel
    from splitopt.problems.cut_and_resources.scip_model import ScipModel
    from splitopt.problems.inputs import ProfileLike, ScenarioLike


@dataclass(frozen=True, eq=False)
class CutAndResources(CutAndResourcesData):
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
        if isinstance(data, Mapping) and "factors" in data:
            return FactoredCutAndResources.from_data(data, objective, source)
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
    @np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
    def from_scenario(
        cls, scenario: ScenarioLike, profile: ProfileLike | None = None, objective: str = "sum"
    ) -> CutAndResources:
        """Build the problem from a scenario, see `splitopt.problems.cut_and_resources.tables`."""
        from splitopt.problems.cut_and_resources.tables import (
            GROUPED,
            factors_from_scenario,
            named_error,
            tables_from_scenario,
        )

        scenario = as_scenario(scenario)
        profile = as_profile(profile, scenario)
        if sum(device.count for device in scenario.devices) >= GROUPED:
            factors, optional = factors_from_scenario(scenario, profile)
            return cls.from_factors(factors, objective, **optional)
        tables = tables_from_scenario(scenario, profile)
        try:
            return cls(**tables, objective=objective)
        except InputError as error:
            raise named_error(error, [device.name for device in scenario.fleet()]) from None

    def phases(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N, 4): seconds by `PHASES`, infinite where a needed share is missing.

        Raises
        ------
        InputError
            The decision is not one of this problem: its class, its sizes, or a cut outside 1..L.
        """
        decision = self.taken(decision)
        self.checked_cuts(decision.cut, "decision.cut")
        download, upload, server, device = self.chosen(decision.cut)
        if self.shared_links:
            download = _over_share(download, decision.download_share)
            upload = _over_share(upload, decision.upload_share)
        server = _over_share(server, decision.server_share)
        return np.stack((download, device, upload, server), axis=1)

    def latencies(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): the round latency of every device in s (DP-MORA Eq. 12)."""
        return np.asarray(self.phases(decision).sum(axis=1))

    def energy(self, decision: CutAndResourcesDecision) -> FloatArray:
        """Shape (N,): joule of every device in a round; needs ``device_w`` and ``radio_w``."""
        cuts = self.checked_cuts(self.taken(decision).cut, "decision.cut")
        return tradeoffs.energy_of(self, self.chosen(cuts))

    def taken(
        self, decision: CutAndResourcesDecision | Mapping[str, Any]
    ) -> CutAndResourcesDecision:
        """Return a decision about this many devices, given as it is or as plain data."""
        return super().taken(decision).of_fleet(self.devices)

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

    def violations(self, decision: CutAndResourcesDecision) -> dict[str, float]:
        """Excess over each budget (fractions), and counts of devices for the other constraints."""
        decision = self.taken(decision)
        found: dict[str, float] = {}
        for name in SHARES:
            share = getattr(decision, name)
            if not np.isfinite(share).all():
                found[name] = float("inf")
                continue
            if (excess := float(share.sum()) - 1.0) > FEASIBILITY_TOLERANCE:
                found[name] = excess
            if (negative := float(-share.min())) > 0:
                found[f"{name}_negative"] = negative
        if outside := int(np.sum((decision.cut < 1) | (decision.cut > self.layers))):
            found["cut_outside_model"] = float(outside)
            return found
        if banned := int(np.sum(~self.permits(decision.cut))):
            found["cut_not_allowed"] = float(banned)
        if self.budgets is not None:
            found |= self.budgets.violations(decision.cut)
        if starved := int(np.sum(~np.isfinite(self.latencies(decision)))):
            found["device_without_a_needed_share"] = float(starved)
        return found

    def restricted(self, allowed: BoolArray) -> CutAndResources:
        """Return the same problem, as tables, with other allowed cuts (N, L)."""
        return replace(self, allowed=allowed)

    def infeasibility(self) -> str | None:
        """Name the devices that may use no cut at all, or a budget that no cuts can keep."""
        stuck = self.stuck()
        if stuck.size == 0:
            return None if self.budgets is None else why_over_budget(self.budgets, self.allowed)
        shown = ", ".join(str(n) for n in stuck[:8]) + (", ..." if stuck.size > 8 else "")
        return (
            f"{stuck.size} of {self.devices} devices have no allowed cut (index {shown}); "
            "allow at least one cut for each"
        )

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

    def to_cvxpy(
        self, relaxed: bool = False, formulation: str | None = "misocp", unit_s: float = 1.0
    ) -> CvxpyModel:
        """Return a CVXPY model, by default the one with shares.

        Parameters
        ----------
        relaxed
            Let a device mix its cuts: the optimum is then a lower bound.
        formulation
            ``"miqp"`` (sum only, without shares) or ``"misocp"`` (with shares), see the module
            `formulation`; None takes the first where the objective is the sum.
        unit_s
            Length in s of the model's unit of time; near a typical latency is best for solvers.

        Raises
        ------
        InputError
            The formulation is unknown or does not take the objective.
        InfeasibleError
            A device has no allowed cut.
        """
        from splitopt.problems.cut_and_resources.cvxpy_model import build_cvxpy

        return build_cvxpy(self, relaxed, formulation, unit_s)

    def to_pyomo(self, formulation: str | None = None, unit_s: float = 1.0) -> PyomoModel:
        """Return a Pyomo model, by default the smallest that takes the objective.

        Parameters and errors are those of `to_cvxpy`; there is one more formulation, ``"minlp"``:
        DP-MORA Eq. 19 with the problem's curves, see the module `pyomo_model`.
        """
        from splitopt.problems.cut_and_resources.pyomo_model import build_pyomo

        return build_pyomo(self, formulation, unit_s)

    def to_gurobi(
        self, env: Any = None, formulation: str | None = None, unit_s: float = 1.0
    ) -> GurobiModel:
        """Return a gurobipy model in the environment `env`, by default a silent one.

        The other parameters and the errors are those of `to_cvxpy`; by default the model is the
        smallest that takes the objective.
        """
        from splitopt.problems.cut_and_resources.gurobi_model import build_gurobi

        return build_gurobi(self, env, formulation, unit_s)

    def to_scip(self, formulation: str | None = None, unit_s: float = 1.0) -> ScipModel:
        """Return a PySCIPOpt model, by default the smallest that takes the objective.

        Parameters and errors are those of `to_cvxpy`.
        """
        from splitopt.problems.cut_and_resources.scip_model import build_scip

        return build_scip(self, formulation, unit_s)

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


def _over_share(seconds: FloatArray, share: FloatArray) -> FloatArray:
    """Return seconds / share, 0 where nothing is needed and inf where a needed share is missing."""
    full = np.full_like(seconds, np.inf)
    slow = np.divide(seconds, share, out=full, where=share > 0)
    return np.where(seconds > 0, slow, 0.0)
