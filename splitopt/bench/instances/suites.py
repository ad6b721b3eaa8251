"""The suites: which instances a benchmark runs over, and its limits unless others are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from splitopt.bench.instances.benchmark import benchmark_problems, find_benchmark
from splitopt.bench.instances.instance import Instance, generated
from splitopt.bench.instances.stored import Library
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError


@dataclass(frozen=True)
class Suite:
    """One suite.

    Parameters
    ----------
    name, summary
        What it is called, and what it is for.
    time_limit_s, seeds
        Used unless the user says otherwise.
    needs_library
        Whether the instances are files of ``benchmarks/instances``.
    parallel
        Whether to use all cores unless told otherwise: for a suite that is run to see that all
        works, not to publish times.
    """

    name: str
    summary: str
    time_limit_s: float
    seeds: int
    needs_library: bool = False
    parallel: bool = False


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("quick", "small generated instances, under a minute", 0.3, 1, parallel=True),
        Suite("scaling", "generated instances of growing size", 20.0, 1),
        Suite("paper", "the published settings", 10.0, 3, needs_library=True),
        Suite("full", "the whole library but its stress set", 60.0, 3, needs_library=True),
        Suite("stress", "the stress set of the library", 300.0, 1, needs_library=True),
    )
}


def find_suite(name: str) -> Suite:
    """Return a suite by its name."""
    if name not in SUITES:
        raise InputError.at("suite", f"is {name!r}, known are {', '.join(SUITES)}")
    return SUITES[name]


def suite_instances(
    suite: Suite, problems: Sequence[str] | None = None, library: Library | None = None
) -> list[Instance]:
    """List the instances of a suite, for some problems or all.

    Raises
    ------
    InputError
        A problem is unknown, or nothing is there for the chosen ones.
    """
    chosen = list(benchmark_problems()) if problems is None else list(problems)
    found: list[Instance] = []
    for problem in chosen:
        benchmark = find_benchmark(problem)
        if suite.name == "quick":
            found += [generated(problem, recipe) for recipe in benchmark.quick]
        elif suite.name == "scaling":
            found += [generated(problem, recipe) for recipe in benchmark.scaling]
        else:
            assert library is not None  # Suite.needs_library told the caller
            belongs = _BELONGS[suite.name]
            found += [
                item for item in library.instances if item.problem == problem and belongs(item)
            ]
    if not found:
        raise InputError(f"suite {suite.name!r} has no instance of {', '.join(chosen)}")
    return found


_BELONGS: dict[str, Callable[[Instance], bool]] = {
    "paper": lambda instance: instance.published,
    "full": lambda instance: instance.set != "stress",
    "stress": lambda instance: instance.set == "stress",
}


def find_instance(name_or_path: str, folder: Path | None = None) -> Instance:
    """Find one instance: of the library or of a generated suite by its name, or a file.

    Raises
    ------
    InputError
        There is no such instance or file.
    """
    from splitopt.problems.registry import load_problem

    path = Path(name_or_path)
    if path.suffix in (".json", ".npz"):
        problem = load_problem(path)
        others = [name for name in problem.askable if name != problem.objective]
        return Instance(
            problem=problem.name,
            name=path.stem,
            set="small",
            kind="synthetic",
            source=str(path),
            objectives=(problem.objective, *others),
            file=str(path),
        )
    known = {instance.name: instance for instance in reversed(named_instances(folder))}
    if name_or_path in known:
        return known[name_or_path]
    raise InputError(
        f"--instance {name_or_path!r}: there is no such instance; give a name of the library or "
        "of a generated suite, or the path of an instance file (.json or .npz)"
        f"{did_you_mean(name_or_path, known)}"
    )


def named_instances(folder: Path | None = None) -> list[Instance]:
    """List the instances that have a name: of the generated suites, then of the library.

    Without a `folder`, those of the library are there only where `Library.find` finds it.
    """
    found = [
        generated(problem, recipe)
        for problem in benchmark_problems()
        for recipe in (*find_benchmark(problem).quick, *find_benchmark(problem).scaling)
    ]
    try:
        found += Library.find(folder).instances
    except InputError:
        if folder is not None:
            raise
    return found
