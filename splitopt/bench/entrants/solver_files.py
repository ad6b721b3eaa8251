"""Solver classes of a user's Python file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitopt.errors import InputError
from splitopt.solvers.base import Solver
from splitopt.user_code import beside

_ATTRIBUTES = ("name", "problem", "objectives", "kind")


def load_solver_file(path: str | Path) -> tuple[type[Solver[Any]], ...]:
    """Run a user's Python file and give every solver class that it defines.

    Raises
    ------
    InputError
        The file is missing, fails, or defines no solver; or a solver lacks an attribute.
    """
    target = Path(path).resolve()
    if not target.is_file():
        raise InputError(f"{path}: there is no such file")
    return _load(target, target.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: Path, changed_ns: int) -> tuple[type[Solver[Any]], ...]:
    """Load a file; `changed_ns` makes a file that was changed load anew."""
    digest = hashlib.sha256(f"{path}:{changed_ns}".encode()).hexdigest()
    name = f"splitopt_solver_file_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is not a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        with beside(path):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file may also call sys.exit
        del sys.modules[name]
        line = _line(error, path)
        raise InputError(
            f"{path}: fails with {type(error).__name__}{line}: {error}; mend the file"
        ) from None
    found = tuple(
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Solver)
        and value.__module__ == name
        and not inspect.isabstract(value)
    )
    if not found:
        raise InputError(
            f"{path}: defines no solver; write a class that extends splitopt.solvers.base.Solver"
        )
    for solver in found:
        _check_class(solver, path)
    return found


def _check_class(solver: type[Solver[Any]], path: Path) -> None:
    for attribute in _ATTRIBUTES:
        if not hasattr(solver, attribute):
            raise InputError(f"{path}: the class {solver.__name__} needs the attribute {attribute}")
    if not dataclasses.is_dataclass(solver):
        raise InputError(
            f"{path}: the class {solver.__name__} needs the decorator @dataclass(frozen=True)"
        )


def _line(error: BaseException, path: Path) -> str:
    """Name the line of the file in which an error arose."""
    if isinstance(error, SyntaxError):
        return f" in line {error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" in line {lines[-1]}" if lines else ""
