"""What all formulations of `CutAndResources` share: their numbers, their size and their answer.

Notation: x[n, l] is 1 where device n keeps l layers, or takes its choice l, counted from 1; a
resource r is one of the problem's ``resources``, and alpha[n, l, r] is the square root of the
seconds that device n needs of r at the full resource.

``"miqp"`` (sum of latencies only) has no shares: for given cuts the best ones are proportional to
the roots and cost exactly the square of their sum (Cauchy-Schwarz), so that DP-MORA Eq. 19 becomes

    minimise    sum_r total[r]^2 + sum_nl d[n, l] x[n, l]
    subject to  sum_l x[n, l] = 1                                 one_cut
                total[r] = sum_nl alpha[n, l, r] x[n, l]          total_roots

``"misocp"`` (both objectives) has the shares as variables. The seconds that a device waits for a
resource are at least need / share; as x is binary, need = (sum_l alpha x)^2, which makes this the
rotated cone share * seconds >= (sum_l alpha x)^2, the perspective of the quotient:

    minimise    sum_n latency[n]   or   round_time
    subject to  sum_l x[n, l] = 1                                 one_cut
                root[n, r] = sqrt(N) sum_l alpha[n, l, r] x[n, l] roots
                N share[n, r] seconds[n, r] >= root[n, r]^2       service
                sum_n share[n, r] <= 1                            budget
                latency[n] = sum_r seconds[n, r] + sum_l d[n, l] x[n, l]
                latency[n] <= round_time                          deadline (makespan)

The factor N only keeps all numbers near one: shares are about 1/N.

Both have one linear row per side budget b of the problem, in units of its limit:

                sum_nl use[n, l, b] x[n, l] <= limit[b]           side_budget
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.completion import complete_cuts
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.size import Size

FORMULATIONS = ("miqp", "misocp")


@dataclass(frozen=True)
class Coefficients:
    """The numbers of a formulation, with times in units of ``unit_s``.

    Parameters
    ----------
    roots
        Shape (N, L, R): alpha, 0 where a cut is not allowed.
    device
        Shape (N, L): seconds on the device over ``unit_s``, 0 where a cut is not allowed.
    pairs
        The (device, cut) pairs that are allowed: device from 0, cut from 1.
    served
        The (device, resource) pairs for which some allowed cut needs the resource.
    side
        Side budget -> use by pair, as a part of its limit where that is above 0, and the limit, 1
        or 0, in the same unit.
    resources
        The names of all resources.
    """

    roots: FloatArray
    device: FloatArray
    pairs: list[tuple[int, int]]
    served: list[tuple[int, str]]
    side: dict[str, tuple[dict[tuple[int, int], float], float]]
    resources: tuple[str, ...]

    @classmethod
    def of(cls, problem: CutAndResourcesData, unit_s: float) -> Coefficients:
        """Scale the numbers of a plain problem; raise without an answer or a unit of time."""
        if not 0 < unit_s < math.inf:
            raise InputError.at("unit_s", f"is {unit_s!r}, it must be a number of seconds above 0")
        if (reason := problem.infeasibility()) is not None:
            raise InfeasibleError(reason)
        allowed = problem.allowed
        roots = np.where(allowed[:, :, None], problem.roots / math.sqrt(unit_s), 0.0)
        device = np.where(allowed, problem.own_s / unit_s, 0.0)
        named = problem.resources
        return cls(roots, device, _pairs(problem), _served(problem), _side(problem), named)

    @property
    def used(self) -> list[str]:
        """The resources that anybody may need, in the order of `resources`."""
        needed = {name for _, name in self.served}
        return [name for name in self.resources if name in needed]

    def root(self, device: int, cut: int, resource: str) -> float:
        """Return alpha for a device (from 0), a cut (from 1) and a resource."""
        return float(self.roots[device, cut - 1, self.resources.index(resource)])

    def device_time(self, device: int, cut: int) -> float:
        """Return the time on the device itself in units of ``unit_s``."""
        return float(self.device[device, cut - 1])

    def cuts_of(self) -> dict[int, list[int]]:
        """Return the allowed cuts (from 1) of each device."""
        found: dict[int, list[int]] = {}
        for device, cut in self.pairs:
            found.setdefault(device, []).append(cut)
        return found


@dataclass(frozen=True)
class Formulation(ABC):
    """A model of a `CutAndResources` problem in some modelling language.

    Subclasses hold the variables and constraints by name; add your own constraints to them before
    solving.

    Parameters
    ----------
    problem
        What is asked. The model itself is that of ``problem.plain``: with priorities its times are
        weighted, and with a price of energy they hold what the energy is worth.
    unit_s
        Length in s of the model's unit of time.
    formulation
        Its name, see the module.
    """

    problem: CutAndResourcesData
    unit_s: float
    formulation: str

    @abstractmethod
    def use_values(self) -> FloatArray | None:
        """Shape (N, L): the values of x in the incumbent, None where there is no incumbent."""

    @abstractmethod
    def share_values(self) -> FloatArray | None:
        """Shape (N, R): the incumbent's shares, None where there are none in this formulation."""

    def cuts(self) -> IntArray:
        """Shape (N,), 1..L: the cuts of the incumbent.

        Raises
        ------
        InputError
            The model was not solved, has no incumbent, or was relaxed and mixes cuts.
        """
        use = self.use_values()
        if use is None:
            raise InputError("the model holds no solution; solve it first and look at its status")
        return read_cuts(use)

    def decision(self, keep_shares: bool = False) -> CutAndResourcesDecision:
        """Return the incumbent's decision.

        Parameters
        ----------
        keep_shares
            False: the best shares for the incumbent's cuts, in float64 (``problem.complete``).
            True: the shares of the model itself, for own constraints on shares; they are shrunk by
            the solver's tolerance where they exceed a budget.
        """
        cuts = self.cuts()
        if not keep_shares:
            return complete_cuts(self.problem, cuts)
        shares = self.share_values()
        if shares is None:
            raise InputError.at(
                "keep_shares", f"the formulation {self.formulation!r} has no shares, take 'misocp'"
            )
        shares = np.maximum(shares, 0.0)
        total = shares.sum(axis=0)
        shares /= np.where(total > 1, total * (1 + 1e-15), 1.0)
        return self.problem.lift(self.problem.decision_of(cuts, shares))


