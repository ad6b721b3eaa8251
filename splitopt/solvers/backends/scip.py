"""SCIP through PySCIPOpt: parameters, incumbents as they come, and the run itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from splitopt.results import Decision, StopReason
from splitopt.solvers.backends.endings import SCIP_STATUS, conclude, safe_bound
from splitopt.solvers.base import Search

_MAX_SEED = 2**31 - 1


CONE_PARAMETERS = {"presolving/donotaggr": True, "presolving/donotmultaggr": True}
"""For models with many cones: presolve must not substitute a cone's variables, since a cone that is
spelled out is no longer recognised as convex, and SCIP would branch on its continuous variables."""


def scip_parameters(search: Search) -> dict[str, Any]:
    """Return SCIP's parameters: one thread, the seed, what is left of the time, the gap."""
    parameters: dict[str, Any] = {
        "display/verblevel": 0,
        "lp/threads": 1,
        "parallel/maxnthreads": 1,
        "randomization/randomseedshift": search.seed % _MAX_SEED,
        "limits/gap": search.rel_gap,
    }
    if math.isfinite(search.remaining_s):
        parameters["limits/time"] = search.remaining_s
    return parameters


def run_scip(
    model: Any,
    search: Search,
    unit: float,
    incumbent: Callable[[], Decision | None],
) -> StopReason:
    """Optimise a ``pyscipopt.Model``; every improvement is proposed when SCIP finds it.

    Parameters
    ----------
    unit
        What one of the model's objective is worth in the problem's.
    incumbent
        Read the decision of the best solution that the model holds, None without one.
    """
    model.setParams(scip_parameters(search))
    failures: list[BaseException] = []

    def look() -> None:
        try:
            search.prove(safe_bound(model.getDualbound()) * unit)
            if (decision := incumbent()) is not None:
                search.propose(decision)
            if search.stop() is not None:
                model.interruptSolve()
        except BaseException as failure:
            failures.append(failure)
            model.interruptSolve()

    watcher = _watcher(look)
    model.includeEventhdlr(watcher, "splitopt", "reports every new incumbent to splitopt")
    model.optimize()
    if failures:
        raise failures[0]
    search.iterations = int(model.getNTotalNodes())
    if (decision := incumbent()) is not None:
        search.propose(decision)
    return conclude(search, "SCIP", SCIP_STATUS, model.getStatus(), model.getDualbound(), unit)


def _watcher(look: Callable[[], None]) -> Any:
    """Make an event handler that calls `look` at every new incumbent."""
    import pyscipopt

    scip: Any = pyscipopt
    improved = scip.SCIP_EVENTTYPE.BESTSOLFOUND

    class Watcher(scip.Eventhdlr):  # type: ignore[misc]
        def eventinit(self) -> None:
            self.model.catchEvent(improved, self)

        def eventexit(self) -> None:
            self.model.dropEvent(improved, self)

        def eventexec(self, event: Any) -> None:  # noqa: ARG002 - there is only one event
            look()

    return Watcher()
