"""`CutAndResources` in CVXPY: mixed-integer second-order cone programs, or their relaxations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitopt.problems.base import FloatArray
from splitopt.problems.cut_and_resources.data import CutAndResourcesData
from splitopt.problems.cut_and_resources.formulation import (
    Coefficients,
    Formulation,
    choose_formulation,
)
from splitopt.problems.size import Size


@dataclass(frozen=True)
class CvxpyModel(Formulation):
    """CVXPY objects, see the module `formulation` for the maths.

    Add own constraints to the dictionary `constraints` under a new name, then build and solve:
    ``model.program().solve(solver=...)``. Always name the solver: CVXPY's own choice is whatever is
    installed, with or without the licence that it needs.

    Parameters
    ----------
    x
        Variable (N, L): 1 where device n keeps l layers (column l - 1); in [0, 1] if relaxed.
    objective
        ``cvxpy.Minimize``.
    constraints
        ``one_cut`` and, where some cuts are not, ``allowed``; ``side_budget NAME`` for each budget
        of the problem; ``"miqp"`` adds ``total_roots`` and ``squares``; ``"misocp"`` adds
        ``service``, ``budget`` and, for the makespan, ``deadline``.
    relaxed
        Whether a device may mix its cuts.
    total
        ``"miqp"``: variable (R,), the sums of roots by resource.
    share, seconds
        ``"misocp"``: variables (N, R), shares of the resources, and their times.
    latency
        ``"misocp"``: expression (N,), the devices' latencies.
    round_time
        ``"misocp"`` for the makespan: variable, the largest latency.
    """

    x: Any
    objective: Any
    constraints: dict[str, Any]
    relaxed: bool
    total: Any = None
    share: Any = None
    seconds: Any = None
    latency: Any = None
    round_time: Any = None

    def program(self) -> Any:
        """Build the ``cvxpy.Problem`` of the objective and all constraints there are now."""
        import cvxpy as cp

        return cp.Problem(self.objective, list(self.constraints.values()))

    def use_values(self) -> FloatArray | None:
        """Shape (N, L): the values of x after solving, None where there are none."""
        return None if self.x.value is None else np.asarray(self.x.value, dtype=np.float64)

    def share_values(self) -> FloatArray | None:
        """Shape (N, R): the values of the shares after solving, None in ``"miqp"``."""
        if self.share is None or self.share.value is None:
            return None
        return np.array(self.share.value, dtype=np.float64)


def build_cvxpy(
    problem: CutAndResourcesData, relaxed: bool, formulation: str | None, unit_s: float
) -> CvxpyModel:
    """Build the model; the documented entry is `CutAndResources.to_cvxpy`."""
    import cvxpy

    cp: Any = cvxpy  # its star imports hide its names from type checkers
    chosen = choose_formulation(problem, formulation)
    numbers = Coefficients.of(problem.plain, unit_s)
    kind = {"nonneg": True} if relaxed else {"boolean": True}
    x = cp.Variable((problem.devices, problem.layers), name="x", **kind)
    constraints = {"one_cut": cp.sum(x, axis=1) == 1}
    if not problem.allowed.all():
        constraints["allowed"] = x[~problem.allowed] == 0
    if (budgets := problem.budgets) is not None:
        use, limit = budgets.table() / budgets.scale, budgets.limit / budgets.scale
        rows = [cp.sum(cp.multiply(use[:, :, b], x)) <= limit[b] for b in range(len(budgets))]
        constraints |= {
            f"side_budget {name}": row for name, row in zip(budgets.names, rows, strict=True)
        }
    on_device = cp.sum(cp.multiply(numbers.device, x), axis=1)
    roots = [
        cp.sum(cp.multiply(numbers.roots[:, :, r], x), axis=1)
        for r in range(len(problem.resources))
    ]
    if chosen == "miqp":
        goal, parts = _with_totals(cp, constraints, roots, on_device)
    else:
        goal, parts = _with_shares(cp, constraints, roots, on_device, problem.plain)
    return CvxpyModel(problem, unit_s, chosen, x, cp.Minimize(goal), constraints, relaxed, **parts)


def _with_totals(
    cp: Any, constraints: dict[str, Any], roots: list[Any], on_device: Any
) -> tuple[Any, dict[str, Any]]:
    """Add the sums of roots, whose squares are what the best shares cost.

    The sum of squares is bounded by a variable in one cone, so that the objective is linear and
    every solver gets the program through CVXPY's conic interface.
    """
    total = cp.Variable(len(roots), name="total", nonneg=True)
    squares = cp.Variable(name="squares", nonneg=True)
    constraints["total_roots"] = total == cp.hstack([cp.sum(root) for root in roots])
    constraints["squares"] = cp.SOC(squares + 1, cp.hstack([2 * total, squares - 1]))
    return squares + cp.sum(on_device), {"total": total}


def _with_shares(
    cp: Any,
    constraints: dict[str, Any],
    roots: list[Any],
    on_device: Any,
    problem: CutAndResourcesData,
) -> tuple[Any, dict[str, Any]]:
    """Add shares, the time that each of them takes, and the objective over latencies."""
    devices = problem.devices
    share = cp.Variable((devices, len(roots)), name="share", nonneg=True)
    seconds = cp.Variable((devices, len(roots)), name="seconds", nonneg=True)
    root = math.sqrt(devices) * cp.hstack(roots)
    supply, wait = devices * cp.vec(share, order="F"), cp.vec(seconds, order="F")
    # supply * wait >= root^2, written as second-order cones of dimension three
    cones = cp.SOC(supply + wait, cp.vstack([2 * root, supply - wait]), axis=0)
    constraints["service"] = cones
    constraints["budget"] = cp.sum(share, axis=0) <= 1
    latency = cp.sum(seconds, axis=1) + on_device
    parts = {"share": share, "seconds": seconds, "latency": latency}
    if problem.objective == "sum":
        return cp.sum(latency), parts
    round_time = cp.Variable(name="round_time", nonneg=True)
    constraints["deadline"] = latency <= round_time
    return round_time, {**parts, "round_time": round_time}


def cvxpy_size(problem: CutAndResourcesData, formulation: str | None = None) -> Size:
    """Count what CVXPY hands to a conic solver: every cone gets a variable for each of its rows."""
    problem = problem.plain
    n, pairs = problem.devices, problem.devices * problem.layers
    shared = len(problem.resources)
    banned = int((~problem.allowed).sum())
    banned += 0 if problem.budgets is None else len(problem.budgets)
    if choose_formulation(problem, formulation) == "miqp":
        return Size(pairs + shared + 1 + shared + 2, n + banned + shared + shared + 2, 1, True)
    cones, makespan = shared * n, problem.objective == "makespan"
    return Size(
        variables=pairs + 2 * cones + makespan + 3 * cones,
        linear_constraints=n + banned + shared + n * makespan + 3 * cones,
        quadratic_constraints=cones,
        has_quadratic_terms=True,
    )
