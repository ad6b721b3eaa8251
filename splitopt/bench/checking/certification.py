"""Writing the instance library: instances, their metadata, and proved best known values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from splitopt.bench.checking.claims import above, judge
from splitopt.bench.instances.benchmark import (
    Benchmark,
    LibraryEntry,
    Recipe,
    benchmark_problems,
    find_benchmark,
    library_entries,
)
from splitopt.bench.instances.best_known import BestKnown, read_best_known, write_best_known
from splitopt.bench.instances.stored import BEST_KNOWN, FORMAT, METADATA, VERSION
from splitopt.driver import solve
from splitopt.errors import InputError, SolveError
from splitopt.problems.base import Problem
from splitopt.problems.digest import instance_digest
from splitopt.results import OPTIMAL_GAP, relative_gap
from splitopt.solvers.registry import solver_class, why_not
from splitopt.storage.writing import write_atomic

Report = Callable[[str], None]


def make_library(
    folder: Path, *, time_limit_s: float, report: Report, problems: Sequence[str] | None = None
) -> list[BestKnown]:
    """Write ``PROBLEM/metadata.json``, the instance files and ``best_known.csv``.

    Every value is what a solver of `Benchmark.provers` reached, checked by the problem itself. It
    is marked proved where the best bound meets it to 1e-9, and open elsewhere.

    Parameters
    ----------
    folder
        Where to; it is created if it is not there.
    time_limit_s
        For every solver on every instance.
    report
        Called with a line of progress.
    problems
        Only these; the others keep what the folder holds of them. None for all.

    Raises
    ------
    InputError
        The folder cannot be written.
    SolveError
        Two solvers contradict each other: a value below another's bound.
    """
    command = f"splitopt bench --make-library benchmarks/instances --time-limit {time_limit_s:g}"
    chosen = list(benchmark_problems()) if problems is None else list(problems)
    table = _kept(folder / BEST_KNOWN, chosen)
    for name in chosen:
        benchmark = find_benchmark(name)
        place = folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{place}: cannot be made ({error.strerror})") from None
        listed = []
        for entry in library_entries(benchmark):
            problem = _draw(benchmark, entry)
            listed.append(_write_instance(entry, problem, benchmark, place))
            for objective in problem.askable:
                posed = problem.with_objective(objective)
                known = certify(benchmark, posed, entry.name, time_limit_s, command)
                table.append(known)
                report(f"{name} {entry.name} {objective}: {known.value} {known.status}")
        document = {
            "format": FORMAT,
            "version": VERSION,
            "problem": name,
            "instances": listed,
        }
        write_atomic(place / METADATA, json.dumps(document, indent=1) + "\n")
    write_atomic(folder / BEST_KNOWN, write_best_known(table))
    return table


def _kept(path: Path, chosen: Sequence[str]) -> list[BestKnown]:
    """Return the values of the problems that are not written anew."""
    if set(chosen) >= set(benchmark_problems()) or not path.exists():
        return []
    return [known for known in read_best_known(path).values() if known.problem not in chosen]


def _draw(benchmark: Benchmark, entry: LibraryEntry) -> Problem[Any]:
    return benchmark.draw(entry.make) if isinstance(entry.make, Recipe) else entry.make()


def _write_instance(
    entry: LibraryEntry, problem: Problem[Any], benchmark: Benchmark, place: Path
) -> dict[str, Any]:
    """Write the instance's file, if it has one, and return its metadata."""
    document: dict[str, Any] = {
        "name": entry.name,
        "set": entry.set,
        "kind": entry.kind,
        "source": entry.source,
        "published": entry.published,
        "objectives": list(problem.askable),
        "size": dict(benchmark.size(problem)),
        "digest": instance_digest(problem),
    }
    if entry.as_file:
        problem.save(place / f"{entry.name}.json", entry.note)
        return {**document, "file": f"{entry.name}.json"}
    if not isinstance(entry.make, Recipe):
        raise InputError(f"{entry.name}: has no recipe, it must be kept as a file")
    return {**document, "recipe": entry.make.to_dict()}


def certify(
    benchmark: Benchmark, problem: Problem[Any], name: str, time_limit_s: float, command: str
) -> BestKnown:
    """Find the best value and bound of an instance, and what proves them.

    Raises
    ------
    SolveError
        Two solvers contradict each other, or one makes a claim that does not hold.
    """
    place = (problem.name, problem.objective, name)
    reason = problem.infeasibility()
    if reason is not None:
        return BestKnown(*place, None, None, f"no answer: {reason}", "proved", command)
    value, bound = math.inf, -math.inf
    proofs = []
    for prover in benchmark.provers:
        options = benchmark.prover_options.get(prover, {})
        solver = solver_class(problem.name, prover)(**options)
        if why_not(solver, problem) is not None:
            continue
        result = solve(problem, solver, time_limit_s=time_limit_s)
        verdict = judge(problem, result.to_dict())
        if verdict.contradiction is not None:
            raise SolveError(f"{prover} on {name}: {verdict.contradiction}", result)
        if verdict.value is None:
            continue
        if above(bound, verdict.value) or above(result.bound, min(value, verdict.value)):
            raise SolveError(f"{prover} on {name} contradicts another solver", result)
        value, bound = min(value, verdict.value), max(bound, result.bound)
        if result.outcome == "optimal":
            proofs.append(f"{prover} proves it to {OPTIMAL_GAP:g}")
    if not math.isfinite(value):
        return BestKnown(*place, None, None, "no solver found an answer", "open", command)
    bound = min(bound, value)  # a bound may stand above by rounding alone
    proved = relative_gap(value, bound) <= OPTIMAL_GAP
    certificate = "; ".join(proofs) if proved else f"gap {relative_gap(value, bound):.3g}"
    kept = bound if math.isfinite(bound) else None
    return BestKnown(*place, value, kept, certificate, "proved" if proved else "open", command)
