"""The formulations of `CutAndResources` stated once for modelling languages that add row by row.

See the module `formulation` for the mathematics and the names. Variables and rows are added in the
same order whatever the language, as a solver may settle ties by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from splitopt.problems.cut_and_resources.formulation import Coefficients

Uses = dict[tuple[int, int], Any]
"""The binaries by (device from 0, cut from 1)."""


class Language(Protocol):
    """A modelling language and the model that it is building."""

    def binary(self, name: str) -> Any:
        """Add a variable that is 0 or 1."""
        ...

    def real(self, name: str, most: float | None = None) -> Any:
        """Add a variable of at least 0."""
        ...

    def total(self, terms: Iterable[Any]) -> Any:
        """Return the sum of terms."""
        ...

    def row(self, relation: Any, name: str) -> None:
        """Add a constraint."""
        ...

    def minimise(self, expression: Any) -> None:
        """Set the objective."""
        ...

    def minimised(self) -> Any:
        """Return a variable that is the objective, for rows that bound it from below."""
        ...


def add_cuts(language: Language, numbers: Coefficients) -> Uses:
    """Add one cut for each device, within the side budgets."""
    x = {(n, cut): language.binary(f"x[{n},{cut}]") for n, cut in numbers.pairs}
    for n, cuts in numbers.cuts_of().items():
        language.row(language.total(x[n, cut] for cut in cuts) == 1, f"one_cut[{n}]")
    for name, (use, limit) in numbers.side.items():
        used = [part * x[pair] for pair, part in use.items() if part]
        if used:  # a budget that nothing uses is always kept
            language.row(language.total(used) <= limit, f"side_budget[{name}]")
    return x


def add_totals(language: Language, x: Uses, numbers: Coefficients) -> dict[str, Any]:
    """Add the sums of roots, whose squares are what the best shares cost, and the objective."""
    total = {r: language.real(f"total[{r}]") for r in numbers.used}
    for r, variable in total.items():
        roots = language.total(numbers.root(*pair, r) * use for pair, use in x.items())
        language.row(variable == roots, f"total_roots[{r}]")
    on_devices = language.total(numbers.device_time(*pair) * use for pair, use in x.items())
    language.minimise(language.total(v * v for v in total.values()) + on_devices)
    return {"total": total}


def add_shares(
    language: Language, x: Uses, numbers: Coefficients, objective: str
) -> dict[str, Any]:
    """Add shares, the time that each of them takes, and the objective over latencies."""
    cuts, served, devices = numbers.cuts_of(), numbers.served, len(numbers.device)
    scale = math.sqrt(devices)
    share = {(n, r): language.real(f"share[{n},{r}]", 1.0) for n, r in served}
    seconds = {(n, r): language.real(f"seconds[{n},{r}]") for n, r in served}
    latency = {
        n: language.total(numbers.device_time(n, cut) * x[n, cut] for cut in of_n)
        for n, of_n in cuts.items()
    }
    for n, r in served:
        root = language.real(f"root[{n},{r}]")
        roots = language.total(scale * numbers.root(n, cut, r) * x[n, cut] for cut in cuts[n])
        language.row(root == roots, f"roots[{n},{r}]")
        # the rotated cone share * seconds >= need, both sides times N
        language.row(root * root <= devices * share[n, r] * seconds[n, r], f"service[{n},{r}]")
        latency[n] = latency[n] + seconds[n, r]
    for resource in numbers.used:
        spent = language.total(share[n, r] for n, r in served if r == resource)
        language.row(spent <= 1, f"budget[{resource}]")
    if objective == "sum":
        language.minimise(language.total(latency.values()))
    else:
        largest = language.minimised()
        for n, value in latency.items():
            language.row(value <= largest, f"deadline[{n}]")
    return {"share": share, "seconds": seconds, "latency": latency}
