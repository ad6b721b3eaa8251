"""What the benchmark knows of a problem: generated families, sizes and special instances.

A problem joins with two modules of its name: one in ``families`` that holds a `Benchmark` named
``BENCHMARK``, and one in ``library`` whose ``entries(families)`` lists what the instance library
holds; and with a folder under ``benchmarks/instances``. The runner and the reports need nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.problems.registry import module_of, problem_class, problems_in

InstanceSet = Literal["small", "medium", "large", "stress"]
Kind = Literal["realistic", "synthetic"]

FAMILIES = "splitopt.bench.instances.families"
"""The package whose module of a problem's name holds its ``BENCHMARK``."""

LIBRARY = "splitopt.bench.instances.library"
"""The package whose module of a problem's name lists its ``entries``."""

Families = Mapping[str, Callable[..., Problem[Any]]]
"""Family -> a function of ``seed`` and whole-number parameters that draws an instance."""


def by_name(*families: Callable[..., Problem[Any]]) -> Families:
    """Return families by the names of their functions."""
    return {family.__name__: family for family in families}


@dataclass(frozen=True)
class Recipe:
    """A generated instance: the same family, parameters and seed give the same numbers anywhere."""

    family: str
    parameters: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the instance, such as ``uniform-devices10-seed0``."""
        parts = [f"{key}{value}" for key, value in self.parameters.items()]
        return "-".join([self.family, *parts, f"seed{self.seed}"])

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        return {"family": self.family, "parameters": dict(self.parameters), "seed": self.seed}


@dataclass(frozen=True)
class LibraryEntry:
    """An instance of the library: drawn by a recipe, or built by a function (published data).

    ``as_file`` is false for instances that are too large to keep: they are drawn anew from their
    recipe and recognised by their digest. ``note`` stands in the file.
    """

    name: str
    set: InstanceSet
    kind: Kind
    source: str
    make: Recipe | Callable[[], Problem[Any]]
    as_file: bool = True
    published: bool = False
    note: str = ""


@dataclass(frozen=True)
class Benchmark:
    """One problem in the benchmark.

    Parameters
    ----------
    problem
        Its name.
    families
        See `Families`.
    size
        Counts of an instance, such as ``{"devices": 10, "layers": 8}``; scaling curves run over
        the first one.
    quick, scaling
        The suites that need no files.
    tiny
        The instance that solvers are warmed up on; it must hold all optional data.
    conformance
        Small instances that `reference` can solve.
    infeasible
        An instance that no decision answers.
    reference
        The solver that tries everything.
    provers
        Solvers that the library's best known values come from, the strongest first.
    prover_options
        Prover -> options, where its defaults answer another question than the instance poses.
    family_objectives
        The objectives of families whose instances do not take all of the problem's.
    """

    problem: str
    families: Families
    size: Callable[[Any], Mapping[str, int]]
    quick: tuple[Recipe, ...]
    scaling: tuple[Recipe, ...]
    tiny: Recipe
    conformance: tuple[Recipe, ...]
    infeasible: Recipe
    reference: str
    provers: tuple[str, ...]
    family_objectives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prover_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def objectives_of(self, family: str) -> tuple[str, ...]:
        """Return the objectives that instances of a family take."""
        return self.family_objectives.get(family, problem_class(self.problem).objectives)

    def draw(self, recipe: Recipe) -> Problem[Any]:
        """Draw the instance of a recipe.

        Raises
        ------
        InputError
            The family or a parameter is unknown.
        """
        family = self.families.get(recipe.family)
        if family is None:
            known = ", ".join(self.families)
            raise InputError(
                f"{self.problem}: there is no family {recipe.family!r}; known are {known}"
            )
        try:
            return family(seed=recipe.seed, **recipe.parameters)
        except TypeError as error:
            raise InputError(f"{self.problem}: family {recipe.family!r}: {error}") from None


def benchmark_problems() -> tuple[str, ...]:
    """Return the problems that have a benchmark, in the order of the registry."""
    return problems_in(FAMILIES)


def find_benchmark(problem: str) -> Benchmark:
    """Return what the benchmark knows of a problem, by its name."""
    known = benchmark_problems()
    if problem not in known:
        raise InputError(f"problem {problem!r} has no benchmark; known are {', '.join(known)}")
    found: Benchmark = _module(FAMILIES, problem).BENCHMARK
    return found


def library_entries(benchmark: Benchmark) -> Iterable[LibraryEntry]:
    """Return what ``splitopt bench --make-library`` writes of a problem."""
    found: Iterable[LibraryEntry] = _module(LIBRARY, benchmark.problem).entries(benchmark.families)
    return found


def _module(package: str, problem: str) -> ModuleType:
    found = module_of(package, problem)
    if found is None:
        raise InputError(f"problem {problem!r} has no module in {package}")
    return found


def drawn_entry(
    families: Families, recipe: Recipe, instance_set: InstanceSet, as_file: bool = True
) -> LibraryEntry:
    """Return the entry of a generated instance; its source quotes the docstring of its family."""
    summary = (families[recipe.family].__doc__ or "").splitlines()[0]
    source = f"generated, family {recipe.family}: {summary}"
    return LibraryEntry(recipe.name, instance_set, "synthetic", source, recipe, as_file)
