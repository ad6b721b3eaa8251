"""``splitopt solvers``: what is installed, licensed and capable."""

from __future__ import annotations

import importlib.util
import inspect
import json
from typing import Annotated

import typer

from splitopt.cli import options as shared


def command(
    problem: Annotated[
        str | None, typer.Option("--problem", metavar="NAME", help="Only this problem's solvers.")
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """List every solver with its problem, its objectives and whether it can run here.

    Example: splitopt solvers --problem cut_and_resources
    """
    from splitopt.problems.registry import PROBLEMS, problem_class
    from splitopt.solvers.registry import solver_names

    if problem is not None:
        problem_class(problem, "--problem")
    rows = [
        _row(asked, name)
        for asked in PROBLEMS
        if problem in (None, asked)
        for name in solver_names(asked)
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return 0
    headings = ("Problem", "Solver", "Kind", "Objectives", "Ready", "What it does")
    texts = [{**row, "objectives": ", ".join(row["objectives"])}.values() for row in rows]
    shared.console().print(shared.table(headings, map(tuple, texts), unbroken=headings[:3]))
    return 0


def _row(problem: str, name: str) -> dict[str, str]:
    from splitopt.solvers.registry import solver_class

    found = solver_class(problem, name)
    absent = [module for module in found.requires if importlib.util.find_spec(module) is None]
    ready = f"not installed: {', '.join(absent)}" if absent else found().licence() or "yes"
    summary = (inspect.getdoc(found) or "").splitlines()[0]
    return {
        "problem": problem,
        "solver": name,
        "kind": found.kind,
        "objectives": sorted(found.objectives),  # type: ignore[dict-item]
        "ready": ready,
        "summary": summary,
    }