def read_cuts(use: FloatArray) -> IntArray:
    """Read the cuts (N,), 1..L, from values of x (N, L) that are binary within a tolerance."""
    chosen = use > 0.99
    if (odd := np.flatnonzero(chosen.sum(axis=1) != 1)).size:
        raise InputError(
            f"the model's solution gives device {odd[0]} no single cut; a relaxed model has "
            "no decision, take relaxed=False"
        )
    return np.asarray(chosen.argmax(axis=1) + 1, dtype=np.int64)


def choose_formulation(problem: CutAndResourcesData, formulation: str | None) -> str:
    """Return the formulation to build: by default the smallest one that takes the objective.

    The objective that counts is that of the plain problem: energy is a sum.
    """
    problem = problem.plain
    if formulation is None:
        return "miqp" if problem.objective == "sum" else "misocp"
    if formulation not in FORMULATIONS:
        names = " or ".join(repr(name) for name in FORMULATIONS)
        raise InputError.at("formulation", f"is {formulation!r}, it must be {names}")
    if formulation == "miqp" and problem.objective != "sum":
        raise InputError.at(
            "formulation",
            f"is 'miqp', which has no form for the objective {problem.objective!r}; take 'misocp'",
        )
    return formulation


def model_size(problem: CutAndResourcesData, formulation: str | None = None) -> Size:
    """Count what `to_gurobi` and `to_pyomo` would build, without building it."""
    problem = problem.plain
    chosen = choose_formulation(problem, formulation)
    pairs, served = int(problem.allowed.sum()), _served(problem)
    used = len({resource for _, resource in served})
    side = 0 if problem.budgets is None else len(problem.budgets)
    if chosen == "miqp":
        return Size(pairs + used, problem.devices + used + side, 0, used > 0)
    deadlines = problem.devices if problem.objective == "makespan" else 0
    return Size(
        pairs + 3 * len(served) + (deadlines > 0),
        problem.devices + len(served) + used + deadlines + side,
        len(served),
        bool(served),
    )


def _pairs(problem: CutAndResourcesData) -> list[tuple[int, int]]:
    return [(int(n), int(column) + 1) for n, column in np.argwhere(problem.allowed)]


def _side(
    problem: CutAndResourcesData,
) -> dict[str, tuple[dict[tuple[int, int], float], float]]:
    budgets = problem.budgets
    if budgets is None:
        return {}
    use, pairs = budgets.table() / budgets.scale, _pairs(problem)
    return {
        name: (
            {(n, cut): float(use[n, cut - 1, b]) for n, cut in pairs},
            float(budgets.limit[b] / budgets.scale[b]),
        )
        for b, name in enumerate(budgets.names)
    }


def _served(problem: CutAndResourcesData) -> list[tuple[int, str]]:
    needs = ((problem.roots > 0) & problem.allowed[:, :, None]).any(axis=1)
    return [(int(n), problem.resources[r]) for n, r in np.argwhere(needs)]


def table(problem: CutAndResourcesData, values: dict[tuple[int, int], float]) -> FloatArray:
    """Write values by (device, cut) over an array (N, L) of zeros."""
    found = np.zeros((problem.devices, problem.layers))
    for (device, cut), value in values.items():
        found[device, cut - 1] = value
    return found


def share_table(problem: CutAndResourcesData, values: dict[tuple[int, str], float]) -> FloatArray:
    """Write values by (device, resource) over an array (N, R) of zeros."""
    resources = problem.resources
    found = np.zeros((problem.devices, len(resources)))
    for (device, resource), value in values.items():
        found[device, resources.index(resource)] = value
    return found
