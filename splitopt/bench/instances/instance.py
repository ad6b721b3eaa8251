"""An instance of the benchmark: a file or a recipe, and the problem that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitopt.bench.instances.benchmark import InstanceSet, Kind, Recipe, find_benchmark
from splitopt.errors import InputError
from splitopt.problems.base import Problem
from splitopt.problems.digest import instance_digest
from splitopt.problems.registry import load_problem


@dataclass(frozen=True)
class Instance:
    """One instance: what it is, and a file or a recipe that gives its numbers.

    ``digest`` is that of `instance_digest`; a generated instance outside the library has none
    until it is drawn.
    """

    problem: str
    name: str
    set: InstanceSet
    kind: Kind
    source: str
    objectives: tuple[str, ...]
    file: str | None = None
    recipe: Recipe | None = None
    digest: str | None = None
    published: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return what another process needs to load the instance."""
        recipe = None if self.recipe is None else self.recipe.to_dict()
        return {"problem": self.problem, "name": self.name, "file": self.file, "recipe": recipe}

    def load(self, objective: str) -> Problem[Any]:
        """Load the instance under an objective.

        Raises
        ------
        InputError
            The file cannot be read, or the numbers are not those that the digest was made of.
        """
        problem = load_instance(self.to_dict(), objective)
        if self.digest is not None and instance_digest(problem) != self.digest:
            raise InputError(
                f"{self.name}: its numbers are not those of the library (digest "
                f"{instance_digest(problem)}, expected {self.digest}); restore the library"
            )
        return problem


def load_instance(document: Mapping[str, Any], objective: str) -> Problem[Any]:
    """Load what `Instance.to_dict` describes."""
    file = document["file"]
    return _loaded(
        document["problem"], file, _stamp(file), _frozen(document["recipe"])
    ).with_objective(objective)


def generated(problem: str, recipe: Recipe, instance_set: InstanceSet = "small") -> Instance:
    """Return the instance of a recipe."""
    return Instance(
        problem=problem,
        name=recipe.name,
        set=instance_set,
        kind="synthetic",
        source=f"family {recipe.family}, seed {recipe.seed}",
        objectives=find_benchmark(problem).objectives_of(recipe.family),
        recipe=recipe,
    )


def _frozen(recipe: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    if recipe is None:
        return None
    return recipe["family"], tuple(recipe["parameters"].items()), recipe["seed"]


def _stamp(file: str | None) -> tuple[int, ...]:
    """Return what changes when a file does."""
    try:
        status = Path(file).stat() if file is not None else None
    except (OSError, ValueError):  # reading it reports the error
        return ()
    return () if status is None else (status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=4)
def _loaded(
    problem: str,
    file: str | None,
    stamp: tuple[int, ...],  # noqa: ARG001 - a file that has changed is read again
    recipe: tuple[Any, ...] | None,
) -> Problem[Any]:
    """Load an instance; the last few are kept, as several solvers run on each in turn."""
    if file is not None:
        return load_problem(file)
    assert recipe is not None  # an instance has one or the other
    family, parameters, seed = recipe
    return find_benchmark(problem).draw(Recipe(family, dict(parameters), seed))
