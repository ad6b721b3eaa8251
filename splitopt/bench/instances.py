"""The instances of the benchmark: generated ones, and the library that is found by its path."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitopt.bench.families import (
    BENCHMARKS,
    InstanceSet,
    Kind,
    Recipe,
    find_benchmark,
    instance_digest,
)
from splitopt.documents.csv_tables import number, read_table
from splitopt.documents.json_text import expect_format, parse_json
from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown
from splitopt.problems.base import Problem
from splitopt.problems.registry import load_problem

FORMAT = "splitopt-benchmark-library"
VERSION = 1
METADATA = "metadata.json"
BEST_KNOWN = "best_known.csv"
COLUMNS = (
    "problem",
    "objective",
    "instance",
    "value",
    "bound",
    "certificate",
    "status",
    "command",
)


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
        """Give what another process needs to load the instance."""
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
    """Make the instance of a recipe."""
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
    except (OSError, ValueError):  # who reads it says so
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


@dataclass(frozen=True)
class BestKnown:
    """The best known value of an instance under an objective.

    ``status`` is ``"proved"`` (the bound meets the value to 1e-9, or the instance has no answer:
    then both are None) or ``"open"``. ``certificate`` says what proves it, ``command`` makes it.
    """

    problem: str
    objective: str
    instance: str
    value: float | None
    bound: float | None
    certificate: str
    status: str
    command: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about: problem, objective and instance."""
        return self.problem, self.objective, self.instance


@dataclass(frozen=True)
class Library:
    """All instances of a folder and their best known values."""

    folder: Path
    instances: tuple[Instance, ...]
    best_known: Mapping[tuple[str, str, str], BestKnown]

    @classmethod
    def read(cls, folder: Path) -> Library:
        """Read ``PROBLEM/metadata.json`` of every registered problem, and ``best_known.csv``."""
        if not folder.is_dir():
            raise InputError(
                f"{folder}: there is no such folder; give the one of the instance library with "
                "--instances"
            )
        instances: list[Instance] = []
        for problem in BENCHMARKS:
            metadata = folder / problem / METADATA
            if metadata.exists():
                instances += _read_metadata(metadata, problem)
        if not instances:
            raise InputError(
                f"{folder}: holds no instance library (PROBLEM/{METADATA} of a known problem)"
            )
        table = folder / BEST_KNOWN
        return cls(folder, tuple(instances), read_best_known(table) if table.exists() else {})

    @classmethod
    def find(cls, folder: Path | None = None) -> Library:
        """Read the library in `folder`, or else in ``benchmarks/instances`` here or beside us.

        Raises
        ------
        InputError
            There is none: the library is part of the source repository, not of the package.
        """
        if folder is not None:
            return cls.read(folder)
        relative = Path("benchmarks", "instances")
        for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
            if (root / relative).is_dir():
                return cls.read(root / relative)
        raise InputError(
            "the instance library is not here: it is the folder benchmarks/instances of the "
            "source repository; run there or give its path with --instances (the suites 'quick' "
            "and 'scaling' need no library)"
        )


def _read_metadata(path: Path, problem: str) -> list[Instance]:
    from splitopt.bench.documents import LibraryDocument
    from splitopt.documents.schemas import validated

    source = str(path)
    document = expect_format(parse_json(read_text(path), source), source, FORMAT, VERSION)
    checked = validated(LibraryDocument, document, source)
    if checked.problem != problem:
        raise InputError.at(f"{source}: problem", f"is {shown(checked.problem)}, not {problem!r}")
    found: dict[str, Instance] = {}
    for entry in checked.instances:
        if entry.name in found:
            raise InputError(f"{source}: the name {shown(entry.name)} stands twice")
        found[entry.name] = Instance(
            problem=problem,
            name=entry.name,
            set=entry.set,
            kind=entry.kind,
            source=entry.source,
            objectives=tuple(entry.objectives),
            file=None if entry.file is None else str(path.parent / entry.file),
            recipe=None if entry.recipe is None else Recipe(**entry.recipe.model_dump()),
            digest=entry.digest,
            published=entry.published,
        )
    return list(found.values())


def read_best_known(path: Path) -> dict[tuple[str, str, str], BestKnown]:
    """Read the table of best known values."""
    table = read_table(path)
    if table.columns != COLUMNS:
        raise InputError(f"{path}: the columns must be {', '.join(COLUMNS)}")
    found: dict[tuple[str, str, str], BestKnown] = {}
    for line in table.rows:
        row = dict(zip(COLUMNS, line.cells, strict=True))
        if row["status"] not in ("proved", "open"):
            raise InputError.at(
                table.place(line, "status"), f"is {shown(row['status'])}, not 'proved' or 'open'"
            )
        numbers = {
            name: number(row[name], table.place(line, name)) if row[name] else None
            for name in ("value", "bound")
        }
        known = BestKnown(**{**row, **numbers})  # type: ignore[arg-type]
        if known.key in found:
            raise InputError(f"{path}: line {line.line}: {', '.join(known.key)} stands twice")
        found[known.key] = known
    return found


def write_best_known(rows: list[BestKnown]) -> str:
    """Give the table as CSV text that `read_best_known` reads back, numbers in full."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [getattr(row, column) for column in COLUMNS]
        writer.writerow([repr(cell) if isinstance(cell, float) else cell for cell in cells])
    return stream.getvalue()
