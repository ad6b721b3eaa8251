"""The solver `cp_sat`: the sum of latencies in whole numbers, by CP-SAT of OR-tools.

With x_nl = 1 where device n cuts at l, the sum of latencies at the best shares is
``sum_r (sum_nl alpha_nlr x_nl)^2 + sum_nl d_nl x_nl``. CP-SAT takes whole numbers alone: each root
is replaced by ``floor(S alpha)`` and each d by ``floor(S^2 d)``. Totals and their squares are exact
in whole numbers, and none of them exceeds S^2 times the true value of the same cuts. So the least
whole number, and any bound on it, divided by S^2 is a lower bound on the true optimum; the cuts are
evaluated exactly. What rounding takes off the bound is about 2 N / (S sum alpha), relatively.
"""

from __future__ import annotations

import json
import math
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_whole
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.results import StopReason
from splitopt.solvers.backends.endings import NoDecisionError
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.backends import prepared

_PROCESS = Path(__file__).with_name("process.py")
_MOST_BITS = 50
"""The largest objective in whole numbers: sums and products stay exact in 53 bits."""
_ROUNDED = 1 - 1e-12
"""What the roots and their products with the scale may be too large by."""
_PATIENCE_S = 0.1
_GRACE_S = 5.0
"""How long after its time the process may still end by itself."""


@dataclass(frozen=True)
class CpSat(Solver[CutAndResources]):
    """CP-SAT (OR-tools) on tables scaled to whole numbers; its bound is valid for the true ones.

    Parameters
    ----------
    threads
        Workers of CP-SAT.
    most_variables
        Refuse a problem with more devices times cuts than this.
    """

    name: ClassVar[str] = "cp_sat"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum"})
    kind: ClassVar[Kind] = "exact"
    apart: ClassVar[tuple[str, ...]] = ("ortools",)

    threads: int = 1
    most_variables: int = 200_000

    def __post_init__(self) -> None:
        check_whole("threads", self.threads, 1)
        check_whole("most_variables", self.most_variables, 1)

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject budgets, and a program that would take much memory."""
        if problem.budgets is not None:
            return f"cannot take budgets ({', '.join(problem.budgets.names)}): their use is real"
        if (count := problem.devices * problem.layers) <= self.most_variables:
            return None
        return (
            f"would build a program of {count:,} variables, more than its limit of "
            f"most_variables = {self.most_variables:,}"
        )

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Start the process, propose what it finds, and prove its bound."""
        if (reason := search.stop()) is not None:
            return reason
        with search.building():
            program, scale = self._program(problem, search)
        if (reason := search.stop()) is not None:
            return reason
        child = subprocess.Popen(  # this very Python, and a file of this package
            [sys.executable, str(_PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            return _followed(child, program, problem, search, scale)
        finally:
            child.kill()
            child.communicate()

    def _program(self, problem: CutAndResources, search: Search) -> tuple[dict[str, Any], float]:
        """Return the program in whole numbers, and the square of the scale."""
        stated, _ = prepared(problem)
        alone = np.where(stated.allowed, stated.work_s.sum(axis=2) + stated.own_s, np.inf)
        first = alone.argmin(axis=1)
        value = search.propose(problem.complete(first + 1))
        square = 2.0**_MOST_BITS / (value or 1.0)
        scale = math.sqrt(square)
        roots = np.floor(stated.roots * (scale * _ROUNDED)).astype(np.int64)
        own = np.floor(np.minimum(stated.own_s, 2 * value) * (square * _ROUNDED)).astype(np.int64)
        return {
            "allowed": stated.allowed.tolist(),
            "roots": [roots[:, :, r].tolist() for r in range(roots.shape[2])],
            "own": own.tolist(),
            # an optimal plan has no square above the value of the first plan
            "most": 2 ** (_MOST_BITS // 2) + 1,
            "first": first.tolist(),
            "threads": self.threads,
            "seed": search.seed % 2**31,
            "ends_at": None if math.isinf(search.remaining_s) else time.time() + search.remaining_s,
        }, square


def _followed(
    child: subprocess.Popen[str],
    program: dict[str, Any],
    problem: CutAndResources,
    search: Search,
    square: float,
) -> StopReason:
    """Follow the process until it ends or must; propose its cuts and prove its bound."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(program) + "\n")
    child.stdin.flush()
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(child.stdout, lines), daemon=True).start()
    late, begin = 0.0, search.elapsed_s
    while True:
        try:
            line = lines.get(timeout=_PATIENCE_S)
        except queue.Empty:
            reason = search.stop()
            if reason == "time":  # it ends by itself, with its bound
                late += _PATIENCE_S
            if reason in ("gap", "interrupted") or late > _GRACE_S:
                return reason or "time"
            continue
        if line is None:
            assert child.stderr is not None
            raise NoDecisionError(f"CP-SAT ended without an answer: {child.stderr.read()[-300:]}")
        told = json.loads(line)
        if "choice" in told:
            search.propose(problem.complete(np.array(told["choice"]) + 1))
        elif "built" in told:
            search.build_s += search.elapsed_s - begin  # Python and OR-tools have started, too
        else:
            return _ended(told, search, square)


def _ended(told: dict[str, Any], search: Search, square: float) -> StopReason:
    """Prove the bound of a process that has ended, and return why it did."""
    search.details["cp_sat_status"] = told["status"]
    search.iterations = int(told["branches"])
    if told["status"] in ("OPTIMAL", "FEASIBLE", "UNKNOWN"):
        search.prove(told["bound"] / square)
    if told["status"] == "OPTIMAL":
        return "converged"
    return "time" if told["status"] in ("FEASIBLE", "UNKNOWN") else "solver_error"


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Forward lines, and None at the end."""
    for line in stream:
        lines.put(line)
    lines.put(None)
