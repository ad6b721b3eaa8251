"""Cases: which document is spoiled in which way, drawn from a seed and a number."""

from __future__ import annotations

import glob
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.fuzz.mutate import KINDS, kinds_for
from benchmarks.fuzz.seals import SEALS
from benchmarks.fuzz.targets import TARGETS, Arguments, Target, by_name

_COUNTS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 5)
_SEALED = 0.9
_LARGEST = 8 * 2**20
"""Bytes of a document: larger ones are slow to make, and say no more."""


@dataclass(frozen=True)
class Mutation:
    """A kind of `benchmarks.fuzz.mutate.KINDS` and the seed of what it does."""

    kind: str
    seed: int


@dataclass(frozen=True)
class Case:
    """One document, what is done to it, and who reads it then.

    Parameters
    ----------
    number
        It follows from the seed and this number alone.
    target, file, use
        The reader's name, which of its files is spoiled, and which of its uses follows.
    mutations
        In the order in which they are done.
    sealed
        Whether digests are made right again.
    """

    number: int
    target: str
    file: str
    use: Arguments
    mutations: tuple[Mutation, ...]
    sealed: bool

    def with_mutations(self, mutations: tuple[Mutation, ...]) -> Case:
        """Return the case with fewer of them."""
        return replace(self, mutations=mutations)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for another process."""
        return {
            **vars(self),
            "use": list(self.use),
            "mutations": [[item.kind, item.seed] for item in self.mutations],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Case:
        """Read what `to_dict` gave."""
        mutations = tuple(Mutation(kind, seed) for kind, seed in data["mutations"])
        return cls(**{**data, "use": tuple(data["use"]), "mutations": mutations})


def draw(seed: int, number: int, targets: tuple[Target, ...] = TARGETS) -> Case:
    """Return the case of a number."""
    rng = Random(f"{seed}/{number}")
    target = rng.choices(targets, [target.weight for target in targets])[0]
    file = rng.choice(target.files)
    kinds = kinds_for(file)
    mutations = tuple(
        Mutation(rng.choices(list(kinds), list(kinds.values()))[0], rng.randrange(2**32))
        for _ in range(rng.choice(_COUNTS))
    )
    sealed = target.seal is not None and rng.random() < _SEALED
    return Case(number, target.name, file, rng.choice(target.uses), mutations, sealed)


def spoiled(case: Case, content: bytes) -> bytes:
    """Return a document after all mutations of a case."""
    for mutation in case.mutations:
        with suppress(RecursionError):  # what is nested that deep is spoiled enough
            content = KINDS[mutation.kind](content, Random(mutation.seed))[:_LARGEST]
    return content


def lay_out(case: Case, corpus: Path, folder: Path, content: bytes | None = None) -> Path:
    """Write all files of a case into an empty folder and return the spoiled one.

    Parameters
    ----------
    case
        What to write.
    corpus
        Where the valid documents are.
    folder
        It gets them, an empty folder ``out``, and a link ``corpus``.
    content
        Of the spoiled file, instead of what the mutations make of it.
    """
    target = by_name(case.target)
    for pattern in (*target.files, *target.beside):
        for source in glob.glob(pattern, root_dir=corpus):
            place = folder / source
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(corpus / source, place)
    (folder / "out").mkdir()
    (folder / "corpus").symlink_to(corpus)
    names = sorted(glob.glob(case.file, root_dir=folder))
    file = folder / names[case.number % len(names)]
    file.write_bytes(spoiled(case, file.read_bytes()) if content is None else content)
    if case.sealed and target.seal is not None:
        SEALS[target.seal](file)
    return file
