"""What the benchmark must know of a problem: its generated families, sizes and special instances.

A problem joins with a module that holds a `Benchmark` named ``BENCHMARK``, one line in
`BENCHMARKS`, and a folder under ``benchmarks/instances``; the runner and the reports ask for
nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.problems.digest import instance_digest as instance_digest

InstanceSet = Literal["small", "medium", "large", "stress"]
Kind = Literal["realistic", "synthetic"]

BENCHMARKS: dict[str, str] = {
    "cut_and_resources": "splitopt.bench.families_cut_and_resources",
    "cluster_and_spectrum": "splitopt.bench.families_cluster_and_spectrum",
    "cut_under_uncertainty": "splitopt.bench.families_cut_under_uncertainty",
    "pipeline_partition": "splitopt.bench.families_pipeline_partition",
}
"""Problem -> the module that holds its ``BENCHMARK``; a new problem is one line here."""


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
        """Give the recipe as plain data."""
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
        Family -> a function of ``seed`` and whole-number parameters that draws an instance.
    size
        What there is how many of, such as ``{"devices": 10, "layers": 8}``; the first number is
        the one that scaling curves run over.
    quick, scaling
        The suites that need no files.
    tiny
        What a solver is warmed up on; it must hold all optional data.
    conformance
        Small instances that `reference` can solve.
    infeasible
        An instance that no decision answers.
    reference
        The solver that tries everything.
    provers
        Solvers that the library's best known values come from, the strongest first.
    library
        What ``splitopt bench --make-library`` writes.
    prover_options
        Prover -> options, where its own are for another question than the instance's.
    family_objectives
        The objectives of families whose instances do not take all of the problem's.
    """

    problem: str
    families: Mapping[str, Callable[..., Problem[Any]]]
    size: Callable[[Any], Mapping[str, int]]
    quick: tuple[Recipe, ...]
    scaling: tuple[Recipe, ...]
    tiny: Recipe
    conformance: tuple[Recipe, ...]
    infeasible: Recipe
    reference: str
    provers: tuple[str, ...]
    library: Callable[[], Iterable[LibraryEntry]]
    family_objectives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prover_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def objectives_of(self, family: str) -> tuple[str, ...]:
        """Give the objectives that instances of a family take."""
        from splitopt.problems.registry import problem_class

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


def find_benchmark(problem: str) -> Benchmark:
    """Give what the benchmark knows of a problem, by its name."""
    if problem not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise InputError(f"problem {problem!r} has no benchmark; known are {known}")
    found: Benchmark = importlib.import_module(BENCHMARKS[problem]).BENCHMARK
    return found
