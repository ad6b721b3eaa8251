"""What the two decentralised solvers say on the same instances, and how far they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.papers.dp_mora.published import MODELS
from benchmarks.papers.dp_mora.schemes import problem_at
from benchmarks.papers.tables import Cell, Table
from splitopt import solve


def messages_table() -> Table:
    """Count rounds, messages and bytes of `price_consensus` and `dp_mora`."""
    rows: list[list[Cell]] = []
    for model, title in MODELS.items():
        problem = problem_at(model)
        best = solve(problem, "exact").objective
        for name in ("price_consensus", "dp_mora"):
            options: dict[str, Any] = {"clip": True} if name == "dp_mora" else {}
            result = solve(problem, name, **options)
            counts = [_shown(number) for number in _counts(result.details)]
            above = f"{100 * (result.objective / best - 1):.4f}"
            rows.append([f"{title}, `{name}`", *counts, above, result.outcome])
    head = ["model, solver", "rounds", "messages", "bytes", "% above the optimum", "outcome"]
    note = (
        "Sum of latencies at the settings of Tables 2 and 3. A round of `price_consensus` is a "
        "question to all devices, one of `dp_mora` a pass over the four blocks of Algorithm 1. "
        "How many steps its flow takes hangs on the last bits of a machine's arithmetic, so that "
        "its counts are to two digits."
    )
    return Table("messages", head, rows, note)


def _shown(number: int) -> str:
    """Write a count: exactly, or to two digits where it depends on the machine."""
    return f"about {float(f'{number:.2g}'):,.0f}" if number >= 1e6 else f"{number:,}"


def _counts(details: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return rounds, messages and their bytes."""
    return details["rounds"], details["messages"], details["message_bytes"]
