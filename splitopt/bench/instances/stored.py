"""The instance library: a folder with metadata, instance files and best known values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from splitopt.bench.instances.benchmark import Recipe, benchmark_problems
from splitopt.bench.instances.best_known import BestKnown, read_best_known
from splitopt.bench.instances.instance import Instance
from splitopt.documents.json_text import expect_format, parse_json
from splitopt.documents.reading import read_text
from splitopt.errors import InputError, shown

FORMAT = "splitopt-benchmark-library"
VERSION = 1
METADATA = "metadata.json"
BEST_KNOWN = "best_known.csv"


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
        for problem in benchmark_problems():
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
        for root in (Path.cwd(), Path(__file__).resolve().parents[3]):
            if (root / relative).is_dir():
                return cls.read(root / relative)
        raise InputError(
            "the instance library is not here: it is the folder benchmarks/instances of the "
            "source repository; run there or give its path with --instances (the suites 'quick' "
            "and 'scaling' need no library)"
        )


def _read_metadata(path: Path, problem: str) -> list[Instance]:
    from splitopt.bench.instances.documents import LibraryDocument
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
