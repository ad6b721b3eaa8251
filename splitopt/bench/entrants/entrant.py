"""Solvers that take part: splitopt's own, installed entry points, and those of a user's file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitopt.bench.entrants.solver_files import load_solver_file
from splitopt.errors import InputError, SplitoptError
from splitopt.extras import installed_version
from splitopt.solvers.base import Solver
from splitopt.solvers.registry import solver_class, solver_names, with_options


@dataclass(frozen=True)
class Entrant:
    """A solver with its options that takes part, by name so that any process can make it."""

    problem: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what another process needs to make the solver."""
        return dataclasses.asdict(self)

    def solver_class(self) -> type[Solver[Any]]:
        """Return the class; raise `InputError` if there is none."""
        if self.file is None:
            return solver_class(self.problem, self.name)
        for found in load_solver_file(self.file):
            if (found.problem, found.name) == (self.problem, self.name):
                return found
        raise InputError(f"{self.file}: has no solver {self.name!r} for {self.problem}")

    def make(self, threads: int = 1) -> Solver[Any]:
        """Build the solver; one that has an option ``threads`` gets it unless it was given.

        Raises
        ------
        InputError
            An option is unknown or its value is refused, or the options are not plain data.
        """
        found = self.solver_class()
        options = dict(self.options)
        if any(item.name == "threads" for item in dataclasses.fields(found)):  # type: ignore[arg-type]
            options.setdefault("threads", threads)
        try:
            solver = with_options(found, options)
            json.dumps(solver.options(), allow_nan=False)
        except SplitoptError:
            raise
        except Exception as error:
            raise InputError(
                f"solver {self.name!r} cannot be made with its options "
                f"({type(error).__name__}: {error})"
            ) from None
        return solver

    @property
    def version(self) -> str:
        """Version of what does the work: a file's hash, or the first package that is required."""
        if self.file is not None:
            digest = hashlib.sha256(Path(self.file).read_bytes()).hexdigest()
            return f"{Path(self.file).name} {digest[:12]}"
        found = self.solver_class()
        package = next(iter((*found.requires, *found.apart)), "splitopt")
        return f"{package} {installed_version(package)}"


def parse_entrants(
    problem: str,
    names: Sequence[str] | None,
    files: Sequence[str | Path] = (),
    *,
    skip_unknown: bool = False,
) -> list[Entrant]:
    """Return the solvers that take part for a problem.

    Parameters
    ----------
    problem
        Its name.
    names
        Texts ``NAME`` or ``NAME:key=value:key=value``; all known solvers if None.
    files
        Files whose solvers take part as well; with `names`, those that are named.
    skip_unknown
        Leave out names that are no solver of the problem instead of refusing them.

    Raises
    ------
    InputError
        A name or option is unknown, or a file cannot be loaded.
    """
    own = {name: Entrant(problem, name) for name in solver_names(problem)}
    for path in files:
        for found in load_solver_file(path):
            if found.problem != problem:
                continue
            if found.name in own:
                raise InputError(f"{path}: the solver name {found.name!r} is taken; rename it")
            own[found.name] = Entrant(problem, found.name, file=str(Path(path).resolve()))
    if names is None:
        return list(own.values())
    chosen = []
    for text in names:
        fitting = [name for name in own if f"{text}:".startswith(f"{name}:")]
        if not fitting and skip_unknown:
            continue
        if not fitting:
            name = text.partition(":")[0]
            known = ", ".join(own)
            raise InputError(f"solver {name!r} is unknown for {problem}; known are {known}")
        name = max(fitting, key=len)  # a name may hold a colon itself
        pairs = text[len(name) + 1 :].split(":") if text != name else []
        options = dict(_option(pair, text) for pair in pairs)
        chosen.append(dataclasses.replace(own[name], options=options))
    return chosen


def parse_all_entrants(
    problems: Sequence[str], names: Sequence[str] | None, files: Sequence[str | Path] = ()
) -> dict[str, list[Entrant]]:
    """Return the solvers that take part for each of several problems.

    A name takes part where it is known, and must be known for one of the problems; the errors
    are those of `parse_entrants`.
    """
    found = {
        problem: parse_entrants(problem, names, files, skip_unknown=True) for problem in problems
    }
    for text in (names or ()) if problems else ():
        if not any(parse_entrants(p, [text], files, skip_unknown=True) for p in problems):
            parse_entrants(problems[0], [text], files)
    return found


def _option(pair: str, text: str) -> tuple[str, Any]:
    key, equals, value = pair.partition("=")
    if not equals or not key.isidentifier():
        raise InputError(f"solver {text!r}: {pair!r} must be KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
